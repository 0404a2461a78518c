"""What a machine lacks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.apps.servers import MissingError
from tests.harness.plugin import notes


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
