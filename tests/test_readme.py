"""The README says what copier.yml says."""

from tests.tools.docs import README, rewrite


def test_the_table_of_questions_is_current() -> None:
    text = README.read_text(encoding="utf-8")
    assert rewrite(text) == text, "run `make docs`"
