"""The pipeline is the same with every provider of CI, and no job has a credential that it does not need."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.harness import Fact, Problem, accepts, add, change, rejects, remove, replace, rule
from tests.rules.ci.circleci import PATH as CIRCLECI
from tests.rules.ci.github import RELEASE, SERVICE, UPDATES
from tests.rules.ci.gitlab import PATH as GITLAB
from tests.rules.ci.gitlab import documented_credentials
from tests.rules.ci.model import Credential, Event, Job, made_targets, transitive_needs
from tests.rules.ci.providers import by_path, jobs_of_pipeline, pipeline_facts

# What a job makes, and the credential that it takes.
_NEEDS = {
    **dict.fromkeys(("login", "registry-secret", "push", "release"), Credential.REGISTRY),
    "deploy": Credential.CLUSTER,
}
_PROPOSE = "scripts/propose_update.py"
_WRITES_THE_REPOSITORY = re.compile(rf"{re.escape(_PROPOSE)}|^renovate\b", re.MULTILINE)
_BUILDS = {
    Event.CHANGE: ["image", "scan"],
    Event.MAIN: ["login", "image", "scan", "push"],
    Event.TAG: ["login", "release"],
}
_TESTS = ("ci-lint", "ci-test", "check")

# Of CircleCI's configuration.
_JOBS = "workflows.service.jobs"
_STAGING = f"{_JOBS}.5.deploy"
_DEFAULT_BRANCH = "pipeline.git.branch.is_default"
# Of GitHub's.
_PUSH_TO_DEFAULT = "github.event_name == 'push' && github.ref_name == github.event.repository.default_branch"
# Rules that find a fault too.
_DEPLOYED, _NEEDED = "main_is_deployed_to_staging_then_production", "credentials_are_those_that_jobs_need"
_CHANGES = "changes_get_no_credential"
_LOGIN, _LIVE = {"lint": {"context": "registry"}}, "deploy-production"

_FACTS = pipeline_facts(jobs_of_pipeline)


class _Jobs(dict[str, Job]):
    """The jobs of the provider that a project has, by name."""

    def __init__(self, **ci: Any) -> None:
        self.paths = {job.name: path for path, jobs in by_path(**ci).items() for job in jobs}
        super().__init__((job.name, job) for jobs in by_path(**ci).values() for job in jobs)

    def problem(self, message: str, job: Job | None = None) -> Problem:
        """A problem of a job, or of the file that has the most of them."""
        if job:
            return Problem(self.paths[job.name], f"{job.name} {message}", job.where)
        return Problem(Counter(self.paths.values()).most_common(1)[0][0], message)

    def comes_after(self, job: Job, other: Job | None) -> bool:
        """Whether a job waits for another one."""
        needs = {one.name: one.needs for one in self.values()}
        return other is not None and other.name in transitive_needs(job.name, needs)

    def builds(self, event: Event) -> list[Job]:
        """The jobs that do the last step of an event's build."""
        return [job for job in self.started_by(event) if _BUILDS[event][-1] in made_targets(job.commands)]

    def started_by(self, event: Event) -> list[Job]:
        return [job for job in self.values() if event in job.events]

    def deployment(self, environment: str) -> Job | None:
        """The job that deploys to an environment."""
        command = f"make deploy ENVIRONMENT={environment}"
        return next((job for job in self.values() if command in job.commands and job.deploys_to == environment), None)


@rejects("a push of what was not scanned", CIRCLECI, change("jobs.publish.steps.4.run", "make image push"))
@rejects("a push before the scan", CIRCLECI, change("jobs.publish.steps", ["login", {"run": "make image push scan"}]))
@rejects("a build that is not scanned", CIRCLECI, change("jobs.build.steps.1.run", "make image"))
@rejects("a release of no tag", CIRCLECI, change(f"{_JOBS}.8.release.filters", _DEFAULT_BRANCH))
@rejects("GitLab that scans no merge request", GITLAB, change("build.script", ["make image"]))
@rejects("GitLab that pushes before the scan", GITLAB, change("publish.script", ["make image push scan"]))
@rejects("a pull request that builds nothing", SERVICE, change("jobs.build.if", _PUSH_TO_DEFAULT))
@rejects("a release of every commit of main", RELEASE, change("on.push", {"branches": ["main"]}), also=_CHANGES)
@rejects("a build without a push", SERVICE, change("on", {"pull_request": None, "schedule": []}), also=_DEPLOYED)
@rejects(
    "CircleCI that never pushes", CIRCLECI, change("jobs.publish.steps", ["checkout", {"run": "make image scan"}]),
    also=f"{_DEPLOYED} {_NEEDED}",
)  # fmt: skip
@rejects(
    "a push from a branch of a name", CIRCLECI,
    change(f"{_JOBS}.4.publish.filters", {"branches": {"only": "main"}}), also=f"{_DEPLOYED} {_CHANGES}",
)  # fmt: skip
@rejects(
    "a push from another branch than the default", SERVICE, change("jobs.publish.if", "github.event_name == 'push'"),
    also=f"{_DEPLOYED} {_CHANGES}",
)  # fmt: skip
@rejects(
    "a push from every branch", CIRCLECI, change(f"{_JOBS}.4.publish.filters", {"branches": {"ignore": "x"}}),
    also=f"{_DEPLOYED} {_CHANGES}",
)  # fmt: skip
@rejects(
    "a push from pull requests", SERVICE, change("jobs.publish.if", "github.event_name == 'pull_request'"),
    also=f"{_DEPLOYED} {_CHANGES}",
)  # fmt: skip
@rule(**_FACTS)
def builds_scan_before_they_push(**ci: Any) -> Iterator[Problem]:
    """A change builds and scans an image, main also pushes what it scanned, and a tag releases the pushed one."""
    jobs = _Jobs(**ci)
    for event, order in _BUILDS.items() if jobs else ():
        builds = jobs.builds(event)
        if len(builds) != 1:
            yield jobs.problem(f"{event} starts {len(builds)} jobs that make {order[-1]}")
        for job in builds:
            targets = [target for target in made_targets(job.commands) if target in _BUILDS[Event.MAIN] + order]
            if targets != order:
                yield jobs.problem(f"makes {', '.join(targets)}, not {', '.join(order)}", job)


@rejects("CircleCI that never runs ci-lint", CIRCLECI, change("jobs.lint.steps.1.run", "make lint"))
@rejects("CircleCI that never runs ci-test", CIRCLECI, change("jobs.test.steps.1.run", "make test"))
@rejects("CircleCI that never runs check", CIRCLECI, change("jobs.check.steps.1.run", "make lint"))
@rejects("a push that waits for no test", CIRCLECI, change(f"{_JOBS}.4.publish.requires", ["lint", "check"]))
@rejects("a build that waits for no lint", CIRCLECI, change(f"{_JOBS}.3.build.requires", ["test", "check"]))
@rejects("GitLab that never runs ci-lint", GITLAB, change("lint.script", ["make lint"]))
@rejects("GitLab that never runs ci-test", GITLAB, change("test.script", ["make test"]))
@rejects("GitLab that never runs check", GITLAB, change("check.script", ["make lint"]))
@rejects("a push that waits for no test of GitLab", GITLAB, change("'.image'.needs", ["lint", "check"]))
@rejects("a workflow that waits for no lint", SERVICE, change("jobs.build.needs", ["test", "check"]))
@rule(**_FACTS)
def builds_wait_for_tests(**ci: Any) -> Iterator[Problem]:
    """What builds an image of a change or of main waits for lint, tests and checks."""
    jobs = _Jobs(**ci)
    for event in (Event.CHANGE, Event.MAIN):
        for target in _TESTS:
            test = next((job for job in jobs.started_by(event) if target in made_targets(job.commands)), None)
            for job in jobs.builds(event):
                if not jobs.comes_after(job, test):
                    yield jobs.problem(f"does not wait for {target}", job)


@accepts("a deployment that waits for all stages before its own", GITLAB, remove("deploy-staging.needs"))
@rejects("production that does not wait for staging", GITLAB, change("deploy-production.needs", ["publish"]))
@rejects("an environment that nobody protects", SERVICE, change("jobs.deploy-production.environment", "prod"))
@rejects(
    "CircleCI that never deploys", CIRCLECI,
    change("jobs.deploy.steps.4.run.command", "make apply ENVIRONMENT=<< parameters.environment >>"), also=_NEEDED,
)  # fmt: skip
@rejects("a deployment before the push", CIRCLECI, change(f"{_STAGING}.requires", ["test"]), also=_CHANGES)
@rejects("staging before the push", SERVICE, change("jobs.deploy-staging.needs", "test"), also=_CHANGES)
@rule(**_FACTS)
def main_is_deployed_to_staging_then_production(**ci: Any) -> Iterator[Problem]:
    """Only main is deployed: to staging what was pushed, and to production what staging has."""
    jobs = _Jobs(**ci)
    before = next((job for job in jobs.values() if "push" in made_targets(job.commands)), None)
    for environment in ("staging", "production") if jobs else ():
        job = jobs.deployment(environment)
        if job is None:
            yield jobs.problem(f"nothing deploys to {environment}")
        elif job.events != {Event.MAIN} or not jobs.comes_after(job, before):
            yield jobs.problem(f"is not started by main alone, after {before.name if before else 'a push'}", job)
        before = job


@rejects("production without an approval", CIRCLECI, change(f"{_JOBS}.7.deploy.requires", ["deploy-staging"]))
@rejects(
    "staging that waits for an approval", CIRCLECI, change(f"{_STAGING}.requires", ["publish", "agree"]), CIRCLECI,
    add(_JOBS, {"agree": {"type": "approval"}}),
)  # fmt: skip
@rejects("a pipeline that goes on without the approval", GITLAB, remove("deploy-production.allow_failure"))
@rejects("production without a click", GITLAB, remove(f"{_LIVE}.when"), GITLAB, remove(f"{_LIVE}.allow_failure"))
@rejects(
    "a manual deployment to staging", GITLAB, add("deploy-staging.when", "manual"), GITLAB,
    add("deploy-staging.allow_failure", value=False),
)  # fmt: skip
@rule(**_FACTS)
def only_production_needs_approval(**ci: Any) -> Iterator[Problem]:
    """Deployments to production require approval, those to staging do not."""
    jobs = _Jobs(**ci)
    for environment, is_approved in (("staging", False), ("production", True)):
        job = jobs.deployment(environment)
        if job and job.approved != is_approved:
            yield jobs.problem("waits for an approval" if job.approved else "waits for no approval", job)


@rejects("updates with each tag", UPDATES, change("on", {"push": {"tags": ["v*"]}}))
@rejects("no proposal of updates", CIRCLECI, change("workflows.template.when.equal.0", "webhook"), also=_CHANGES)
@rejects("updates with every push", GITLAB, change("'.update'.rules.0.if", "$CI_PIPELINE_SOURCE"), also=_CHANGES)
@rejects("proposals on every push", UPDATES, add("on.push", None), also=_CHANGES)
@rule(**_FACTS)
def a_schedule_proposes_updates(**ci: Any) -> Iterator[Problem]:
    """A job that only a schedule starts proposes updates of the template."""
    jobs = _Jobs(**ci)
    if jobs and not any(job.events == {Event.SCHEDULE} and _PROPOSE in job.commands for job in jobs.values()):
        yield jobs.problem("no schedule proposes updates of the template")


@rejects("CircleCI that deploys latest", CIRCLECI, add("jobs.deploy.steps", {"run": "make deploy TAG=latest"}))
@rejects("CircleCI that runs latest", CIRCLECI, change("jobs.lint.steps.1.run", "docker pull x:latest; make ci-lint"))
@rule(**_FACTS)
def jobs_use_the_image_of_their_commit(**ci: Any) -> Iterator[Problem]:
    """No job names another image than that of its commit, which `make` takes by default."""
    jobs = _Jobs(**ci)
    for job in jobs.values():
        if found := re.search(r"\blatest\b|\b(TAG|IMAGE)=", job.commands):
            yield jobs.problem(f"says {found[0]}", job)


_CREDENTIAL_FACTS = {**_FACTS, "documented": Fact("README.md", documented_credentials)}


def _credentials(
    jobs: _Jobs, documented: Mapping[str, frozenset[Credential]]
) -> Iterator[tuple[Job, set[Credential], set[Credential]]]:
    """Each job, the credentials that it has, and those that it needs."""
    for job in jobs.values():
        # GitLab's file does not list the variables of an environment: the README does.
        own = documented.get(job.environment, frozenset()) if jobs.paths[job.name] == GITLAB else frozenset()
        needed = {_NEEDS[target] for target in made_targets(job.commands) if target in _NEEDS}
        needed |= {Credential.TEMPLATE} if _WRITES_THE_REPOSITORY.search(job.commands) else set()
        yield job, {*job.credentials, *own}, needed


@rejects("a job without the login that it needs", CIRCLECI, change(f"{_STAGING}.context", ["kubernetes-staging"]))
@rejects("a job without its kubeconfig", CIRCLECI, change(f"{_STAGING}.context", ["registry"]))
@rejects("a proposal without its token", CIRCLECI, change("workflows.template.jobs.0", "propose-update"))
@rejects("a push without the scope of its login", GITLAB, change("'.registry'.environment.name", "registries"))
@rejects("a Renovate without its token", GITLAB, change("'.update'.environment.name", "templates"))
@rejects("a Secret for pulling without the deploy token", GITLAB, remove("'.deploy'.variables.REGISTRY_PASSWORD"))
@rejects(
    "a scope that the README leaves out", "README.md",
    replace("| `KUBECONFIG` | `staging`, `production` |", "| `KUBECONFIG` | `staging` |"),
)  # fmt: skip
@rejects("a job whose token may not push", SERVICE, remove("jobs.publish.permissions.packages"))
@rejects("a job without a kubeconfig", SERVICE, remove("jobs.deploy-staging.steps.[name=Write the kubeconfig].env"))
@rejects("a proposal without a token", UPDATES, remove("jobs.propose-update.steps.1.env"))
@rejects(
    "a job with a login that it does not need", CIRCLECI,
    change("workflows.template.jobs.0.propose-update.context", ["registry", "template"]),
)  # fmt: skip
@rejects(
    "a job of GitLab with a login that it does not need", GITLAB,
    add("check.environment", {"name": "registry", "action": "access"}), also=_CHANGES,
)  # fmt: skip
@rejects(
    "a token of a job that pushes nothing", GITLAB,
    add("check.variables", {"REGISTRY_PASSWORD": "$CI_REGISTRY_PASSWORD"}), also=_CHANGES,
)  # fmt: skip
@rule(**_CREDENTIAL_FACTS)
def credentials_are_those_that_jobs_need(documented: Any, **ci: Any) -> Iterator[Problem]:
    """Jobs that push have a login, jobs that deploy a kubeconfig, jobs that propose updates a token, and no others."""
    jobs = _Jobs(**ci)
    for job, has, needed in _credentials(jobs, documented):
        if has != needed:
            yield jobs.problem(f"has the credentials {sorted(has)}, but needs {sorted(needed)}", job)


@rejects("a pull request's credential", CIRCLECI, change(f"{_JOBS}.0", _LOGIN), also=_NEEDED)
@rejects("every branch's kubeconfig", CIRCLECI, add(f"{_JOBS}.3.build.context", "kubernetes-production"), also=_NEEDED)
@rejects("a pull request's login", CIRCLECI, change(f"{_JOBS}.0", _LOGIN), CIRCLECI, add("jobs.lint.steps", "login"))
@rejects(
    "a kubeconfig for a pull request", SERVICE,
    add("jobs.lint.steps.1.env", {"KUBECONFIG_BASE64": "${{ secrets.KUBECONFIG_BASE64 }}"}), also=_NEEDED,
)  # fmt: skip
@rejects("a pull request's token to push", SERVICE, add("jobs.check.permissions.packages", "write"), also=_NEEDED)
@rule(**_CREDENTIAL_FACTS)
def changes_get_no_credential(documented: Any, **ci: Any) -> Iterator[Problem]:
    """A job of an unreviewed change has no credential."""
    jobs = _Jobs(**ci)
    for job, has, _ in _credentials(jobs, documented):
        if Event.CHANGE in job.events and has:
            yield jobs.problem(f"gives the credential {', '.join(sorted(has))} to changes", job)
