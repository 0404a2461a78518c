"""What `make docs` writes says what copier.yml and the template say."""

from __future__ import annotations

from tests.harness import ROOT, Projects
from tests.tools.docs import generated


def test_what_is_generated_is_current(projects: Projects) -> None:
    for path, text in generated(projects).items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path}: run `make docs`"
