"""CircleCI's configuration: its published schema, and the names in it that must exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.validators import Files, Finding, published, yaml_files
from tests.validators.jobs import (
    CHANGE,
    CLUSTER,
    MAIN,
    REGISTRY,
    SCHEDULE,
    TAG,
    TEMPLATE,
    Job,
    Pipeline,
    before,
    settled,
)

PATH = ".circleci/config.yml"
_TOP = {"version", "setup", "parameters", "executors", "commands", "jobs", "workflows"}
_BUILT_IN_STEPS = {
    "run", "checkout", "setup_remote_docker", "save_cache", "restore_cache", "store_artifacts", "store_test_results",
    "persist_to_workspace", "attach_workspace", "add_ssh_keys", "when", "unless",
}  # fmt: skip
_OF_THE_WORKFLOW = {
    "name", "requires", "context", "filters", "type", "matrix", "serial-group", "pre-steps", "post-steps",
}  # fmt: skip
Found = Iterator[tuple[str, str]]


def check(files: Files) -> Iterator[Finding]:
    config = yaml_files.load(files[PATH])[0]
    broken = False
    for where, message in published.misfits("circle-ci", config):
        broken = True
        yield Finding(PATH, where, "schema", message)
    if not broken:
        for where, message in _problems(config):
            yield Finding(PATH, where, "names", message)


def _problems(config: dict[str, Any]) -> Found:
    for key in config.keys() - _TOP:
        yield key, "is no key of CircleCI, or brings orbs, which no test can read"
    jobs, commands, executors = (config.get(key, {}) for key in ("jobs", "commands", "executors"))
    used: set[tuple[str, str]] = set()
    for kind, entries in (("jobs", jobs), ("commands", commands)):
        for name, entry in entries.items():
            where = f"{kind}.{name}"
            yield from _steps(where, entry.get("steps", []), commands, used)
            declared = set(entry.get("parameters", {}))
            read = set(re.findall(r"<<\s*parameters\.([\w-]+)", json.dumps(entry)))
            for parameter in sorted(read - declared):
                yield where, f"reads the parameter {parameter}, which it does not declare"
            for parameter in sorted(declared - read):
                yield where, f"declares the parameter {parameter} and never reads it"
    for name, job in jobs.items():
        executor = job.get("executor")
        executor = executor.get("name") if isinstance(executor, dict) else executor
        if executor:
            used.add(("executors", executor))
            if executor not in executors:
                yield f"jobs.{name}", f"there is no executor {executor}"
    for name, workflow in config.get("workflows", {}).items():
        if isinstance(workflow, dict):
            yield from _workflow(f"workflows.{name}", workflow.get("jobs", []), jobs, used)
    for parameter in re.findall(r"<<\s*pipeline\.parameters\.([\w-]+)", json.dumps(config)):
        if parameter not in config.get("parameters", {}):
            yield "parameters", f"pipeline.parameters.{parameter} is not declared"
    for kind in ("jobs", "commands", "executors"):
        for name in config.get(kind, {}):
            if (kind, name) not in used:
                yield f"{kind}.{name}", "nothing uses it"


def _steps(where: str, steps: list[Any], commands: dict[str, Any], used: set[tuple[str, str]]) -> Found:
    if not steps:
        yield where, "has no steps"
    for step in steps:
        name, arguments = (step, {}) if isinstance(step, str) else next(iter(step.items()))
        if name in ("when", "unless"):
            yield from _steps(where, arguments.get("steps", []), commands, used)
        elif name in commands:
            used.add(("commands", name))
            yield from _arguments(where, name, commands[name], arguments or {})
        elif name not in _BUILT_IN_STEPS:
            yield where, f"there is no command {name}"


def _arguments(where: str, name: str, target: dict[str, Any], arguments: dict[str, Any]) -> Found:
    declared = target.get("parameters", {})
    for argument, value in arguments.items():
        if argument not in declared:
            yield where, f"{name} has no parameter {argument}"
        elif "enum" in declared[argument] and value not in declared[argument]["enum"]:
            yield where, f"{argument} of {name} may not be {value}"
    for parameter, details in declared.items():
        if "default" not in details and parameter not in arguments:
            yield where, f"gives {name} no {parameter}"


def _workflow(where: str, entries: list[Any], jobs: dict[str, Any], used: set[tuple[str, str]]) -> Found:
    requires: dict[str, list[str]] = {}
    for entry in entries:
        name, details = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        alias = details.get("name", name)
        if alias in requires:
            yield where, f"runs {alias} twice"
        requires[alias] = [item if isinstance(item, str) else next(iter(item)) for item in details.get("requires", [])]
        if details.get("type") == "approval":
            continue
        used.add(("jobs", name))
        if name not in jobs:
            yield where, f"there is no job {name}"
        else:
            given = {key: value for key, value in details.items() if key not in _OF_THE_WORKFLOW}
            yield from _arguments(f"{where}.{alias}", name, jobs[name], given)
    for alias, needed in requires.items():
        for other in needed:
            if other not in requires:
                yield f"{where}.{alias}", f"requires {other}, which the workflow does not run"
    for alias in requires:
        if alias in before(alias, requires):
            yield f"{where}.{alias}", "waits for itself"


_CONTEXTS = {
    "registry": REGISTRY, "kubernetes-staging": CLUSTER, "kubernetes-production": CLUSTER, "template": TEMPLATE,
}  # fmt: skip
# Set by the machine or by CircleCI.
_GIVEN = re.compile(r"CIRCLE_\w+|BASH_ENV|HOME|PATH|PWD")


def pipeline(files: Files) -> Pipeline:
    config = yaml_files.load(files[PATH])[0]
    found: list[Job] = []
    for workflow in config["workflows"].values():
        found += settled(_jobs(config, workflow), together=True)
    commands = "\n".join(job.commands for job in found)
    read = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", commands))
    return Pipeline(found, frozenset(name for name in read if not _GIVEN.fullmatch(name)))


def _jobs(config: dict[str, Any], workflow: dict[str, Any]) -> Iterator[Job]:
    scheduled = workflow.get("when", {}).get("equal", [""])[0] == "scheduled_pipeline"
    for item in workflow["jobs"]:
        name, details = (item, {}) if isinstance(item, str) else next(iter(item.items()))
        is_approval = details.get("type") == "approval"
        job = {} if is_approval else config["jobs"][name]
        commands = "\n".join(_commands(config, job.get("steps", [])))
        for parameter in job.get("parameters", {}):
            commands = commands.replace(f"<< parameters.{parameter} >>", str(details[parameter]))
        contexts = details.get("context", [])
        yield Job(
            PATH,
            details.get("name", name),
            commands,
            frozenset({SCHEDULE}) if scheduled else _events(details.get("filters", {})),
            frozenset(details.get("requires", [])),
            frozenset(_CONTEXTS[context] for context in ([contexts] if isinstance(contexts, str) else contexts)),
            str(details.get("environment", "")),
            approved=is_approval,
        )


def _events(filters: dict[str, Any]) -> frozenset[str]:
    """https://circleci.com/docs/configuration-reference/#jobfilters: branches start a job, and tags only if named."""
    branches, tags = filters.get("branches", {}), filters.get("tags", {})
    found = {CHANGE, MAIN}
    if branches.get("ignore") == "/.*/":
        found = set()
    elif branches.get("ignore") == "main":
        found = {CHANGE}
    elif branches.get("only") == "main":
        found = {MAIN}
    return frozenset(found | ({TAG} if tags else set()))


def _commands(config: dict[str, Any], steps: list[Any]) -> Iterator[str]:
    for step in steps:
        name, details = (step, "") if isinstance(step, str) else next(iter(step.items()))
        if name == "run":
            yield details if isinstance(details, str) else details["command"]
        elif name in config.get("commands", {}):
            yield from _commands(config, config["commands"][name]["steps"])
