"""Git: how it checks out a project."""

from __future__ import annotations

from collections.abc import Iterator

from tests.harness import Problem, file_rule, rejects, replace


@rejects("line endings of the system", ".gitattributes", replace(" eol=lf", ""))
@file_rule(".gitattributes")
def every_checkout_has_unix_line_endings(path: str, content: bytes) -> Iterator[Problem]:
    """Git checks text files out with LF on every system: shells and ConfigMaps cannot read CRLF."""
    if b"* text=auto eol=lf\n" not in content:
        yield Problem(path, "does not set eol=lf for all text files", "1")
