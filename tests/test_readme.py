"""What `make docs` writes says what copier.yml says."""

import pytest

from tests.harness import ROOT
from tests.tools.docs import generated


@pytest.mark.parametrize(("path", "text"), generated().items(), ids=list(generated()))
def test_what_is_made_from_copier_yml_is_current(path: str, text: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == text, "run `make docs`"
