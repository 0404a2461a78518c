"""CircleCI's configuration: it fits the published schema, and every name in it exists."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.harness import add, change, load, rejects, remove
from tests.rules.ci.configuration import Configuration, Problems, configuration_rule
from tests.rules.ci.model import Credential, Event, Job, Pipeline, effective, transitive_needs
from tests.rules.json_schema import schema_errors

PATH = ".circleci/config.yml"
_KEYS = {"version", "setup", "parameters", "executors", "commands", "jobs", "workflows"}
_BUILT_IN_STEPS = {
    "run", "checkout", "setup_remote_docker", "save_cache", "restore_cache", "store_artifacts", "store_test_results",
    "persist_to_workspace", "attach_workspace", "add_ssh_keys", "when", "unless",
}  # fmt: skip
_WORKFLOW_KEYS = {
    "name", "requires", "context", "filters", "type", "matrix", "serial-group", "pre-steps", "post-steps",
}  # fmt: skip
_CONTEXTS = {
    "registry": Credential.REGISTRY, "registry-pull": Credential.REGISTRY, "kubernetes-staging": Credential.CLUSTER,
    "kubernetes-production": Credential.CLUSTER, "template": Credential.TEMPLATE,
}  # fmt: skip
_JOBS = "workflows.service.jobs"
_STAGING = f"{_JOBS}.5.deploy"
_EXPRESSIONS = {
    "pipeline.git.branch.is_default": frozenset({Event.MAIN}),
    "not pipeline.git.branch.is_default": frozenset({Event.CHANGE}),
}
# Set by the machine or by CircleCI.
_PREDEFINED = re.compile(r"CIRCLE_\w+|BASH_ENV|HOME|PATH|PWD")


@rejects("an unknown key of a job", PATH, add("jobs.lint.executer", "docker"))
@rejects("no version", PATH, remove("version"))
@rejects("a job without an executor", PATH, remove("jobs.lint.executor"))
@rejects("a job without steps", PATH, change("jobs.lint.steps", []))
@configuration_rule(PATH)
def configuration_fits_the_schema(config: Configuration) -> Problems:
    """The configuration fits the JSON schema that CircleCI publishes."""
    return schema_errors("circle-ci", config)


_rule = functools.partial(configuration_rule, PATH, after=[configuration_fits_the_schema])


@rejects("an orb", PATH, add("orb", {"node": "circleci/node@6"}))
@_rule()
def every_key_is_known(config: Configuration) -> Problems:
    """The configuration has only known keys, and no orbs, which no test can read."""
    yield from ((key, "is an orb, or no key of CircleCI") for key in config.keys() - _KEYS)


@rejects("a step that does not exist", PATH, add("jobs.lint.steps", "conect"))
@rejects("a step of a command that does not exist", PATH, add("commands.connect.steps", "conect"))
@rejects("a missing conditional step", PATH, add("jobs.lint.steps", {"when": {"condition": True, "steps": ["conect"]}}))
@rejects("a condition without steps", PATH, add("jobs.lint.steps", {"when": {"condition": True, "steps": []}}))
@rejects("a missing command", PATH, change("jobs.deploy.steps.2", "conect"), also="everything_that_is_declared_is_used")
@_rule()
def every_step_exists(config: Configuration) -> Problems:
    """Every step is built in or a command of the configuration, and no list of steps is empty."""
    for where, name, arguments in _steps(config):
        if name in ("when", "unless") and not arguments.get("steps"):
            yield where, "has no steps"
        elif name not in _BUILT_IN_STEPS | config.get("commands", {}).keys():
            yield where, f"there is no command {name}"


@rejects("an executor that does not exist", PATH, change("jobs.lint.executor", "dockr"))
@_rule()
def every_executor_exists(config: Configuration) -> Problems:
    """Every executor that a job names is declared."""
    for name, job in config["jobs"].items():
        if (executor := _executor(job)) and executor not in config["executors"]:
            yield f"jobs.{name}.executor", f"there is no executor {executor}"


@rejects("an undeclared parameter of the job", PATH, add("jobs.deploy.steps", {"run": "echo << parameters.env >>"}))
@rejects(
    "an undeclared parameter of a command", PATH, add("commands.connect.steps", {"run": "<< parameters.region >>"})
)
@rejects("an unread parameter", PATH, add("jobs.deploy.parameters.region", {"type": "string", "default": "x"}))
@rejects("an undeclared parameter of all", PATH, add("jobs.lint.steps", {"run": "<< pipeline.parameters.region >>"}))
@_rule()
def parameters_are_declared_and_read(config: Configuration) -> Problems:
    """Jobs and commands read the parameters that they declare and no others, and no undeclared one of the pipeline."""
    for kind in ("jobs", "commands"):
        for name, entry in config[kind].items():
            declared = entry.get("parameters", {}).keys()
            read = set(re.findall(r"<<\s*parameters\.([\w-]+)", json.dumps(entry)))
            for parameter in sorted(read - declared):
                yield f"{kind}.{name}", f"reads the parameter {parameter}, which it does not declare"
            for parameter in sorted(declared - read):
                yield f"{kind}.{name}.parameters.{parameter}", "is never read"
    for parameter in re.findall(r"<<\s*pipeline\.parameters\.([\w-]+)", json.dumps(config)):
        if parameter not in config.get("parameters", {}):
            yield f"pipeline.parameters.{parameter}", "is not declared"


@rejects("a misspelt parameter", PATH, remove(f"{_STAGING}.environment"), PATH, add(f"{_STAGING}.env", "staging"))
@rejects("a parameter too many for the job", PATH, add(f"{_STAGING}.region", "x"))
@rejects("no value for a parameter", PATH, remove(f"{_STAGING}.environment"))
@rejects("a value that the parameter does not take", PATH, change(f"{_STAGING}.environment", "stagin"))
@rejects("an unknown parameter of a command", PATH, change("jobs.deploy.steps.2", {"connect": {"cluster": "x"}}))
@_rule()
def arguments_fit_the_parameters(config: Configuration) -> Problems:
    """Commands and jobs get a value for each parameter without a default, and no unknown ones."""
    targets = [(where, name, config["commands"].get(name), given) for where, name, given in _steps(config)]
    for where, _, name, details in _workflow_jobs(config):
        given = {key: value for key, value in details.items() if key not in _WORKFLOW_KEYS}
        targets.append((where, name, config["jobs"].get(name), given))
    for where, name, target, given in targets:
        if target is None:
            continue
        declared = target.get("parameters", {})
        for argument, value in given.items():
            if argument not in declared:
                yield f"{where}.{name}.{argument}", f"{name} has no parameter {argument}"
            elif "enum" in declared[argument] and value not in declared[argument]["enum"]:
                yield f"{where}.{name}.{argument}", f"{argument} of {name} may not be {value}"
        for parameter, details in declared.items():
            if "default" not in details and parameter not in given:
                yield where, f"gives {name} no {parameter}"


@rejects("a job too many that does not exist", PATH, add(_JOBS, "lints"))
@rejects("a job that runs twice", PATH, add(_JOBS, "lint"))
@rejects(
    "a job that does not exist", PATH, change(f"{_JOBS}.0", "lints"),
    also="every_required_job_runs everything_that_is_declared_is_used",
)  # fmt: skip
@_rule()
def every_job_of_a_workflow_exists(config: Configuration) -> Problems:
    """Workflows run jobs that are declared, and none of them twice under one name."""
    seen = set()
    for where, alias, name, details in _workflow_jobs(config):
        workflow = where.split(".")[1]
        if (workflow, alias) in seen:
            yield where, f"{alias} runs twice"
        seen.add((workflow, alias))
        if details.get("type") != "approval" and name not in config["jobs"]:
            yield where, f"there is no job {name}"


@rejects("a requirement that does not exist", PATH, change(f"{_STAGING}.requires", ["publis"]))
@rejects("jobs that wait for each other", PATH, change(f"{_JOBS}.0", {"lint": {"requires": ["publish"]}}))
@_rule()
def every_required_job_runs(config: Configuration) -> Problems:
    """A job requires only other jobs of the same workflow."""
    for workflow in config["workflows"]:
        jobs = [job for job in _workflow_jobs(config) if job[0].split(".")[1] == workflow]
        requires = {alias: details.get("requires", []) for _, alias, _, details in jobs}
        for where, alias, name, _ in jobs:
            for other in requires[alias]:
                if other not in requires:
                    yield f"{where}.{name}.requires", f"there is no job {other} in the workflow"
            if alias in transitive_needs(alias, requires):
                yield f"{where}.{name}.requires", f"{alias} waits for itself"


@rejects("an unpassed digest", PATH, remove("jobs.publish.steps.5"))
@rejects("an unread digest", PATH, change("jobs.deploy.steps.4.run.command", "make deploy"))
@_rule()
def deployments_take_the_digest_of_the_push(config: Configuration) -> Problems:
    """The job that pushes passes the digest of the image on, and deployments read it."""
    text = {name: json.dumps(job) for name, job in config["jobs"].items()}
    for name, job in text.items():
        if "make push" in job and '"paths": ["reports/digest.env"]' not in job:
            yield f"jobs.{name}", "passes no digest on"
        reads = "attach_workspace" in job and "$(cat reports/digest.env)" in job
        if "make deploy" in job and not reads:
            yield f"jobs.{name}", "reads no digest"


@rejects("a job that no workflow runs", PATH, remove(f"{_JOBS}.3"))
@rejects("a job that nothing runs and another requires", PATH, remove(f"{_JOBS}.2"), also="every_required_job_runs")
@rejects("a command that no job takes", PATH, remove("jobs.deploy.steps.2"))
@rejects("an executor that no job takes", PATH, add("executors.other", {"machine": {"image": "ubuntu-2404:current"}}))
@_rule()
def everything_that_is_declared_is_used(config: Configuration) -> Problems:
    """A workflow runs every job, and jobs use every command and executor."""
    used = {
        "jobs": {name for _, _, name, _ in _workflow_jobs(config)},
        "commands": {name for _, name, _ in _steps(config)},
        "executors": {_executor(job) for job in config["jobs"].values()},
    }
    for kind, names in used.items():
        yield from ((f"{kind}.{name}", "is not used") for name in config[kind] if name not in names)


def _entry(item: Any) -> tuple[str, Any]:
    """A step or job, which may be only a name, and its parameters."""
    name, details = (item, {}) if isinstance(item, str) else next(iter(item.items()))
    return name, {} if details is None else details


def _steps(config: Configuration) -> Iterator[tuple[str, str, Any]]:
    """All steps: their places, names and parameters."""
    for kind in ("jobs", "commands"):
        for name, entry in config.get(kind, {}).items():
            yield from _nested(f"{kind}.{name}.steps", entry.get("steps", []))


def _nested(where: str, steps: list[Any]) -> Iterator[tuple[str, str, Any]]:
    for index, step in enumerate(steps):
        name, arguments = _entry(step)
        yield f"{where}.{index}", name, arguments
        if name in ("when", "unless"):
            yield from _nested(f"{where}.{index}.{name}.steps", arguments.get("steps", []))


def _executor(job: dict[str, Any]) -> Any:
    executor = job.get("executor")
    return executor.get("name") if isinstance(executor, dict) else executor


def _workflow_jobs(config: Configuration) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """The jobs of workflows: their places, names in the workflow, own names and details."""
    for workflow, content in config["workflows"].items():
        for index, item in enumerate(content["jobs"]):
            name, details = _entry(item)
            yield f"workflows.{workflow}.jobs.{index}", details.get("name", name), name, details


@rejects("a token to push in the cluster", PATH, change(f"{_STAGING}.context", ["registry", "kubernetes-staging"]))
@_rule()
def the_token_to_push_stays_out_of_clusters(config: Configuration) -> Problems:
    """A job that writes the cluster's pull secret has a separate login, which cannot push."""
    for where, alias, name, details in _workflow_jobs(config):
        steps = config["jobs"].get(name, {}).get("steps", [])
        if "registry" in details.get("context", []) and "make registry-secret" in str(steps):
            yield where, f"{alias} gives the cluster the token that pushes"


def pipeline(content: bytes) -> Pipeline:
    """The jobs, and the variables in contexts."""
    config = load(content)
    jobs: list[Job] = []
    for name, workflow in config["workflows"].items():
        scheduled = workflow.get("when", {}).get("equal", [""])[0] == "scheduled_pipeline"
        own = (job for job in _workflow_jobs(config) if job[0].split(".")[1] == name)
        jobs += effective((_job(config, *job, scheduled=scheduled) for job in own), skips_missing_needs=False)
    read = {name for job in jobs for name in re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", job.commands)}
    return Pipeline(tuple(jobs), frozenset(name for name in read if not _PREDEFINED.fullmatch(name)))


def _job(config: Configuration, where: str, alias: str, name: str, details: dict[str, Any], *, scheduled: bool) -> Job:
    is_approval = details.get("type") == "approval"
    job = {} if is_approval else config["jobs"][name]
    commands = "\n".join(_commands(config, job.get("steps", [])))
    for parameter in job.get("parameters", {}):
        commands = commands.replace(f"<< parameters.{parameter} >>", str(details[parameter]))
    contexts = details.get("context", [])
    environment = str(details.get("environment", ""))
    return Job(
        name=alias,
        where=where,
        commands=commands,
        events=frozenset({Event.SCHEDULE}) if scheduled else _events(details.get("filters", {})),
        needs=frozenset(details.get("requires", [])),
        credentials=frozenset(
            _CONTEXTS[context] for context in ([contexts] if isinstance(contexts, str) else contexts)
        ),
        environment=environment,
        deploys_to=environment,
        approved=is_approval,
    )


def _events(filters: dict[str, Any] | str) -> frozenset[Event]:
    """https://circleci.com/docs/reference/configuration-reference/#jobfilters

    Branches start a job, and tags only if named. No name of a branch is that of the default branch in every project.
    """
    if isinstance(filters, str):
        return _EXPRESSIONS.get(filters, frozenset(Event))
    found = {Event.CHANGE, Event.MAIN} if filters.get("branches", {}).get("ignore") != "/.*/" else set()
    return frozenset(found | ({Event.TAG} if filters.get("tags") else set()))


def _commands(config: Configuration, steps: list[Any]) -> Iterator[str]:
    for step in steps:
        name, details = _entry(step)
        if name == "run":
            yield details if isinstance(details, str) else details["command"]
        elif name in config.get("commands", {}):
            yield from _commands(config, config["commands"][name]["steps"])
