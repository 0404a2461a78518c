"""The files of the providers of CI, and what rules read of their pipelines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tests.harness import Fact, Files
from tests.rules.ci import circleci, github, gitlab
from tests.rules.ci.model import Job, Pipeline

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


def jobs_of_pipeline(pipeline: Pipeline) -> tuple[Job, ...]:
    """The jobs of a file."""
    return pipeline.jobs


def jobs_of(files: Files) -> list[Job]:
    """The jobs of the provider that a project has."""
    found = {provider: fact.of(files) for provider, fact in pipeline_facts(jobs_of_pipeline).items()}
    return [job for jobs in by_path(**found).values() for job in jobs]
