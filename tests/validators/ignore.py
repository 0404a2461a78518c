"""What .gitignore and .dockerignore patterns match."""

from __future__ import annotations

import re

import pathspec


def git_ignored(patterns: bytes, paths: list[str]) -> list[str]:
    spec = pathspec.GitIgnoreSpec.from_lines(patterns.decode().splitlines())
    return [path for path in paths if spec.match_file(path)]


def docker_ignored(patterns: bytes, path: str) -> bool:
    """By the rules of moby/patternmatcher: anchored at the root, a match of a folder counts for what is in it."""
    ignored = False
    for line in patterns.decode().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            negated = pattern.startswith("!")
            regex = _regex(pattern.removeprefix("!").strip("/"))
            if re.fullmatch(rf"{regex}(/.*)?", path):
                ignored = not negated
    return ignored


def _regex(pattern: str) -> str:
    parts = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(parts.get(part, re.escape(part)) for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern))
