"""The files of the providers of CI, and what rules read of their pipelines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tests.harness import Fact
from tests.rules.ci import circleci, github, gitlab
from tests.rules.ci.model import Pipeline

T = TypeVar("T")
CIRCLECI, GITHUB, GITLAB = circleci.PATH, github.WORKFLOWS, gitlab.PATH
_READERS: dict[str, tuple[str, Callable[[bytes], Pipeline]]] = {
    "circleci": (CIRCLECI, circleci.pipeline),
    "github": (GITHUB, github.pipeline),
    "gitlab": (GITLAB, gitlab.pipeline),
}


@functools.cache
def pipeline_facts(extract: Callable[[Pipeline], Any]) -> Mapping[str, Fact]:
    """A fact for each provider, for a rule to read: `@rule(**pipeline_facts(function))`, and then `by_path`."""
    return {
        provider: Fact(path, functools.partial(_extract, read, extract)) for provider, (path, read) in _READERS.items()
    }


def _extract(read: Callable[[bytes], Pipeline], extract: Callable[[Pipeline], T], content: bytes) -> T:
    return extract(read(content))


def by_path(circleci: T | None, github: Mapping[str, T], gitlab: T | None) -> dict[str, T]:
    """What these facts are, of each file that the project has."""
    single = {CIRCLECI: circleci, GITLAB: gitlab}
    return {**{path: value for path, value in single.items() if value is not None}, **github}
