"""What the patterns of .gitignore and .dockerignore match."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import pathspec


def git_ignored(patterns: bytes, paths: list[str]) -> list[str]:
    """Those of the paths that git ignores; the path of a folder ends in a slash."""
    return [path for path in paths if _spec(patterns).match_file(path)]


@functools.cache
def ignoring(path: str) -> Callable[[bytes], bool]:
    """Finds whether a .gitignore holds for a file, or a folder that ends in a slash."""
    return lambda patterns: bool(git_ignored(patterns, [path]))


@functools.cache
def _spec(patterns: bytes) -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines(patterns.decode().splitlines())


@functools.cache
def docker_ignored(patterns: bytes, path: str) -> bool:
    """By the rules of moby/patternmatcher: anchored at the root, a match of a folder counts for what is in it."""
    ignored = False
    for regex, negated in _rules(patterns):
        if regex.fullmatch(path):
            ignored = not negated
    return ignored


@functools.cache
def _rules(patterns: bytes) -> list[tuple[re.Pattern[str], bool]]:
    lines = [line.strip() for line in patterns.decode().splitlines()]
    return [
        (re.compile(rf"{_regex(line.removeprefix('!').strip('/'))}(/.*)?"), line.startswith("!"))
        for line in lines
        if line and not line.startswith("#")
    ]


def _regex(pattern: str) -> str:
    parts = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(parts.get(part, re.escape(part)) for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern))
