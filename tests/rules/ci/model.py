"""What the jobs of a pipeline do, in terms that all providers of CI share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple


class Event(StrEnum):
    """What starts a job."""

    CHANGE = "change"  # a pull request, or a branch other than the default
    MAIN = "main"  # the default branch, whatever its name
    TAG = "tag"  # of a version
    SCHEDULE = "schedule"


class Credential(StrEnum):
    """What a job may do outside of the pipeline."""

    REGISTRY = "registry"  # a login
    CLUSTER = "cluster"  # a kubeconfig
    TEMPLATE = "template"  # a token that proposes updates of the template


class Job(NamedTuple):
    """A job as a workflow runs it."""

    name: str
    where: str  # a pointer into its file
    commands: str
    events: frozenset[Event]
    needs: frozenset[str]  # the jobs that it directly waits for
    credentials: frozenset[Credential]
    environment: str  # whose secrets or variables it has, or none
    deploys_to: str  # this environment, or none
    approved: bool  # whether it, or a job that it waits for, waits for an approval


class Pipeline(NamedTuple):
    """The facts in a provider's file."""

    jobs: tuple[Job, ...]
    variables: frozenset[str]  # for the team to set


def transitive_needs(name: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """All that a job waits for, directly or not: itself too if its needs form a circle."""
    found: set[str] = set()
    pending = list(needs.get(name, ()))
    while pending:
        other = pending.pop()
        if other not in found:
            found.add(other)
            pending.extend(needs.get(other, ()))
    return found


def effective(jobs: Iterable[Job], *, skips_missing_needs: bool) -> tuple[Job, ...]:
    """The jobs of a workflow, as far as their needs let them run.

    Args:
        jobs: each as it is by itself.
        skips_missing_needs: whether a job starts without those that it needs, where nothing starts these.
    """
    known = {job.name: job for job in jobs}
    needs = {name: job.needs for name, job in known.items()}
    found = []
    for job in known.values():
        others = [known[name] for name in transitive_needs(job.name, needs) if name in known]
        events = job.events.intersection(*(other.events for other in others if not skips_missing_needs))
        found.append(job._replace(events=events, approved=job.approved or any(other.approved for other in others)))
    return tuple(found)


def made_targets(commands: str) -> list[str]:
    """The targets that commands make, in order."""
    words = (word for line in re.findall(r"\bmake ([^;|&#)\n]*)", commands) for word in line.split())
    return [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
