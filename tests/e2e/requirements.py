"""What a machine lacks, and what else a reader of the results should know."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from tests.e2e.apps.servers import MissingError

notes: set[str] = set()


def give_up(missing: MissingError) -> NoReturn:
    """Skip what this machine cannot run, except in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(missing))
    notes.add(f"Skipped: {missing}")
    pytest.skip(str(missing))


def tell(reporter: pytest.TerminalReporter) -> None:
    """Print every note."""
    for note in sorted(notes):
        reporter.write_line(note)
