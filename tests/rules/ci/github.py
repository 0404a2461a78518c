"""GitHub's workflows: they fit the published schema, are clean to their linters, and may do no more than they need."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness import Files, Problem, Projects, add, change, file_rule, load, remove, replace, tool_rule
from tests.rules.ci.configuration import Configuration, Problems, configuration_rule
from tests.rules.ci.model import CHANGE, CLUSTER, MAIN, REGISTRY, SCHEDULE, TAG, TEMPLATE, Job, Pipeline, effective
from tests.rules.json_schema import schema_errors
from tests.rules.tables import table
from tests.validators.kustomize import tool

WORKFLOWS = ".github/workflows/*"
SERVICE, RELEASE, UPDATES = (f".github/workflows/{name}.yml" for name in ("service", "release", "template"))
Workflow = Configuration

# Of the job's own token: https://docs.github.com/actions/tutorials/authenticate-with-github_token
_TOKEN = "GITHUB_TOKEN"  # noqa: S105
# What each environment holds, by the name of the secret or variable; anything else is a login to the registry.
_CREDENTIALS = {"KUBECONFIG_BASE64": CLUSTER, "TEMPLATE_TOKEN": TEMPLATE}
_DEPLOYED_TO = ("staging", "production")
_TRIGGERS: dict[str, Sequence[Any]] = {
    "pull_request": (None,),
    "push": ({"branches": ["main"]}, {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}),
    "workflow_dispatch": (None,),
}
_CONDITION = re.compile(r"github\.event_name == '([a-z_]+)'")
# One for each pull request, or each push: https://docs.github.com/actions/reference/workflows-and-actions/contexts
_GROUP = "${{ github.workflow }}-${{ github.event.number || github.run_id }}"
# Of the actions that jactionlint does not know, what the workflows give and take:
# https://github.com/actions/attest#inputs, https://github.com/docker/setup-buildx-action#outputs
_INPUTS: dict[str, set[str]] = {
    "actions/attest": {"sbom-path", "subject-digest", "subject-name"},
    "crazy-max/ghaction-github-runtime": set(),
    "docker/setup-buildx-action": set(),
}
_OUTPUTS = {"docker/setup-buildx-action": {"name"}}
_REPORTS = {"ci-test": "reports/junit.xml", "scan": "reports/sbom.cdx.json"}


@configuration_rule(WORKFLOWS)
def workflows_fit_the_schema(workflow: Workflow) -> Problems:
    """A workflow fits the JSON schema that is published for GitHub's workflows."""
    return schema_errors("github-workflows", workflow)


_rule = functools.partial(configuration_rule, WORKFLOWS, after=[workflows_fit_the_schema])


@file_rule(WORKFLOWS)
def actions_are_pinned_to_a_commit(path: str, content: bytes) -> Iterator[Problem]:
    """Every action is at the commit of the table of versions, with its version beside it."""
    pins = table("versions", "github")["actions"]
    known = {f"{name}@{pin['commit']} # v{pin['version']}" for name, pin in pins.items()}
    for used in re.findall(r"\buses: *(.*)$", content.decode(), re.MULTILINE):
        if used not in known:
            yield Problem(path, f"{used} is no action of the table with its commit and version", used)


def test_every_pinned_action_is_used(projects: Projects) -> None:
    """The table of versions has no action that nothing uses."""
    texts = [projects.contents[number].decode() for _, number in projects.each(WORKFLOWS)]
    used = {name for text in texts for name in re.findall(r"uses: ([^@]+)@", text)}
    assert used == table("versions", "github")["actions"].keys()


@_rule()
def jobs_run_on_the_machine_of_the_table(workflow: Workflow) -> Problems:
    """Every job runs on the machine that the table of versions names."""
    machine = table("versions", "github")["machine"]
    for name, job in workflow["jobs"].items():
        if job.get("runs-on") != machine:
            yield f"jobs.{name}.runs-on", f"runs on {job.get('runs-on')}, not on {machine}"


@_rule()
def only_the_pipelines_events_start_a_workflow(workflow: Workflow) -> Problems:
    """Pull requests, main, tags of versions, a schedule and maintainers start workflows.

    Of all that others can start, nothing then runs with the rights of the repository.
    """
    for name, details in workflow["on"].items():
        if name != "schedule" and details not in _TRIGGERS.get(name, ()):
            yield f"on.{name}", "starts the workflow at other times than the pipeline has"


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
            "id-token": "write" if actions & {"actions/attest", "aws-actions/configure-aws-credentials"} else "",
            "attestations": "write" if "actions/attest" in actions else "",
        }
        needed = {scope: level for scope, level in needed.items() if level}
        if job.get("permissions") != needed:
            yield f"jobs.{name}.permissions", f"are {job.get('permissions')}, but the steps need {needed}"


@_rule()
def secrets_reach_single_steps(workflow: Workflow) -> Problems:
    """A secret is in the environment of one step, not of a job or the workflow."""
    outside = {**workflow, "jobs": {name: {**job, "steps": []} for name, job in workflow["jobs"].items()}}
    for name in _names(outside, "secrets"):
        yield f"secrets.{name}", f"{name} reaches more than one step"


@_rule()
def secrets_and_environments_belong_together(workflow: Workflow) -> Problems:
    """A job that takes secrets or variables has an environment, which says who may have them, and no other job has."""
    for name, job in workflow["jobs"].items():
        taken = _taken(job)
        if taken and not _environment(job):
            yield f"jobs.{name}", f"takes {', '.join(sorted(taken))} of no environment"
        if not taken and _environment(job):
            yield f"jobs.{name}.environment", f"takes nothing of the environment {_environment(job)}"


@_rule()
def checkouts_leave_no_token(workflow: Workflow) -> Problems:
    """A checkout does not persist the job's token in the working directory."""
    for name, job in workflow["jobs"].items():
        for index, step in enumerate(job["steps"]):
            is_checkout = step.get("uses", "").startswith("actions/checkout@")
            if is_checkout and step.get("with", {}).get("persist-credentials") is not False:
                yield f"jobs.{name}.steps.{index}.with", "leaves the job's token in the working directory"


@_rule()
def pushes_cancel_only_their_pull_request(workflow: Workflow) -> Problems:
    """A push cancels the run of its pull request that it replaces, and no run of main."""
    group = workflow.get("concurrency", {})
    if group.get("cancel-in-progress") is not False and group.get("group") != _GROUP:
        yield "concurrency", "cancels runs of main"
    if group.get("cancel-in-progress") is False and _GROUP in group.get("group", ""):
        yield "concurrency", "lets runs go on that a push has replaced"


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


@_rule()
def every_job_has_a_timeout(workflow: Workflow) -> Problems:
    """A job ends within an hour, but not before a deployment does, which itself waits ten minutes."""
    for name, job in workflow["jobs"].items():
        least = 15 if "make deploy" in _commands(job) else 1
        if not least <= job.get("timeout-minutes", 360) <= 60:
            yield f"jobs.{name}.timeout-minutes", f"may take {job.get('timeout-minutes', 'six hours of')} minutes"


@_rule()
def conditions_of_jobs_compare_the_event(workflow: Workflow) -> Problems:
    """The `if` of a job compares the event with one that starts the workflow, so that `pipeline` knows when it runs."""
    for name, job in workflow["jobs"].items():
        found = _CONDITION.fullmatch(job.get("if", ""))
        if "if" in job and not found:
            yield f"jobs.{name}.if", "does not compare the event"
        elif found and found[1] not in workflow["on"]:
            yield f"jobs.{name}.if", f"waits for {found[1]}, which does not start the workflow"


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


@_rule()
def the_build_and_the_packages_are_attested(workflow: Workflow) -> Problems:
    """A job that attests an image attests both how it was built and the packages that the scan lists."""
    for name, job in workflow["jobs"].items():
        attested = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/attest@")]
        if attested and {inputs.get("sbom-path") for inputs in attested} != {None, _REPORTS["scan"]}:
            yield f"jobs.{name}", "does not attest both its own run and what the scan lists"


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


@tool_rule(WORKFLOWS, sets="each")
def actionlint_finds_nothing(batch: Sequence[Files], scratch: Path) -> Iterable[Iterable[Problem]]:
    """Workflows are clean to jactionlint, and their scripts to shellcheck within it."""
    command = ("--profile=default", "--no-online", f"--shellcheck={tool('shellcheck')}", "--format=json")
    found: dict[str, list[tuple[str, int]]] = {}
    for item in _run("jactionlint", (0, 1), *command, batch=batch, scratch=scratch):
        found.setdefault(item["filepath"], []).append((f"{item['id']}: {item['message']}", item["line"]))
    return _problems(batch, found)


@tool_rule(WORKFLOWS, sets="each")
def zizmor_finds_nothing(batch: Sequence[Files], scratch: Path) -> Iterable[Iterable[Problem]]:
    """Workflows are clean to zizmor's pedantic persona."""
    command = ("--no-config", "--strict-collection", "--offline", "--persona=pedantic", "--no-exit-codes", "--quiet")
    found: dict[str, list[tuple[str, int]]] = {}
    for item in _run("zizmor", (0,), *command, "--format=json", batch=batch, scratch=scratch):
        place = next(part for part in item["locations"] if part["symbolic"]["kind"] == "Primary")
        message = f"{item['ident']}: {item['desc']}: {place['symbolic']['annotation']}"
        line = place["concrete"]["location"]["start_point"]["row"] + 1
        found.setdefault(place["symbolic"]["key"]["Local"]["verbatim_path"], []).append((message, line))
    return _problems(batch, found)


def _run(name: str, codes: tuple[int, ...], *options: str, batch: Sequence[Files], scratch: Path) -> Any:
    """What a linter says of all workflows, each in a repository of its own."""
    for index, files in enumerate(batch):
        for path, content in files.items():
            place = scratch / str(index) / path
            place.parent.mkdir(parents=True)
            place.write_bytes(content)
    paths = [f"{index}/{path}" for index, files in enumerate(batch) for path in files]
    done = subprocess.run([tool(name), *options, *paths], capture_output=True, check=False, cwd=scratch)
    if done.returncode not in codes or not done.stdout:
        raise RuntimeError(done.stderr.decode())
    return json.loads(done.stdout)


def _problems(batch: Sequence[Files], found: Mapping[str, Sequence[tuple[str, int]]]) -> Iterator[list[Problem]]:
    for index, files in enumerate(batch):
        yield [
            Problem(path, message, str(line)) for path in files for message, line in found.get(f"{index}/{path}", ())
        ]


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
    """The jobs of a workflow, and the secrets and variables that people set."""
    workflow = load(content)
    jobs = [_job(workflow, name, job) for name, job in workflow["jobs"].items()]
    taken = {name for job in workflow["jobs"].values() for name in _taken(job)}
    return Pipeline(effective(jobs, skips_missing_needs=False), frozenset(taken))


def _job(workflow: Workflow, name: str, job: dict[str, Any]) -> Job:
    needs = job.get("needs", [])
    environment = _environment(job)
    condition = _CONDITION.fullmatch(job.get("if", ""))
    triggers = {
        trigger: details for trigger, details in workflow["on"].items() if not condition or trigger == condition[1]
    }
    credentials = {_CREDENTIALS.get(secret, REGISTRY) for secret in _taken(job)}
    if job.get("permissions", {}).get("packages") == "write":
        credentials.add(REGISTRY)
    return Job(
        name=name,
        commands=_commands(job),
        events=frozenset().union(*(_events(*trigger) for trigger in triggers.items())),
        needs=frozenset([needs] if isinstance(needs, str) else needs),
        credentials=frozenset(credentials),
        environment=environment,
        deploys_to=environment if environment in _DEPLOYED_TO else "",
        # People protect this environment, as the README tells them: no file can say so.
        approved=environment == "production",
    )


def _events(name: str, details: dict[str, Any] | None) -> frozenset[str]:
    """https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#on"""
    if name == "push":
        filters = details or {"branches": [], "tags": []}
        branches = filters.get("branches")
        found = {MAIN} if branches == ["main"] else {CHANGE, MAIN} if branches is not None else set()
        return frozenset(found | ({TAG} if "tags" in filters else set()))
    return frozenset({SCHEDULE} if name in ("schedule", "workflow_dispatch") else {CHANGE})
