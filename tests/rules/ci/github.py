"""GitHub's workflows: they fit the published schema, and may do no more than they need."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

from tests.harness import add, change, load, rejects, remove
from tests.rules.ci.configuration import Configuration, Problems, configuration_rule
from tests.rules.ci.model import Credential, Event, Job, Pipeline, effective
from tests.rules.json_schema import schema_errors
from tests.rules.tables import table

WORKFLOWS = ".github/workflows/*"
SERVICE, RELEASE, UPDATES = (f".github/workflows/{name}.yml" for name in ("service", "release", "template"))
Workflow = Configuration

# Of the job's own token: https://docs.github.com/actions/tutorials/authenticate-with-github_token
_TOKEN = "GITHUB_TOKEN"  # noqa: S105
# Where a job asks for its ID token: https://docs.github.com/actions/reference/security/oidc
_ID_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL"  # noqa: S105
# What each environment holds, by the name of the secret or variable; anything else is a login to the registry.
_CREDENTIALS = {
    "KUBECONFIG_BASE64": Credential.CLUSTER,
    "TEMPLATE_EMAIL": Credential.TEMPLATE,
    "TEMPLATE_READ_TOKEN": Credential.TEMPLATE,
    "TEMPLATE_TOKEN": Credential.TEMPLATE,
}
_DEPLOYED_TO = ("staging", "production")
_TRIGGERS: dict[str, Sequence[Any]] = {
    "pull_request": (None,),
    "push": ({"branches": ["main", "master", "trunk", "develop"]}, {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}),
    "workflow_dispatch": (None,),
}
_CONDITION = re.compile(
    r"github\.event_name == '(?P<event>[a-z_]+)'"
    r"(?P<is_default> && github\.ref_name == github\.event\.repository\.default_branch)?"
)
# One for each pull request, or each push: https://docs.github.com/actions/reference/workflows-and-actions/contexts
_GROUP = "${{ github.workflow }}-${{ github.event.number || github.run_id }}"
# Inputs and outputs of actions that jactionlint does not know:
# https://github.com/actions/attest#inputs, https://github.com/docker/setup-buildx-action#outputs
_INPUTS: dict[str, set[str]] = {
    "actions/attest": {"sbom-path", "subject-digest", "subject-name"},
    "crazy-max/ghaction-github-runtime": set(),
    "docker/setup-buildx-action": set(),
}
_OUTPUTS = {"docker/setup-buildx-action": {"name"}}
_ATTEST = "jobs.publish.steps.[name=Attest SBOM].with"
_REPORTS = {"ci-test": "reports/junit.xml", "scan": "reports/sbom.cdx.json"}


@rejects("an unknown key of a job", SERVICE, add("jobs.lint.timeout", 15))
@configuration_rule(WORKFLOWS)
def workflows_fit_the_schema(workflow: Workflow) -> Problems:
    """A workflow fits the JSON schema that is published for GitHub's workflows."""
    return schema_errors("github-workflows", workflow)


_rule = functools.partial(configuration_rule, WORKFLOWS, after=[workflows_fit_the_schema])


@rejects("another machine", SERVICE, change("jobs.lint.runs-on", "ubuntu-latest"))
@_rule()
def jobs_run_on_the_machine_of_the_table(workflow: Workflow) -> Problems:
    """Every job runs on the machine that the table of versions names."""
    machine = table("versions", "github")["machine"]
    for name, job in workflow["jobs"].items():
        if job.get("runs-on") != machine:
            yield f"jobs.{name}.runs-on", f"runs on {job.get('runs-on')}, not on {machine}"


@rejects("a push to another branch", SERVICE, add("on.push.branches", "wip"))
@rejects("a release of any tag", RELEASE, change("on.push.tags", ["v*"]))
@rejects("a comment", SERVICE, add("on.issue_comment", None))
@_rule()
def only_the_pipelines_events_start_a_workflow(workflow: Workflow) -> Problems:
    """Pull requests, main, tags of versions, a schedule and maintainers start workflows.

    Of all that others can start, nothing then runs with the rights of the repository.
    """
    for name, details in workflow["on"].items():
        if name != "schedule" and details not in _TRIGGERS.get(name, ()):
            yield f"on.{name}", "starts the workflow at other times than the pipeline has"


@rejects("permissions for every job", SERVICE, change("permissions", {"contents": "read"}))
@rejects("a token that may write", SERVICE, change("jobs.lint.permissions.contents", "write"))
@rejects("a job with the token's defaults", UPDATES, remove("jobs.propose-update.permissions"))
@rejects("a job that may not attest", SERVICE, remove("jobs.publish.permissions.attestations"))
@rejects("a job that may not sign", SERVICE, remove("jobs.publish.permissions.id-token"))
@rejects("a job that may not log in", SERVICE, remove("jobs.deploy-staging.permissions.id-token"))
@rejects("a job that may not push", RELEASE, remove("jobs.release.permissions.packages"))
@_rule()
def permissions_are_those_that_steps_need(workflow: Workflow) -> Problems:
    """The workflow's token has no permissions, and each job's those that its steps need."""
    if workflow.get("permissions") != {}:
        yield "permissions", "are given to every job"
    for name, job in workflow["jobs"].items():
        actions = {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step}
        needed = {
            "contents": "read" if "actions/checkout" in actions else "",
            "packages": "write" if _TOKEN in _names(job, "secrets") else "",
            "id-token": "write"
            if actions & {"actions/attest", "aws-actions/configure-aws-credentials"} or _ID_TOKEN in _commands(job)
            else "",
            "attestations": "write" if "actions/attest" in actions else "",
        }
        needed = {scope: level for scope, level in needed.items() if level}
        if job.get("permissions") != needed:
            yield f"jobs.{name}.permissions", f"are {job.get('permissions')}, but the steps need {needed}"


@rejects("a secret of every job", SERVICE, add("env", {"TOKEN": "${{ secrets.TOKEN }}"}))
@rejects("a secret of every step", UPDATES, add("jobs.propose-update.env", {"TOKEN": "${{ secrets.TEMPLATE_TOKEN }}"}))
@_rule()
def secrets_reach_single_steps(workflow: Workflow) -> Problems:
    """A secret is in the environment of one step, not of a job or the workflow."""
    outside = {**workflow, "jobs": {name: {**job, "steps": []} for name, job in workflow["jobs"].items()}}
    for name in _names(outside, "secrets"):
        yield f"secrets.{name}", f"{name} reaches more than one step"


@rejects("a secret of no environment", SERVICE, remove("jobs.deploy-staging.environment"))
@rejects("an environment of which nothing is taken", SERVICE, add("jobs.lint.environment", "lint"))
@_rule()
def secrets_and_environments_belong_together(workflow: Workflow) -> Problems:
    """Jobs with secrets or variables have an environment, which protects them, and no other jobs have one."""
    for name, job in workflow["jobs"].items():
        taken = _taken(job)
        if taken and not _environment(job):
            yield f"jobs.{name}", f"takes {', '.join(sorted(taken))} of no environment"
        if not taken and _environment(job):
            yield f"jobs.{name}.environment", f"takes nothing of the environment {_environment(job)}"


@rejects("a token that is persisted", SERVICE, change("jobs.lint.steps.0.with.persist-credentials", value=True))
@rejects("a token that is persisted by default", UPDATES, remove("jobs.propose-update.steps.0.with"))
@_rule()
def checkouts_leave_no_token(workflow: Workflow) -> Problems:
    """A checkout does not persist the job's token in the working directory."""
    for name, job in workflow["jobs"].items():
        for index, step in enumerate(job["steps"]):
            is_checkout = step.get("uses", "").startswith("actions/checkout@")
            if is_checkout and step.get("with", {}).get("persist-credentials") is not False:
                yield f"jobs.{name}.steps.{index}.with", "leaves the job's token in the working directory"


@rejects("a canceled run of main", SERVICE, change("concurrency.group", "${{ github.workflow }}-${{ github.ref }}"))
@rejects("runs that a push has replaced", SERVICE, change("concurrency.cancel-in-progress", value=False))
@_rule()
def pushes_cancel_only_their_pull_request(workflow: Workflow) -> Problems:
    """A push cancels the run of its pull request that it replaces, and no run of main."""
    group = workflow.get("concurrency", {})
    if group.get("cancel-in-progress") is not False and group.get("group") != _GROUP:
        yield "concurrency", "cancels runs of main"
    if group.get("cancel-in-progress") is False and _GROUP in group.get("group", ""):
        yield "concurrency", "lets runs go on that a push has replaced"


@rejects("two pushes at once", SERVICE, remove("jobs.publish.concurrency"))
@rejects("tests that wait for each other", SERVICE, add("jobs.lint.concurrency", {"group": "lint"}))
@rejects("a canceled deployment", SERVICE, change("jobs.deploy-production.concurrency.cancel-in-progress", value=True))
@rejects("concurrent deployments", SERVICE, change("jobs.deploy-staging.concurrency.group", "${{ github.sha }}"))
@rejects("a push that waits for deployments", SERVICE, change("jobs.publish.concurrency.group", "staging"))
@_rule()
def pushes_and_deployments_run_one_at_a_time(workflow: Workflow) -> Problems:
    """Jobs that push or deploy wait for others of their kind, run to their end, and no other job waits."""
    groups: list[str] = []
    for name, job in workflow["jobs"].items():
        group = job.get("concurrency", {})
        if re.search(r"\bmake (push|deploy)\b", _commands(job)):
            if not group:
                yield f"jobs.{name}", "may run while another does"
            groups.append(group.get("group", ""))
        elif group:
            yield f"jobs.{name}.concurrency", "makes the job wait for others of its name"
        if group.get("cancel-in-progress"):
            yield f"jobs.{name}.concurrency", "cancels what is in progress"
        environment = _environment(job)
        if environment in _DEPLOYED_TO and group.get("group") != environment:
            yield f"jobs.{name}.concurrency", f"is not the group of {environment}"
    if len(set(groups)) != len(groups):
        yield "jobs", "wait for jobs of another kind"


@rejects("an unread digest", SERVICE, remove("jobs.deploy-staging.steps.[run=make deploy ENVIRONMENT=staging].env"))
@_rule()
def deployments_take_the_digest_of_the_push(workflow: Workflow) -> Problems:
    """Deployments get the digest that the job that pushes has as its output."""
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            digest = step.get("env", {}).get("DIGEST", "")
            if "make deploy" in step.get("run", "") and "needs.publish.outputs.digest" not in digest:
                yield f"jobs.{name}", "reads no digest"


@rejects("a job that may take hours", SERVICE, remove("jobs.lint.timeout-minutes"))
@rejects("a deployment that is cut off", SERVICE, change("jobs.deploy-staging.timeout-minutes", 10))
@_rule()
def every_job_has_a_timeout(workflow: Workflow) -> Problems:
    """A job ends within an hour, a deployment within five, but not before its migration may."""
    for name, job in workflow["jobs"].items():
        least, most = (150, 300) if "make deploy" in _commands(job) else (1, 60)
        if not least <= job.get("timeout-minutes", 360) <= most:
            yield f"jobs.{name}.timeout-minutes", f"may take {job.get('timeout-minutes', 'six hours of')} minutes"


@rejects("a condition on the branch", SERVICE, change("jobs.publish.if", "github.ref == 'refs/heads/main'"))
@rejects("a job that never runs", SERVICE, change("jobs.publish.if", "github.event_name == 'release'"))
@_rule()
def conditions_of_jobs_compare_the_event(workflow: Workflow) -> Problems:
    """The `if` of a job compares the event with one that starts the workflow, so that `pipeline` knows when it runs.

    It may require the default branch too, which no event can name.
    """
    for name, job in workflow["jobs"].items():
        found = _CONDITION.fullmatch(job.get("if", ""))
        if "if" in job and not found:
            yield f"jobs.{name}.if", "does not compare the event"
        elif found and found["event"] not in workflow["on"]:
            yield f"jobs.{name}.if", f"waits for {found['event']}, which does not start the workflow"


@rejects("results that are not uploaded", SERVICE, change("jobs.test.steps.2.with.path", "reports/tests.xml"))
@rejects("a list of packages that is not made", SERVICE, change("jobs.build.steps.3.run", "make image"))
@_rule()
def reports_are_uploaded(workflow: Workflow) -> Problems:
    """What tests and scans write is uploaded by the job that makes it."""
    for name, job in workflow["jobs"].items():
        for target, path in _REPORTS.items():
            made = re.search(rf"\bmake ([a-z-]+ )*{target}\b", _commands(job))
            uploaded = any(step.get("with", {}).get("path") == path for step in job["steps"])
            if made and not uploaded:
                yield f"jobs.{name}", f"does not upload {path}"
            if uploaded and not made:
                yield f"jobs.{name}", f"uploads {path}, which it does not make"


@rejects("an image whose packages are not attested", SERVICE, remove(f"{_ATTEST}.sbom-path"))
@_rule()
def the_build_and_the_packages_are_attested(workflow: Workflow) -> Problems:
    """A job that attests an image attests both how it was built and the packages that the scan lists."""
    for name, job in workflow["jobs"].items():
        attested = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/attest@")]
        if attested and {inputs.get("sbom-path") for inputs in attested} != {None, _REPORTS["scan"]}:
            yield f"jobs.{name}", "does not attest both its own run and what the scan lists"


@rejects("an input that the action does not have", SERVICE, add(f"{_ATTEST}.subject-digst", "sha256:0"))
@rejects(
    "an output that the builder does not have", SERVICE,
    change("jobs.build.steps.3.env.BUILD_FLAGS", "--builder=${{ steps.buildx.outputs.builder }}"),
)  # fmt: skip
@rejects(
    "an output that the script does not write", SERVICE,
    change("jobs.publish.steps.[id=image].run", 'echo "sha256=0" >> "$GITHUB_OUTPUT"'),
)  # fmt: skip
@_rule()
def inputs_and_outputs_exist(workflow: Workflow) -> Problems:
    """Every input is one of the action, and every output one that the step has."""
    for name, job in workflow["jobs"].items():
        outputs: dict[str, set[str]] = {}
        for index, step in enumerate(job["steps"]):
            action = step.get("uses", "").partition("@")[0]
            for given in step.get("with", {}):
                if given not in _INPUTS.get(action, {given}):
                    yield f"jobs.{name}.steps.{index}.with.{given}", f"{action} has no input {given}"
            if "id" in step:
                written = set(re.findall(r'echo "([\w-]+)=.*>> "\$GITHUB_OUTPUT"', step.get("run", "")))
                outputs[step["id"]] = _OUTPUTS.get(action, written)
        for step_id, output in re.findall(r"\bsteps\.([\w-]+)\.outputs\.([\w-]+)", json.dumps(job)):
            if output not in outputs.get(step_id, ()):
                yield f"steps.{step_id}.outputs.{output}", f"the step {step_id} has no output {output}"


def _names(value: Any, kind: str) -> set[str]:
    """The secrets or variables that expressions in this part of a workflow read."""
    return set(re.findall(rf"\b{kind}\.([A-Za-z_]\w*)", json.dumps(value)))


def _taken(job: dict[str, Any]) -> set[str]:
    """The secrets and variables of its environment that a job takes."""
    return _names(job, "secrets") - {_TOKEN} | _names(job, "vars")


def _environment(job: dict[str, Any]) -> str:
    found = job.get("environment", "")
    return str(found["name"] if isinstance(found, dict) else found)


def _commands(job: dict[str, Any]) -> str:
    return "\n".join(step["run"] for step in job["steps"] if "run" in step)


def pipeline(content: bytes) -> Pipeline:
    """The jobs of a workflow, and its secrets and variables."""
    workflow = load(content)
    jobs = [_job(workflow, name, job) for name, job in workflow["jobs"].items()]
    taken = {name for job in workflow["jobs"].values() for name in _taken(job)}
    return Pipeline(effective(jobs, skips_missing_needs=False), frozenset(taken))


def _job(workflow: Workflow, name: str, job: dict[str, Any]) -> Job:
    needs = job.get("needs", [])
    environment = _environment(job)
    condition = _CONDITION.fullmatch(job.get("if", ""))
    triggers = {
        trigger: details
        for trigger, details in workflow["on"].items()
        if not condition or trigger == condition["event"]
    }
    events = frozenset().union(*(_events(*trigger) for trigger in triggers.items()))
    credentials = {_CREDENTIALS.get(secret, Credential.REGISTRY) for secret in _taken(job)}
    if job.get("permissions", {}).get("packages") == "write":
        credentials.add(Credential.REGISTRY)
    return Job(
        name=name,
        where=f"jobs.{name}",
        commands=_commands(job),
        events=events - {Event.CHANGE} if condition and condition["is_default"] else events,
        needs=frozenset([needs] if isinstance(needs, str) else needs),
        credentials=frozenset(credentials),
        environment=environment,
        deploys_to=environment if environment in _DEPLOYED_TO else "",
        # The team protects this environment, as in the README: it is not in any file.
        approved=environment == "production",
    )


def _events(name: str, details: dict[str, Any] | None) -> frozenset[Event]:
    """https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#on"""
    if name == "push":
        filters = details or {"branches": [], "tags": []}
        found = {Event.CHANGE, Event.MAIN} if "branches" in filters else set()
        return frozenset(found | ({Event.TAG} if "tags" in filters else set()))
    return frozenset({Event.SCHEDULE} if name in ("schedule", "workflow_dispatch") else {Event.CHANGE})
