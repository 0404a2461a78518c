"""GitHub's workflows: their published schema, actionlint and zizmor, and what none of these wants of a workflow."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.validators import Files, Finding, derive, published, yaml_files
from tests.validators.jobs import CHANGE, CLUSTER, MAIN, REGISTRY, SCHEDULE, TAG, TEMPLATE, Job, Pipeline, settled
from tests.validators.kustomize import memory, tool
from tests.verdicts import remember

FOLDER = ".github/workflows"
PATH = f"{FOLDER}/service.yml"
PATHS = (PATH, f"{FOLDER}/release.yml", f"{FOLDER}/template.yml")
Found = Iterator[tuple[str, str]]
Workflow = dict[str, Any]

# Of the job's own token: https://docs.github.com/actions/tutorials/authenticate-with-github_token
_TOKEN = "GITHUB_TOKEN"  # noqa: S105
# What each environment holds, by the name of the secret or variable; anything else is a login to the registry.
_CREDENTIALS = {"KUBECONFIG_BASE64": CLUSTER, "TEMPLATE_TOKEN": TEMPLATE}
_DEPLOYED_TO = ("staging", "production")
# The run of each pull request, or of one push: https://docs.github.com/actions/reference/workflows-and-actions/contexts
_ONE_RUN = "${{ github.workflow }}-${{ github.event.number || github.run_id }}"
# Of the actions that jactionlint does not know, what the workflows give and take:
# https://github.com/actions/attest#inputs, https://github.com/docker/setup-buildx-action#outputs
_INPUTS: dict[str, set[str]] = {
    "actions/attest": {"sbom-path", "subject-digest", "subject-name"},
    "crazy-max/ghaction-github-runtime": set(),
    "docker/setup-buildx-action": set(),
}
_OUTPUTS = {"docker/setup-buildx-action": {"name"}}
_REPORTS = {"ci-test": "reports/junit.xml", "scan": "reports/sbom.cdx.json"}


def paths(files: Files) -> list[str]:
    return [path for path in files if path.startswith(f"{FOLDER}/") and path[-1] != "/"]


def check(files: Files, pins: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with each workflow; the pins are those of the template's table."""
    for path in paths(files):
        workflow = yaml_files.load(files[path])[0]
        broken = False
        for where, message in published.misfits("github-workflows", workflow):
            broken = True
            yield Finding(path, where, "schema", message)
        if not broken:
            for name, rule in RULES.items():
                for where, message in rule(workflow):
                    yield Finding(path, where, name, message)
            for where, message in _pins(workflow, files[path].decode(), pins):
                yield Finding(path, where, "pins", message)


def _pins(workflow: Workflow, text: str, pins: Mapping[str, Any]) -> Found:
    """Every action is the commit of the table, with its version beside it, and every machine is that of the table."""
    known = {f"{name}@{pin['commit']} # v{pin['version']}" for name, pin in pins["actions"].items()}
    for used in re.findall(r"\buses: *(.*)$", text, re.MULTILINE):
        if used not in known:
            yield "jobs", f"{used} is no action of the table with its commit and version"
    for name, job in workflow["jobs"].items():
        if job.get("runs-on") != pins["machine"]:
            yield f"jobs.{name}", f"runs on {job.get('runs-on')}, not on {pins['machine']}"


def _triggers(workflow: Workflow) -> Found:
    """Nothing but these starts a workflow: of all that others can start, none runs with what the repository may do."""
    wanted = {
        "pull_request": (None,),
        "push": ({"branches": ["main"]}, {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}),
        "workflow_dispatch": (None,),
    }
    for name, details in workflow["on"].items():
        if name == "schedule":
            continue
        if details not in wanted.get(name, ()):
            yield f"on.{name}", "starts it at other times than the pipeline has"


def _permissions(workflow: Workflow) -> Found:
    """The job's token may do what the job's steps need, and nothing else."""
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
            yield f"jobs.{name}.permissions", f"are {job.get('permissions')}, but its steps need {needed}"


def _secrets(workflow: Workflow) -> Found:
    """Each secret is of an environment, which says who may have it, and reaches one step alone."""
    outside = {**workflow, "jobs": {name: {**job, "steps": []} for name, job in workflow["jobs"].items()}}
    for name in _names(outside, "secrets"):
        yield "env", f"{name} reaches more than one step"
    for name, job in workflow["jobs"].items():
        held = _names(job, "secrets") - {_TOKEN} | _names(job, "vars")
        if held and not _environment(job):
            yield f"jobs.{name}", f"takes {', '.join(sorted(held))} of no environment"
        if not held and _environment(job):
            yield f"jobs.{name}", f"takes nothing of the environment {_environment(job)}"
        for step in job["steps"]:
            checkout = step.get("uses", "").startswith("actions/checkout@")
            if checkout and step.get("with", {}).get("persist-credentials") is not False:
                yield f"jobs.{name}", "leaves the job's token in the folder"


def _concurrency(workflow: Workflow) -> Found:
    """A push cancels only runs of its own pull request; what changes the world runs one at a time, to its end."""
    group = workflow.get("concurrency", {})
    if group.get("cancel-in-progress") is not False and group.get("group") != _ONE_RUN:
        yield "concurrency", "cancels runs of main"
    if group.get("cancel-in-progress") is False and _ONE_RUN in group.get("group", ""):
        yield "concurrency", "lets what a push has replaced run on"
    groups: list[str] = []
    for name, job in workflow["jobs"].items():
        group = job.get("concurrency", {})
        commands = _commands(job)
        if re.search(r"\bmake (push|deploy)\b", commands):
            if not group:
                yield f"jobs.{name}", "may run while another does"
            groups.append(group.get("group", ""))
        elif group:
            yield f"jobs.{name}", "waits for others of its name"
        if group.get("cancel-in-progress"):
            yield f"jobs.{name}.concurrency", "stops what is under way"
        environment = _environment(job)
        if environment in _DEPLOYED_TO and group.get("group") != environment:
            yield f"jobs.{name}.concurrency", f"is not that of {environment}"
    if len(set(groups)) != len(groups):
        yield "jobs", "wait for jobs of another kind"


def _times(workflow: Workflow) -> Found:
    """Every job ends; a deployment waits ten minutes by itself."""
    for name, job in workflow["jobs"].items():
        least = 15 if "make deploy" in _commands(job) else 1
        if not least <= job.get("timeout-minutes", 360) <= 60:
            yield f"jobs.{name}", f"may take {job.get('timeout-minutes', 'six hours of')} minutes"


def _conditions(workflow: Workflow) -> Found:
    """What `pipeline` understands, so that it says of each job when it runs."""
    for name, job in workflow["jobs"].items():
        if "if" in job and not (found := _CONDITION.fullmatch(job["if"])):
            yield f"jobs.{name}.if", "is no comparison with an event"
        elif "if" in job and found and found[1] not in workflow["on"]:
            yield f"jobs.{name}.if", f"waits for {found[1]}, which does not start the workflow"


def _reports(workflow: Workflow) -> Found:
    """What tests and scans write is kept, and what is attested is what the scan has found."""
    for name, job in workflow["jobs"].items():
        commands = _commands(job)
        for target, path in _REPORTS.items():
            made = re.search(rf"\bmake ([a-z-]+ )*{target}\b", commands)
            kept = [step for step in job["steps"] if step.get("with", {}).get("path") == path]
            if made and not kept:
                yield f"jobs.{name}", f"does not keep {path}"
            if kept and not made:
                yield f"jobs.{name}", f"keeps {path}, which it does not make"
        attested = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/attest@")]
        if attested and {step.get("sbom-path") for step in attested} != {None, _REPORTS["scan"]}:
            yield f"jobs.{name}", "does not attest both its own run and what the scan lists"


def _parameters(workflow: Workflow) -> Found:
    """Every input is one of the action, and every output one that the step has."""
    for name, job in workflow["jobs"].items():
        outputs: dict[str, set[str]] = {}
        for step in job["steps"]:
            action = step.get("uses", "").partition("@")[0]
            for given in step.get("with", {}):
                if given not in _INPUTS.get(action, {given}):
                    yield f"jobs.{name}", f"{action} has no input {given}"
            if "id" in step:
                written = set(re.findall(r'echo "([\w-]+)=.*>> "\$GITHUB_OUTPUT"', step.get("run", "")))
                outputs[step["id"]] = _OUTPUTS.get(action, written)
        for step_id, output in re.findall(r"\bsteps\.([\w-]+)\.outputs\.([\w-]+)", json.dumps(job)):
            if output not in outputs.get(step_id, ()):
                yield f"jobs.{name}", f"the step {step_id} has no output {output}"


RULES: dict[str, Callable[[Workflow], Found]] = {
    "triggers": _triggers,
    "permissions": _permissions,
    "secrets": _secrets,
    "concurrency": _concurrency,
    "times": _times,
    "conditions": _conditions,
    "reports": _reports,
    "parameters": _parameters,
}


def _names(value: Any, kind: str) -> set[str]:
    """The secrets or variables that expressions in this part of a workflow read."""
    return set(re.findall(rf"\b{kind}\.([A-Za-z_]\w*)", json.dumps(value)))


def _environment(job: dict[str, Any]) -> str:
    found = job.get("environment", "")
    return str(found["name"] if isinstance(found, dict) else found)


def _commands(job: dict[str, Any]) -> str:
    return "\n".join(step["run"] for step in job["steps"] if "run" in step)


def lint(sets: Sequence[Files], scratch: Path) -> list[list[Finding]]:
    """What jactionlint, shellcheck within it, and zizmor's pedantic persona say of workflows, each in one call."""
    inputs = [[[path, files[path]] for path in paths(files)] for files in sets]
    found = remember("workflows", "", inputs, lambda missing: _lint([inputs[index] for index in missing], scratch))
    return [[Finding(*finding) for finding in findings] for findings in found]


def _lint(inputs: list[list[list[Any]]], scratch: Path) -> list[list[Finding]]:
    found: list[list[Finding]] = [[] for _ in inputs]
    with tempfile.TemporaryDirectory(dir=memory(scratch)) as folder:
        places = []
        for index, files in enumerate(inputs):
            for path, content in files:
                places.append(Path(folder, str(index), path))
                places[-1].parent.mkdir(parents=True, exist_ok=True)
                places[-1].write_bytes(content)

        def add(path: str, line: int, check: str, message: str) -> None:
            index, _, name = str(Path(folder, path).relative_to(folder)).partition("/")
            found[int(index)].append(Finding(name, str(line), check, message))

        shellcheck = f"--shellcheck={tool('shellcheck')}"
        command = (tool("jactionlint"), "--profile=default", "--no-online", shellcheck, "--format=json")
        for item in _run(folder, (0, 1), *command, *places):
            # Of shellcheck's rules, the message has the name.
            rule = re.search(r"\bSC\d+\b", item["message"]) if item["kind"] == "shellcheck" else None
            add(item["filepath"], item["line"], f"jactionlint {rule[0] if rule else item['id']}", item["message"])
        command = (tool("zizmor"), "--no-config", "--strict-collection", "--offline", "--persona=pedantic")
        for item in _run(folder, (0,), *command, "--no-exit-codes", "--quiet", "--format=json", *places):
            place = next(part for part in item["locations"] if part["symbolic"]["kind"] == "Primary")
            path = place["symbolic"]["key"]["Local"]["verbatim_path"]
            line = place["concrete"]["location"]["start_point"]["row"] + 1
            add(path, line, f"zizmor {item['ident']}", f"{item['desc']}: {place['symbolic']['annotation']}")
    return found


def _run(folder: str, codes: tuple[int, ...], *command: str | Path) -> Any:
    done = subprocess.run(command, capture_output=True, check=False, cwd=folder)
    if done.returncode not in codes or not done.stdout:
        raise RuntimeError(done.stderr.decode())
    return json.loads(done.stdout)


_CONDITION = re.compile(r"github\.event_name == '([a-z_]+)'")


def pipeline(files: Files) -> Pipeline:
    return _pipeline(tuple((path, files[path]) for path in PATHS if path in files))


@functools.cache
def _pipeline(workflows: tuple[tuple[str, bytes], ...]) -> Pipeline:
    jobs: list[Job] = []
    variables: set[str] = set()
    for path, content in workflows:
        workflow = yaml_files.load(content)[0]
        events = {name: _events(name, details) for name, details in workflow["on"].items()}
        found = []
        for name, job in workflow["jobs"].items():
            held = _names(job, "secrets") - {_TOKEN} | _names(job, "vars")
            variables |= held
            found.append(_job(path, name, job, events, held))
        jobs += settled(found, together=True)
    return Pipeline(jobs, frozenset(variables))


def _events(name: str, details: dict[str, Any] | None) -> frozenset[str]:
    """https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#on"""
    if name == "push":
        filters = details or {"branches": [], "tags": []}
        branches = filters.get("branches")
        found = {MAIN} if branches == ["main"] else {CHANGE, MAIN} if branches is not None else set()
        return frozenset(found | ({TAG} if "tags" in filters else set()))
    return frozenset({SCHEDULE} if name in ("schedule", "workflow_dispatch") else {CHANGE})


def _job(path: str, name: str, job: dict[str, Any], events: Mapping[str, frozenset[str]], held: set[str]) -> Job:
    needs = job.get("needs", [])
    needs = [needs] if isinstance(needs, str) else needs
    condition = _CONDITION.fullmatch(job.get("if", ""))
    started = events.get(condition[1], frozenset()) if condition else frozenset().union(*events.values())
    credentials = {_CREDENTIALS.get(secret, REGISTRY) for secret in held}
    if job.get("permissions", {}).get("packages") == "write":
        credentials.add(REGISTRY)
    environment = _environment(job)
    return Job(
        path,
        name,
        _commands(job),
        started,
        frozenset(needs),
        frozenset(credentials),
        environment if environment in _DEPLOYED_TO else "",
        # People protect this environment, as the README tells them: no file can say so.
        approved=environment == "production",
    )


def attested(files: Files) -> dict[str, object]:
    """The images that are attested, by place."""
    return {f"{path} {image}": image for path in PATHS for image in derive(files, path, _attested) or ()}


def _attested(content: bytes) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.findall(r"^ +subject-name: (.*)$", content.decode(), re.MULTILINE)))


def logins(files: Files) -> Found:
    """A step that makes a login gives `make` the variables that the target reads, and no other step has any."""
    for path in PATHS:
        for line, targets, given in derive(files, path, _steps) or ():
            read = {
                name
                for other in ("Makefile", "kubernetes.mk")
                for target, names in derive(files, other, _read_by_targets) or ()
                if target in targets
                for name in names
            }
            if read != set(given):
                yield path, f"{line} reads {', '.join(sorted(read)) or 'nothing'} and is given {', '.join(given)}"


def _steps(content: bytes) -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    """The steps that make a login: the command, its targets, and the secrets that it is given."""
    return tuple(
        (step["run"], tuple(step["run"].split()[1:]), tuple(sorted(step.get("env", {}))))
        for job in yaml_files.load(content)[0]["jobs"].values()
        for step in job["steps"]
        if re.fullmatch(r"make (login|registry-secret)\b.*", step.get("run", ""))
    )


def _read_by_targets(content: bytes) -> tuple[tuple[str, tuple[str, ...]], ...]:
    recipes = re.findall(r"^(login|registry-secret):.*\n((?:\t.*\n)+)", content.decode(), re.MULTILINE)
    return tuple((target, tuple(re.findall(r"\$\$([A-Z][A-Z0-9_]+)", recipe))) for target, recipe in recipes)
