"""What a machine lacks, and what else a reader of the results should know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.apps.servers import MissingError

notes: set[str] = set()


@contextmanager
def skip_unless_available() -> Iterator[None]:
    """Skip what this machine cannot run, except in CI, where it fails."""
    try:
        yield
    except MissingError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        notes.add(f"Skipped: {missing}")
        pytest.skip(str(missing))


def print_notes(reporter: pytest.TerminalReporter) -> None:
    """Print every note."""
    for note in sorted(notes):
        reporter.write_line(note)
