"""What a job of a pipeline does, in terms that the providers of CI share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

CHANGE, MAIN, TAG, SCHEDULE = "change", "main", "tag", "schedule"
"""What starts a job: a pull request or a branch other than main, main, a tag of a version, a point in time."""
REGISTRY, CLUSTER, TEMPLATE = "registry", "cluster", "template"
"""What a job may hold: a login to the registry, a kubeconfig, a token that proposes updates of the template."""


class Job(NamedTuple):
    """A job as one of the workflows runs it."""

    path: str
    name: str
    commands: str
    events: frozenset[str]
    needs: frozenset[str]  # the names of the jobs that it directly waits for
    credentials: frozenset[str]
    environment: str  # to which it deploys, or none
    approved: bool  # a person has to agree, before it or before a job that it waits for


def before(name: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """All that one waits for, directly or not; itself too if the way leads back. What does not exist needs nothing."""
    found: set[str] = set()
    pending = list(needs.get(name, ()))
    while pending:
        other = pending.pop()
        if other not in found:
            found.add(other)
            pending.extend(needs.get(other, ()))
    return found


def settled(jobs: Iterable[Job], *, together: bool) -> list[Job]:
    """Jobs as the others let them be: what waits for a job that waits for a person waits for that person too.

    Args:
        jobs: those of one workflow, each as it is by itself.
        together: whether a job starts only with all that it waits for, or without those that nothing starts too.
    """
    known = {job.name: job for job in jobs}
    needs = {name: job.needs for name, job in known.items()}
    found = []
    for job in known.values():
        others = [known[name] for name in before(job.name, needs) if name in known]
        events = job.events.intersection(*(other.events for other in others if together))
        found.append(job._replace(events=events, approved=job.approved or any(other.approved for other in others)))
    return found


class Pipeline(NamedTuple):
    """What a provider's files say."""

    jobs: list[Job]
    variables: frozenset[str]  # that people have to set
