"""The pipeline is the same with every provider of CI, and no job has a credential that it does not need."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.validators import Files, circleci, github, gitlab
from tests.validators.jobs import CHANGE, CLUSTER, MAIN, REGISTRY, SCHEDULE, TAG, TEMPLATE, Job, Pipeline, before

Problems = Iterator[tuple[str, str]]

PROVIDERS = {circleci.PATH: circleci, github.PATH: github, gitlab.PATH: gitlab}

# What a job makes, and the credential that it takes.
_WITH = {
    "login": REGISTRY, "registry-secret": REGISTRY, "push": REGISTRY, "release": REGISTRY, "deploy": CLUSTER,
}  # fmt: skip
_PROPOSE = "scripts/propose-update.sh"
_PROPOSES = re.compile(rf"{re.escape(_PROPOSE)}|^renovate\b", re.MULTILINE)  # with a token that writes the repository
_ORDER = {CHANGE: ["image", "scan"], MAIN: ["login", "image", "scan", "push"], TAG: ["login", "release"]}
_PROOFS = ("ci-lint", "ci-test", "check")


def read(files: Files) -> Pipeline | None:
    """The pipeline of the project, if it has one."""
    return next((provider.pipeline(files) for path, provider in PROVIDERS.items() if path in files), None)


def made(commands: str) -> list[str]:
    """The targets that commands make, in order."""
    words = (word for line in re.findall(r"\bmake ([^;|&#)\n]*)", commands) for word in line.split())
    return [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]


def stages(files: Files) -> Problems:
    """Lint, test and check; build and scan; push what was scanned; deploy it to staging, and when approved further."""
    pipeline = read(files)
    if pipeline is None:
        return
    needs = {job.name: job.needs for job in pipeline.jobs}
    path = pipeline.jobs[0].path
    for event, order in _ORDER.items():
        started = [job for job in pipeline.jobs if event in job.events]
        builds = [job for job in started if order[-1] in made(job.commands)]
        if (
            len(builds) != 1
            or [target for target in made(builds[0].commands) if target in _ORDER[MAIN] + order] != order
        ):
            yield path, f"{event} has no job that makes {', '.join(order)} in this order"
            continue
        for target in _PROOFS if event != TAG else ():
            proof = next((job for job in started if target in made(job.commands)), None)
            if proof is None or proof.name not in before(builds[0].name, needs):
                yield path, f"{event} builds without {target}"
    publish = next((job for job in pipeline.jobs if "push" in made(job.commands)), None)
    for environment, first in (("staging", publish), ("production", _deploys(pipeline, "staging"))):
        job = _deploys(pipeline, environment)
        if job is None or job.events != {MAIN} or first is None or first.name not in before(job.name, needs):
            yield path, f"main does not deploy to {environment} after {first.name if first else 'the push'}"
        elif job.approved != (environment == "production"):
            yield path, f"{environment} {'needs' if job.approved else 'lacks'} an approval"
    if not any(job.events == {SCHEDULE} and _PROPOSE in job.commands for job in pipeline.jobs):
        yield path, "nothing proposes updates of the template"
    for job in pipeline.jobs:
        if found := re.search(r"\blatest\b|\b(TAG|IMAGE)=", job.commands):
            yield path, f"{job.name} says {found[0]}: every job has to mean the commit"


def _deploys(pipeline: Pipeline, environment: str) -> Job | None:
    command = f"make deploy ENVIRONMENT={environment}"
    return next((j for j in pipeline.jobs if command in j.commands and j.environment == environment), None)


def credentials(files: Files) -> Problems:
    """Each job has the credentials that it needs and no other, so changes that nobody has agreed to have none."""
    pipeline = read(files)
    for job in pipeline.jobs if pipeline else ():
        targets = set(made(job.commands))
        needed = {credential for target, credential in _WITH.items() if target in targets}
        needed |= {TEMPLATE} if _PROPOSES.search(job.commands) else set()
        for credential in sorted(needed - job.credentials):
            yield job.path, f"{job.name} lacks the credential {credential}"
        for credential in sorted(job.credentials - needed):
            yield job.path, f"{job.name} does not need the credential {credential}"
        if CHANGE in job.events and job.credentials:
            yield job.path, f"{job.name} gives a credential to changes that nobody has agreed to"


RULES = {"stages": stages, "credentials": credentials}
