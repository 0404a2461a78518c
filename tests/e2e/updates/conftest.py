"""What the tests of updates share."""

from __future__ import annotations

import pytest

from tests.e2e.updates.project import History
from tests.harness import Template


@pytest.fixture(scope="session")
def history(template: Template, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The template with all its versions."""
    return History(tmp_path_factory.mktemp("history"), template)
