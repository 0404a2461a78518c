"""GitLab's pipeline: its published schema, the names in it that must exist, and what starts each of its jobs."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.validators import Files, Finding, derive, published, yaml_files
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

PATH = ".gitlab-ci.yml"
Found = Iterator[tuple[str, str]]
Variables = Mapping[str, str]

# https://docs.gitlab.com/ci/variables/predefined_variables/: in merge request pipelines there is no CI_COMMIT_BRANCH.
EVENTS: dict[str, Variables] = {
    CHANGE: {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_COMMIT_REF_NAME": "topic"},
    MAIN: {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_REF_NAME": "main", "CI_COMMIT_BRANCH": "main"},
    TAG: {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_REF_NAME": "v1.2.3", "CI_COMMIT_TAG": "v1.2.3"},
    SCHEDULE: {"CI_PIPELINE_SOURCE": "schedule", "CI_COMMIT_REF_NAME": "main", "CI_COMMIT_BRANCH": "main"},
}
# What starts nothing: a branch has its merge request, and no other tag is a version.
SILENT: dict[str, Variables] = {
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
_GIVEN = {
    *_ALWAYS, *_SOMETIMES, "CI_API_V4_URL", "CI_DEPLOY_PASSWORD", "CI_DEPLOY_USER", "CI_ENVIRONMENT_NAME",
    "CI_PROJECT_PATH", "CI_REGISTRY_PASSWORD", "CI_REGISTRY_USER",
}  # fmt: skip
_LOGINS = {"$CI_REGISTRY_PASSWORD", "$CI_DEPLOY_PASSWORD"}
_NOT_JOBS = {"default", "include", "stages", "variables", "workflow"}
_NEEDS_DOCKER = re.compile(r"\bmake (ci-lint|ci-test|check|image|scan|login|push|release)\b")


def check(files: Files) -> Iterator[Finding]:
    config = yaml_files.load(files[PATH])[0]
    for name, step in CHECKS.items():
        found = [Finding(PATH, where, name, message) for where, message in step(config)]
        yield from found
        if found:  # each step takes for granted what the one before looks for
            return


def _whole(config: dict[str, Any]) -> Found:
    """The schema looks into no part that jobs extend, so they are looked at with what they have of it."""
    return published.misfits("gitlab-ci", whole(config))


def _extends(config: dict[str, Any]) -> Found:
    """https://docs.gitlab.com/ci/yaml/#extends"""
    entries = {name: _names(entry.get("extends")) for name, entry in _entries(config).items()}
    for name, above in entries.items():
        for other in above:
            if other not in entries:
                yield name, f"extends {other}, which does not exist"
        if name in before(name, entries):
            yield name, "extends itself"
    used = {other for above in entries.values() for other in above}
    for name in sorted(entries.keys() - used):
        if name.startswith("."):
            yield name, "nothing extends it"


def _problems(config: dict[str, Any]) -> Found:
    jobs = whole(config)
    stages = [".pre", *config.get("stages", ["build", "test", "deploy"]), ".post"]
    started = {name: _events(config, job) for name, job in jobs.items()}
    for name, job in jobs.items():
        if job["stage"] not in stages:
            yield name, f"there is no stage {job['stage']}"
        if not job.get("script"):
            yield name, "has no script"
        if not started[name]:
            yield name, "nothing starts it"
        for other in _needs(job) or []:
            if other not in jobs:
                yield name, f"needs {other}, which does not exist"
            elif _is_later(stages, jobs[other]["stage"], job["stage"]):
                yield name, f"needs {other} of the later stage {jobs[other]['stage']}"
            elif missing := sorted(started[name] - started[other]):
                yield name, f"needs {other}, which {', '.join(missing)} does not start"
    needs = {name: _needs(job) or [] for name, job in jobs.items()}
    yield from ((name, "needs itself") for name in jobs if name in before(name, needs))
    used = {job["stage"] for job in jobs.values()}
    yield from ((f"stages.{stage}", "no job is in it") for stage in config.get("stages", []) if stage not in used)
    for event, variables in SILENT.items():
        if _passes(config.get("workflow", {}).get("rules"), variables):
            yield "workflow", f"{event} starts a pipeline"


def _is_later(stages: list[str], one: str, other: str) -> bool:
    return {one, other} <= set(stages) and stages.index(one) > stages.index(other)


def _conditions(config: dict[str, Any]) -> Found:
    places = {"workflow": config.get("workflow", {}), **whole(config)}
    for where, entry in places.items():
        for rule in entry.get("rules", []):
            try:
                _holds(rule.get("if", "null == null"), {})
            except ValueError as error:
                yield where, str(error)


def _surroundings(config: dict[str, Any]) -> Found:
    """What jobs take from GitLab is there, and what must not run twice at once does not."""
    for name, job in whole(config).items():
        yield from ((name, message) for message in _lacks(job, _events(config, job)))


def _lacks(job: dict[str, Any], events: frozenset[str]) -> Iterator[str]:
    read = _read(job)
    for variable in sorted(name for name in read - _GIVEN if name.startswith("CI_")):
        yield f"GitLab sets no {variable}"
    for variable in sorted(read & _SOMETIMES):
        if any(variable not in EVENTS[event] for event in events):
            yield f"{variable} is not always there"
    if "CI_ENVIRONMENT_NAME" in read and "environment" not in job:
        yield "has no environment to name"
    commands = _commands(job)
    if _NEEDS_DOCKER.search(commands) and not _has_docker(job):
        yield "has no Docker: no service with the alias docker, or no certificates for it"
    if environment := _deploys_to(job):
        if job.get("resource_group") != environment:
            yield f"two deployments to {environment} may overlap: its resource group is another"
    elif "make push" in commands and not job.get("resource_group"):
        yield "two pushes may overlap, and leave the older image as latest: it has no resource group"


CHECKS: dict[str, Callable[[dict[str, Any]], Found]] = {
    "schema": functools.partial(published.misfits, "gitlab-ci"),
    "parts": _extends,
    "schema of jobs": _whole,
    "conditions": _conditions,
    "names": _problems,
    "surroundings": _surroundings,
}


def _has_docker(job: dict[str, Any]) -> bool:
    """https://docs.gitlab.com/ci/docker/using_docker_build/: the client looks for the service under this name."""
    aliases = {service.get("alias") for service in job.get("services", []) if isinstance(service, dict)}
    return "docker" in aliases and job.get("variables", {}).get("DOCKER_TLS_CERTDIR") == "/certs"


def _entries(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: entry for name, entry in config.items() if name not in _NOT_JOBS}


def whole(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
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


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


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


def _read(job: dict[str, Any]) -> set[str]:
    """The variables that a job reads, without those that it sets."""
    own: set[str] = {*job.get("variables", {}), *job.get("id_tokens", {})}
    values = [str(value) for value in job.get("variables", {}).values()]
    text = "\n".join([*_names(job.get("before_script")), *_names(job.get("script")), *values])
    return set(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", text)) - own


def scripts(files: Files) -> dict[str, bytes]:
    """What each job hands to its shell."""
    config = yaml_files.load(files[PATH])[0]
    shebang = "#!/usr/bin/env bash\nset -eo pipefail\n"
    return {
        name: "\n".join([shebang, *_names(job.get("before_script")), *_names(job["script"]), ""]).encode()
        for name, job in whole(config).items()
    }


# https://docs.gitlab.com/ci/jobs/job_rules/#cicd-variable-expressions
_TOKEN = re.compile(
    r"""\s*(?:(?P<operator>==|!=|=~|!~|&&|\|\||\(|\))|\$(?P<variable>[A-Za-z_]\w*)|(?P<null>null)\b"""
    r"""|"(?P<text>[^"]*)"|'(?P<quoted>[^']*)'|/(?P<pattern>(?:[^/\\\n]|\\.)+)/(?P<flags>[ism]*))"""
)


class _Condition:
    """Reads a condition of a rule, and says whether it holds."""

    def __init__(self, text: str, variables: Variables) -> None:
        self._text = text
        self._variables = variables
        self._tokens: list[tuple[str, str | re.Pattern[str] | None]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._wrong()
            place = found.end()
            self._tokens.append(self._token(found))
        self._tokens.append(("end", ""))

    def _wrong(self) -> ValueError:
        return ValueError(f"is no condition: {self._text}")

    def _token(self, found: re.Match[str]) -> tuple[str, str | re.Pattern[str] | None]:
        kind = str(found.lastgroup)
        if kind == "operator":
            return found["operator"], ""
        if kind == "variable":
            if found["variable"] not in _ALWAYS.keys() | _SOMETIMES:
                raise ValueError(f"no pipeline sets {found['variable']}: {self._text}")
            return "value", {**_ALWAYS, **self._variables}.get(found["variable"])
        if kind in ("pattern", "flags"):
            try:
                return "pattern", re.compile(f"(?{found['flags']})" * bool(found["flags"]) + found["pattern"])
            except re.error as error:
                raise self._wrong() from error
        return "value", None if kind == "null" else found[kind]

    def holds(self) -> bool:
        value = self._either()
        self._take("end")
        return bool(value)

    def _take(self, kind: str) -> Any:
        if self._tokens[0][0] != kind:
            raise self._wrong()
        return self._tokens.pop(0)[1]

    def _goes_on(self, *operators: str) -> str:
        return self._tokens.pop(0)[0] if self._tokens[0][0] in operators else ""

    def _either(self) -> bool:
        value = self._both()
        while self._goes_on("||"):
            value = self._both() or value
        return value

    def _both(self) -> bool:
        value = self._comparison()
        while self._goes_on("&&"):
            value = self._comparison() and value
        return value

    def _comparison(self) -> bool:
        if self._goes_on("("):
            value = self._either()
            self._take(")")
            return value
        one = self._take("value")
        if operator := self._goes_on("==", "!="):
            return bool((one == self._take("value")) == (operator == "=="))
        if operator := self._goes_on("=~", "!~"):
            found = self._take("pattern").search(one or "")
            return bool(found) == (operator == "=~")
        return bool(one)


def _holds(condition: str, variables: Variables) -> bool:
    return _Condition(condition, variables).holds()


def _passes(rules: list[dict[str, Any]] | None, variables: Variables) -> bool:
    """Whether the first rule that holds is one that starts something; all do without rules."""
    for rule in rules or []:
        if "if" not in rule or _holds(rule["if"], variables):
            return bool(rule.get("when") != "never")
    return rules is None


def _events(config: dict[str, Any], job: dict[str, Any]) -> frozenset[str]:
    return frozenset(
        event
        for event, variables in EVENTS.items()
        if _passes(config.get("workflow", {}).get("rules"), variables) and _passes(job.get("rules"), variables)
    )


_KINDS = {"KUBECONFIG": CLUSTER, "TEMPLATE_TOKEN": TEMPLATE}


def _scopes(content: bytes) -> tuple[tuple[str, str], ...]:
    """Each variable that the README has people set, with each environment in whose scope it is."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (`[a-z]+`(?:, `[a-z]+`)*) \|", content.decode(), re.MULTILINE)
    return tuple((variable, scope) for variable, scopes in rows for scope in re.findall("`([a-z]+)`", scopes))


def pipeline(files: Files) -> Pipeline:
    config = yaml_files.load(files[PATH])[0]
    jobs = whole(config)
    events = {name: _events(config, job) for name, job in jobs.items()}
    held: dict[str, set[str]] = {}
    for variable, scope in derive(files, "README.md", _scopes) or ():
        held.setdefault(scope, set()).add(_KINDS.get(variable, REGISTRY))
    found: list[Job] = []
    for name, job in jobs.items():
        needs = _needs(job)
        values = {str(value) for value in job.get("variables", {}).values()}
        found.append(
            Job(
                PATH,
                name,
                _commands(job),
                events[name],
                frozenset(_earlier(config["stages"], jobs, events, name) if needs is None else needs),
                frozenset(held.get(_environment(job), set()) | ({REGISTRY} if values & _LOGINS else set())),
                _deploys_to(job),
                approved=job.get("when") == "manual" and job.get("allow_failure") is False,
            )
        )
    read = {variable for job in jobs.values() for variable in _read(job)}
    return Pipeline(settled(found, together=False), frozenset(read - _GIVEN))


def _earlier(
    stages: list[str], jobs: dict[str, dict[str, Any]], events: dict[str, frozenset[str]], name: str
) -> Iterator[str]:
    """Without `needs`, a job waits for all of the stages before its own."""
    for other, job in jobs.items():
        if events[other] & events[name] and stages.index(job["stage"]) < stages.index(jobs[name]["stage"]):
            yield other
