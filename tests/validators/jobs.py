"""What a job of a pipeline does, in terms that the providers of CI share."""

from __future__ import annotations

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


class Pipeline(NamedTuple):
    """What a provider's files say."""

    jobs: list[Job]
    variables: frozenset[str]  # that people have to set
