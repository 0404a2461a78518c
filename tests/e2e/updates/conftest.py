"""What the tests of updates share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.serving import serving
from tests.e2e.updates.host import Host
from tests.e2e.updates.project import History
from tests.harness import Template


@pytest.fixture(scope="session")
def history(template: Template, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The template with all its versions."""
    return History(tmp_path_factory.mktemp("history"), template)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A provider with an empty repository."""
    with serving(Host(tmp_path / "host")) as host:
        yield host
