"""GitLab's pipeline: it fits the published schema, every name in it exists, and every script is sound shell."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness import Files, Problem, add, change, load, rejects, remove, tool_rule
from tests.rules.ci.conditions import ConditionError, holds
from tests.rules.ci.configuration import Configuration, Problems, configuration_rule
from tests.rules.ci.model import Credential, Event, Job, Pipeline, effective, transitive_needs
from tests.rules.json_schema import schema_errors
from tests.rules.shell import shellcheck

PATH = ".gitlab-ci.yml"
Variables = Mapping[str, str]

# https://docs.gitlab.com/ci/variables/predefined_variables/: in merge request pipelines there is no CI_COMMIT_BRANCH.
EVENTS: dict[Event, Variables] = {
    Event.CHANGE: {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_COMMIT_REF_NAME": "topic"},
    Event.MAIN: {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_REF_NAME": "main", "CI_COMMIT_BRANCH": "main"},
    Event.TAG: {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_REF_NAME": "v1.2.3", "CI_COMMIT_TAG": "v1.2.3"},
    Event.SCHEDULE: {"CI_PIPELINE_SOURCE": "schedule", "CI_COMMIT_REF_NAME": "main", "CI_COMMIT_BRANCH": "main"},
}
# A branch has the pipeline of its merge request, and no other tag is a version.
_OTHER_EVENTS: dict[str, Variables] = {
    "a push to a branch": {
        "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_REF_NAME": "topic", "CI_COMMIT_BRANCH": "topic",
    },
    "a tag that is no version": {
        "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_REF_NAME": "v1.2.3-rc.1", "CI_COMMIT_TAG": "v1.2.3-rc.1",
    },
}  # fmt: skip
_ALWAYS = {"CI_DEFAULT_BRANCH": "main"}
_SOMETIMES = {name for variables in EVENTS.values() for name in variables}
# What GitLab sets in every job, or in those that deploy.
_PREDEFINED = {
    *_ALWAYS, *_SOMETIMES, "CI_API_V4_URL", "CI_DEPLOY_PASSWORD", "CI_DEPLOY_USER", "CI_ENVIRONMENT_NAME",
    "CI_PROJECT_PATH", "CI_REGISTRY_PASSWORD", "CI_REGISTRY_USER",
}  # fmt: skip
_LOGINS = {"$CI_REGISTRY_PASSWORD", "$CI_DEPLOY_PASSWORD"}
_NOT_JOBS = {"default", "include", "stages", "variables", "workflow"}
_NEEDS_DOCKER = re.compile(r"\bmake (ci-lint|ci-test|check|image|scan|login|push|release)\b")


@rejects("an unknown key of a job", PATH, add("publish.resource_groups", "publish"))
@rejects("an unknown key of all jobs", PATH, add("default.interuptible", True))
@rejects("a failure to retry that does not exist", PATH, change("default.retry.when", "runner_failure"))
@configuration_rule(PATH)
def configuration_fits_the_schema(config: Configuration) -> Problems:
    """The pipeline fits the JSON schema that GitLab publishes."""
    return schema_errors("gitlab-ci", config)


@rejects("a part that does not exist", PATH, change("lint.extends", ".tests"))
@rejects("parts that extend each other", PATH, change("'.test'.extends", ".test"))
@configuration_rule(PATH, after=[configuration_fits_the_schema])
def every_extended_part_exists(config: Configuration) -> Problems:
    """Jobs extend parts that exist, and not each other in a circle: https://docs.gitlab.com/ci/yaml/#extends."""
    extends = {name: _names(entry.get("extends")) for name, entry in _entries(config).items()}
    for name, parts in extends.items():
        for part in parts:
            if part not in extends:
                yield f"{name!r}.extends", f"there is no part {part}"
        if name in transitive_needs(name, extends):
            yield f"{name!r}.extends", f"{name} extends itself"


@rejects("a part that no job takes", PATH, add("'.other'", {"timeout": "1 hour"}))
@configuration_rule(PATH, after=[configuration_fits_the_schema])
def every_part_is_extended(config: Configuration) -> Problems:
    """A part, whose name starts with a dot, is extended by something."""
    extended = {part for entry in _entries(config).values() for part in _names(entry.get("extends"))}
    for name in sorted(_entries(config).keys() - extended):
        if name.startswith("."):
            yield f"{name!r}", f"nothing extends {name}"


@rejects("a part with an unknown key", PATH, add("'.docker'.volumes", ["/certs"]))
@rejects("an action that does not exist", PATH, change("'.registry'.environment.action", "acces"))
@configuration_rule(PATH, after=[every_extended_part_exists])
def every_job_fits_the_schema(config: Configuration) -> Problems:
    """With all that it extends, each job fits the schema, which looks into no part that jobs extend."""
    return schema_errors("gitlab-ci", whole_jobs(config))


@rejects("an unfinished condition", PATH, change("workflow.rules.0.if", '$CI_PIPELINE_SOURCE == "merge" &&'))
@rejects("a condition of two values", PATH, change("release.rules.0.if", "$CI_COMMIT_TAG $CI_COMMIT_TAG"))
@rejects("an operator that does not exist", PATH, change("release.rules.0.if", "$CI_COMMIT_TAG ~ /v/"))
@rejects("a pattern that is none", PATH, change("workflow.rules.2.if", r"$CI_COMMIT_TAG =~ /^(v\d+\.\d+\.\d+$/"))
@rejects("a variable that no pipeline has", PATH, change("release.rules.0.if", "$CI_COMMIT_TAGS"))
@configuration_rule(PATH, after=[every_job_fits_the_schema])
def every_condition_can_be_evaluated(config: Configuration) -> Problems:
    """Each `if` of a rule follows GitLab's syntax, and reads variables that a pipeline has."""
    for name, entry in {"workflow": config["workflow"], **whole_jobs(config)}.items():
        for rule in entry.get("rules", []):
            try:
                _holds(rule.get("if", "null == null"), {})
            except ConditionError as error:
                yield f"{name}.rules", str(error)


_rule = functools.partial(configuration_rule, PATH, after=[every_condition_can_be_evaluated])


@rejects("a stage that does not exist", PATH, change("release.stage", "builds"))
@rejects("a stage that no job is in", PATH, add("stages", "clean"))
@_rule()
def every_stage_exists_and_has_a_job(config: Configuration) -> Problems:
    """A job is in a stage of the list, and each stage of the list has a job."""
    jobs = whole_jobs(config)
    for name, job in jobs.items():
        if job["stage"] not in _stages(config):
            yield f"{name}.stage", f"there is no stage {job['stage']}"
    for index, stage in enumerate(config["stages"]):
        if stage not in {job["stage"] for job in jobs.values()}:
            yield f"stages.{index}", f"no job is in the stage {stage}"


@rejects("a job without a script", PATH, remove("check.script"))
@_rule()
def every_job_has_a_script(config: Configuration) -> Problems:
    """A job has a script, its own or from `extends`."""
    for name, job in whole_jobs(config).items():
        if not job.get("script"):
            yield f"{name}.script", "has no script"


@rejects("a job that nothing starts", PATH, change("'.update'.rules.0.if", '$CI_PIPELINE_SOURCE == "scheduled"'))
@_rule()
def every_job_is_started_by_an_event(config: Configuration) -> Problems:
    """A merge request, a push to main, a tag of a version or a schedule starts each job."""
    for name, job in whole_jobs(config).items():
        if not _events(config, job):
            yield f"{name}.rules", "nothing starts the job"


@rejects("a need that does not exist", PATH, add("deploy-staging.needs", "publis"))
@rejects("a need of a later stage", PATH, change("stages", ["test", "build", "production", "staging", "update"]))
@rejects("a need that is not in the same pipeline", PATH, add("deploy-staging.needs", "build"))
@rejects("a job that needs itself", PATH, add("deploy-staging.needs", "deploy-staging"))
@_rule()
def every_need_runs_before_the_job(config: Configuration) -> Problems:
    """A job needs others that exist, start with the same events, and are in no later stage."""
    jobs, stages = whole_jobs(config), _stages(config)
    needs = {name: _needs(job) or [] for name, job in jobs.items()}
    started = {name: _events(config, job) for name, job in jobs.items()}
    for name, others in needs.items():
        where = f"{name}.needs"
        for other in others:
            if other not in jobs:
                yield where, f"there is no job {other}"
                continue
            one, two = jobs[name]["stage"], jobs[other]["stage"]
            if {one, two} <= set(stages) and stages.index(two) > stages.index(one):
                yield where, f"{other} is in the later stage {two}"
            elif missing := sorted(started[name] - started[other]):
                yield where, f"{', '.join(missing)} does not start {other}"
        if name in transitive_needs(name, needs):
            yield where, f"{name} needs itself"


@rejects("a second pipeline for every push", PATH, change("workflow.rules.1.if", "$CI_COMMIT_BRANCH"))
@rejects("a release of any tag", PATH, change("workflow.rules.2.if", "$CI_COMMIT_TAG"))
@rejects("a pattern without its end", PATH, change("workflow.rules.2.if", r"$CI_COMMIT_TAG =~ /^v\d+\.\d+\.\d+/"))
@_rule()
def other_events_start_no_pipeline(config: Configuration) -> Problems:
    """A push to a branch, which has the pipeline of its merge request, and a tag of no version start nothing."""
    for event, variables in _OTHER_EVENTS.items():
        if _starts(config["workflow"].get("rules"), variables):
            yield "workflow.rules", f"{event} starts a pipeline"


@rejects("a variable that GitLab does not set", PATH, change("renovate.variables.RENOVATE_ENDPOINT", "$CI_API_URL"))
@rejects("a variable of other pipelines", PATH, change("release.script", ['make release VERSION="$CI_COMMIT_BRANCH"']))
@rejects("the environment of a job that has none", PATH, add("lint.script", 'echo "$CI_ENVIRONMENT_NAME"'))
@_rule()
def every_predefined_variable_is_set(config: Configuration) -> Problems:
    """A job reads variables that GitLab sets for each event that starts it: the environment's name if it has one."""
    for name, job in whole_jobs(config).items():
        read = _read_variables(job)
        for variable in sorted(read - _PREDEFINED):
            if variable.startswith("CI_"):
                yield f"{name!r}", f"GitLab sets no {variable}"
        for variable in sorted(read & _SOMETIMES):
            if any(variable not in EVENTS[event] for event in _events(config, job)):
                yield f"{name!r}", f"{variable} is not always set"
        if "CI_ENVIRONMENT_NAME" in read and "environment" not in job:
            yield f"{name!r}", "reads the name of its environment, and has none"


@rejects("no engine for Docker", PATH, remove("'.test'.extends"))
@rejects("an engine under another name", PATH, change("'.docker'.services.0.alias", "engine"))
@rejects("an engine without certificates", PATH, change("'.docker'.variables.DOCKER_TLS_CERTDIR", ""))
@_rule()
def jobs_that_need_docker_have_it(config: Configuration) -> Problems:
    """Jobs that build or test have a service with the alias docker, which the client looks for, and its certificates.

    https://docs.gitlab.com/ci/docker/using_docker_build/
    """
    for name, job in whole_jobs(config).items():
        aliases = {service.get("alias") for service in job.get("services", []) if isinstance(service, dict)}
        has_certificates = job.get("variables", {}).get("DOCKER_TLS_CERTDIR") == "/certs"
        if _NEEDS_DOCKER.search(_commands(job)) and ("docker" not in aliases or not has_certificates):
            yield f"{name}.services", "has no Docker: no service with the alias docker, or no certificates for it"


@rejects("an unpassed digest", PATH, remove("publish.artifacts"))
@rejects("a digest of another job", PATH, change("deploy-production.needs", ["deploy-staging"]))
@_rule()
def deployments_take_the_digest_of_the_push(config: Configuration) -> Problems:
    """Deployments need the job that pushes, which passes the digest of the image on as a variable."""
    jobs = whole_jobs(config)
    passes = {name for name, job in jobs.items() if "dotenv" in job.get("artifacts", {}).get("reports", {})}
    for name, job in jobs.items():
        if "make push" in _commands(job) and name not in passes:
            yield f"{name}.artifacts", "passes no digest on"
        needs = _needs(job)
        if _deploys_to(job) and needs is not None and not passes & set(needs):
            yield f"{name}.needs", "gets no digest"


@rejects("deployments that overlap", PATH, remove("deploy-production.resource_group"))
@rejects("a resource group of another environment", PATH, change("deploy-production.resource_group", "staging"))
@rejects("pushes that overlap", PATH, remove("publish.resource_group"))
@_rule()
def deployments_and_pushes_do_not_overlap(config: Configuration) -> Problems:
    """The resource group of a deployment is its environment, and a push has one, so the newer image stays latest."""
    for name, job in whole_jobs(config).items():
        if environment := _deploys_to(job):
            if job.get("resource_group") != environment:
                yield f"{name}.resource_group", f"two deployments to {environment} may overlap"
        elif "make push" in _commands(job) and not job.get("resource_group"):
            yield f"{name}.resource_group", "two pushes may overlap, and leave the older image as latest"


@rejects("a name without quotes", PATH, change("renovate.script", ["renovate $CI_PROJECT_PATH"]), message="SC2086")
@rejects("unquoted words before", PATH, add("'.registry'.before_script", "make login $(date)"), message="SC2046")
@tool_rule(PATH, sets="each")
def shellcheck_finds_nothing_in_scripts(batch: Sequence[Files], scratch: Path) -> Iterable[Iterable[Problem]]:
    """What a job hands to its shell is clean to shellcheck."""
    jobs = [
        (index, name, script)
        for index, files in enumerate(batch)
        if every_job_has_a_script.is_followed(files[PATH])
        for name, script in job_scripts(files[PATH]).items()
    ]
    scripts = sorted({script for _, _, script in jobs})
    found = dict(zip(scripts, shellcheck(scripts, scratch, "SC1091"), strict=True))
    problems: list[list[Problem]] = [[] for _ in batch]
    for index, name, script in jobs:
        problems[index] += [Problem(PATH, remark.message, f"{name}.script") for remark in found[script]]
    return problems


def job_scripts(content: bytes) -> dict[str, str]:
    """What each job hands to its shell."""
    shebang = "#!/usr/bin/env bash\nset -eo pipefail\n"
    return {
        name: "\n".join([shebang, *_names(job.get("before_script")), *_names(job["script"]), ""])
        for name, job in whole_jobs(load(content)).items()
    }


def whole_jobs(config: Configuration) -> dict[str, dict[str, Any]]:
    """The jobs with all that they extend, and with what holds by default."""
    entries = _entries(config)

    def merged(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for other in _names(entries[name].get("extends")):
            found |= _merged(found, merged(other))
        found |= _merged(found, entries[name])
        return found

    return {name: {"stage": "test", **config.get("default", {}), **merged(name)} for name in entries if name[0] != "."}


def _merged(one: Any, other: Any) -> Any:
    """Mappings are merged and everything else is replaced: https://docs.gitlab.com/ci/yaml/yaml_optimization/"""
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{key: _merged(one.get(key), value) for key, value in other.items()}}
    return other


def _entries(config: Configuration) -> dict[str, dict[str, Any]]:
    return {name: entry for name, entry in config.items() if name not in _NOT_JOBS}


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _stages(config: Configuration) -> list[str]:
    return [".pre", *config["stages"], ".post"]


def _needs(job: dict[str, Any]) -> list[str] | None:
    if "needs" not in job:
        return None
    return [need if isinstance(need, str) else need["job"] for need in job["needs"]]


def _commands(job: dict[str, Any]) -> str:
    text = "\n".join([*_names(job.get("before_script")), *_names(job.get("script"))])
    return re.sub(r'"?\$CI_ENVIRONMENT_NAME\b"?', _environment(job), text)


def _environment(job: dict[str, Any]) -> str:
    environment = job.get("environment", "")
    return str(environment.get("name") if isinstance(environment, dict) else environment)


def _deploys_to(job: dict[str, Any]) -> str:
    """https://docs.gitlab.com/ci/yaml/#environmentaction: `access` takes variables of an environment and no more."""
    environment = job.get("environment", {})
    action = environment.get("action", "start") if isinstance(environment, dict) else "start"
    return _environment(job) if action == "start" else ""


def _read_variables(job: dict[str, Any]) -> set[str]:
    """The variables that a job reads, without those that it sets."""
    own: set[str] = {*job.get("variables", {}), *job.get("id_tokens", {})}
    values = [str(value) for value in job.get("variables", {}).values()]
    text = "\n".join([*_names(job.get("before_script")), *_names(job.get("script")), *values])
    return set(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", text)) - own


def _holds(condition: str, variables: Variables) -> bool:
    return holds(condition, {**_ALWAYS, **variables}, _ALWAYS.keys() | _SOMETIMES)


def _starts(rules: list[dict[str, Any]] | None, variables: Variables) -> bool:
    """Whether the first rule that holds is one that starts something; without rules, everything does."""
    for rule in rules or []:
        if "if" not in rule or _holds(rule["if"], variables):
            return bool(rule.get("when") != "never")
    return rules is None


def _events(config: Configuration, job: dict[str, Any]) -> frozenset[Event]:
    return frozenset(
        event
        for event, variables in EVENTS.items()
        if _starts(config["workflow"].get("rules"), variables) and _starts(job.get("rules"), variables)
    )


_CREDENTIALS = {
    "KUBECONFIG": Credential.CLUSTER,
    "TEMPLATE_READ_TOKEN": Credential.TEMPLATE,
    "TEMPLATE_TOKEN": Credential.TEMPLATE,
}


def documented_credentials(content: bytes) -> Mapping[str, frozenset[Credential]]:
    """The credentials of each environment in the README's variables."""
    found: dict[str, frozenset[Credential]] = {}
    rows = re.findall(r"^\| `([A-Z_]+)` \| (`[a-z]+`(?:, `[a-z]+`)*) \|", content.decode(), re.MULTILINE)
    for variable, scopes in rows:
        for scope in re.findall("`([a-z]+)`", scopes):
            found[scope] = found.get(scope, frozenset()) | {_CREDENTIALS.get(variable, Credential.REGISTRY)}
    return found


def pipeline(content: bytes) -> Pipeline:
    """The jobs, without the credentials of their environments, and the team's variables."""
    config = load(content)
    jobs = whole_jobs(config)
    events = {name: _events(config, job) for name, job in jobs.items()}
    found = []
    for name, job in jobs.items():
        needs = _needs(job)
        values = {str(value) for value in job.get("variables", {}).values()}
        found.append(
            Job(
                name=name,
                where=f"{name!r}",
                commands=_commands(job),
                events=events[name],
                needs=frozenset(_of_earlier_stages(config["stages"], jobs, events, name) if needs is None else needs),
                credentials=frozenset({Credential.REGISTRY} if values & _LOGINS else ()),
                environment=_environment(job),
                deploys_to=_deploys_to(job),
                approved=job.get("when") == "manual" and job.get("allow_failure") is False,
            )
        )
    read = {variable for job in jobs.values() for variable in _read_variables(job)}
    return Pipeline(effective(found, skips_missing_needs=True), frozenset(read - _PREDEFINED))


def _of_earlier_stages(
    stages: list[str], jobs: dict[str, dict[str, Any]], events: dict[str, frozenset[Event]], name: str
) -> Iterator[str]:
    """Without `needs`, a job waits for all of the stages before its own."""
    for other, job in jobs.items():
        if events[other] & events[name] and stages.index(job["stage"]) < stages.index(jobs[name]["stage"]):
            yield other
