"""Compose files as Docker Compose itself reads them, and what it accepts but cannot work."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.rules.ignore_patterns import git_ignored
from tests.validators import Files, Finding, dockerfile, yaml_files
from tests.validators.kustomize import WORKERS, memory, tool
from tests.verdicts import remember

DEVELOPMENT, PRODUCTION, COMMON = "docker-compose.yml", "prod.yml", "common.yml"
_FOR_SWARM = "only applies to rolling updates in Swarm mode"  # prod.yml is for both
Config = dict[str, Any]
Found = Iterator[tuple[str, str]]


class _Request(NamedTuple):
    """What Docker Compose is asked to make of a file."""

    name: str
    form: str  # "json" or "yaml"
    tag: str

    def inputs(self, files: Files) -> tuple[str, ...]:
        """All that it reads."""
        return (*self, *(files[path].decode() for path in (self.name, COMMON)))


_WITHOUT_TAG = _Request(PRODUCTION, "json", "")
_REQUESTS = (
    _Request(DEVELOPMENT, "json", ""),
    _WITHOUT_TAG,
    _WITHOUT_TAG._replace(tag="0" * 40),
    _Request(PRODUCTION, "yaml", "0" * 40),
)
_Answers = Mapping[_Request, str | ValueError]


def check_all(sets: Iterable[Files], scratch: Path) -> list[list[Finding]]:
    taken = list(sets)
    asked = [(files, request) for files in taken for request in _REQUESTS]

    def ask(missing: list[int]) -> Iterator[tuple[bool, str]]:
        with ThreadPoolExecutor(WORKERS) as pool:
            yield from pool.map(lambda index: _config(*asked[index], scratch), missing)

    said = iter(remember("docker compose config", "", [request.inputs(files) for files, request in asked], ask))
    answers = ({request: _answer(*next(said)) for request in _REQUESTS} for _ in taken)
    return [_check(files, answer) for files, answer in zip(taken, answers, strict=True)]


def _answer(worked: bool, said: str) -> str | ValueError:
    return said if worked else ValueError(said)


def _config(files: Files, request: _Request, scratch: Path) -> tuple[bool, str]:
    """Whether Docker Compose takes it, and what it makes of it with every profile on, or else says."""
    with tempfile.TemporaryDirectory(dir=memory(scratch)) as top:
        for path in (request.name, COMMON):
            Path(top, path).write_bytes(files[path])
        done = subprocess.run(
            [tool("docker-compose"), "--profile=*", f"--file={request.name}", "config", f"--format={request.form}"],
            cwd=top,
            capture_output=True,
            check=False,
            env={"HOME": top, "PATH": os.defpath, **({"TAG": request.tag} if request.tag else {})},
        )
        said = [line for line in done.stderr.decode().replace(top, "").splitlines() if _FOR_SWARM not in line]
        if done.returncode or said:
            return False, "\n".join(said)
        return True, done.stdout.decode().replace(top + "/", "").replace(Path(top).name, "project")


def _for_swarm(files: Files, config: str) -> Config:
    """What `make swarm-deploy` gives to `docker stack deploy`."""
    script = files["scripts/swarm.sed"].decode()
    done = subprocess.run(["sed", "-E", "-e", script], input=config, capture_output=True, text=True, check=True)
    stack: Config = yaml_files.load(done.stdout.encode())[0]
    return stack


def _check(files: Files, answers: _Answers) -> list[Finding]:
    try:
        findings = [Finding(path, where, "extends", message) for path, where, message in _extends(files)]
    except yaml.YAMLError as error:
        return [Finding(DEVELOPMENT, "", "config", str(error))]
    without = answers[_WITHOUT_TAG]
    if isinstance(without, str):
        findings.append(Finding(PRODUCTION, "app", "tag", "it starts without TAG"))
    elif "required variable TAG" not in str(without):
        findings.append(Finding(PRODUCTION, "app", "tag", f"without TAG it says {without}"))
    for request, answer in answers.items():
        name = request.name
        if request == _WITHOUT_TAG:
            continue
        if isinstance(answer, ValueError):
            findings.append(Finding(name, "", "config", str(answer)))
        elif request.form == "yaml":
            findings += [Finding(name, where, "swarm", message) for where, message in _swarm(_for_swarm(files, answer))]
        else:
            config: Config = json.loads(answer)
            findings += [
                Finding(name, where, label, message) for where, label, message in _problems(name, config, files)
            ]
    return findings


def _problems(name: str, config: Config, files: Files) -> Iterator[tuple[str, str, str]]:
    declared = yaml_files.load(files[name])[0]
    for kind in ("networks", "secrets", "volumes"):  # compose leaves out what no service uses
        for item in sorted(set(declared.get(kind) or {}) - set(config.get(kind) or {})):
            yield f"{kind}.{item}", "unused", "nothing uses it"
    for label, find in (CHECKS | (PRODUCTION_CHECKS if name == PRODUCTION else DEVELOPMENT_CHECKS)).items():
        yield from ((where, label, message) for where, message in find(config, files))


def _swarm(stack: Config) -> Found:
    """What `docker stack deploy` refuses: it reads an older form of the same file."""
    if "name" in stack:
        yield "name", "a stack takes its name from the command"
    for name, service in stack["services"].items():
        if isinstance(service.get("depends_on"), dict):
            yield name, "depends_on has conditions, which a stack does not know"
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if not isinstance(limits.get("cpus", ""), str):
            yield name, "the limit of CPUs is not text"
        for port in service.get("ports", []):
            if not isinstance(port.get("published", 0), int):
                yield name, f"the published port {port['published']!r} is no number"
        for volume in service.get("volumes", []):
            if not isinstance(volume.get("tmpfs", {}).get("size", 0), int):
                yield name, f"the size {volume['tmpfs']['size']!r} is no number"
        deploy = service.get("deploy", {})
        if deploy.get("restart_policy", {}).get("condition") == "on-failure" and deploy.get("mode") != "replicated-job":
            yield name, "it ends and is no job, for which a deploy waits for ever"


def _extends(files: Files) -> Iterator[tuple[str, str, str]]:
    common = set(yaml_files.load(files[COMMON])[0]["services"])
    used = set()
    for path in (DEVELOPMENT, PRODUCTION):
        for name, service in yaml_files.load(files[path])[0]["services"].items():
            extends = service.get("extends", {})
            if extends.get("file") != COMMON:
                yield path, name, f"does not take what all share from {COMMON}"
            used.add(extends.get("service"))
    for name in sorted(common - used):
        yield COMMON, name, "nothing extends it"


def _ports(config: Config, _files: Files) -> Found:
    seen: dict[str, str] = {}
    for name, service in config["services"].items():
        for port in service.get("ports", []):
            published = port.get("published")
            if published and published != "0":
                if published in seen:
                    yield name, f"publishes port {published}, as {seen[published]} does"
                seen[published] = name


def _healthy(config: Config, files: Files) -> Found:
    stage = dockerfile.stages(files["Dockerfile"])[-1]
    for name, service in config["services"].items():
        for other, dependency in service.get("depends_on", {}).items():
            target = config["services"][other]
            own = ("build" in target or other == "app") and stage.last("HEALTHCHECK")
            if dependency["condition"] == "service_healthy" and not target.get("healthcheck") and not own:
                yield name, f"waits until {other} is healthy, which has no health check"
            elif dependency["condition"] == "service_completed_successfully" and target.get("restart") in (
                "always",
                "unless-stopped",
            ):
                yield name, f"waits until {other} ends, which starts again then"


def _stages(config: Config, files: Files) -> Found:
    names = {stage.name for stage in dockerfile.stages(files["Dockerfile"])}
    for name, service in config["services"].items():
        target = service.get("build", {}).get("target")
        if target and target not in names:
            yield name, f"builds the stage {target}, which the Dockerfile does not have"


def _hardened(config: Config, _files: Files) -> Found:
    for name, service in config["services"].items():
        if not service.get("read_only"):
            yield name, "can write to its root file system"
        if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
            yield name, "keeps capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield name, "may gain privileges"
        if "/tmp" not in [item["target"] for item in service.get("volumes", []) if item["type"] == "tmpfs"]:  # noqa: S108
            yield name, "has no /tmp"
        if (
            "build" not in service
            and "image" in service
            and name not in ("app", "migrate")
            and service.get("user", "0").split(":")[0] in ("0", "root")
        ):
            yield name, "runs as root"
        for key in ("privileged", "network_mode", "pid", "ipc", "container_name", "links"):
            if service.get(key):
                yield name, f"sets {key}"


def _images(config: Config, _files: Files) -> Found:
    for name, service in config["services"].items():
        image = service.get("image", "")
        tag = image.rsplit("/", 1)[-1].partition(":")[2]
        if image and (not tag or tag == "latest"):
            yield name, f"{image} names no version"


def _secrets(config: Config, files: Files) -> Found:
    for name, secret in config.get("secrets", {}).items():
        path = str(secret.get("file", ""))
        if not path or not git_ignored(files[".gitignore"], [path]):
            yield f"secrets.{name}", f"{path or 'no file'} is not ignored by git"
    for name, service in config["services"].items():
        targets = {item.get("target") for item in service.get("secrets", [])}
        for key, value in (service.get("environment") or {}).items():
            if key.endswith("_FILE") and "PASSWORD" in key:
                if value not in targets:
                    yield name, f"{key} names {value}, where no secret is mounted"
            elif any(word in key.upper() for word in ("PASSWORD", "SECRET", "TOKEN")) and value:
                yield name, f"{key} is a secret in the repository"


def _dependencies(config: Config, _files: Files) -> Found:
    for name, service in config["services"].items():
        host = (service.get("environment") or {}).get("DATABASE_HOST")
        if host:
            other = config["services"].get(host)
            if not other:
                yield name, f"DATABASE_HOST: there is no service {host}"
            elif not set(service.get("networks", {})) & set(other.get("networks", {})):
                yield name, f"shares no network with {host}"
            elif host not in service.get("depends_on", {}) and not any(
                host in config["services"][item].get("depends_on", {}) for item in service.get("depends_on", {})
            ):
                yield name, f"does not wait for {host}"


def _local_only(config: Config, _files: Files) -> Found:
    for name, service in config["services"].items():
        for port in service.get("ports", []):
            if port.get("host_ip") != "127.0.0.1":
                yield name, f"everybody on the network reaches port {port.get('published')}"
    if "build" not in config["services"]["app"]:
        yield "app", "is not built from the source"


def _only_the_service_is_reached(config: Config, _files: Files) -> Found:
    for name, service in config["services"].items():
        if name != "app" and service.get("ports"):
            yield name, "publishes a port"
        if "build" in service:
            yield name, "is built where it runs"
        if not service.get("restart"):
            yield name, "has no restart policy"
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if not {"cpus", "memory"} <= limits.keys():
            yield name, "has no limits for CPUs and memory"
        inside = [network for network in service.get("networks", {}) if not config["networks"][network].get("internal")]
        if name != "app" and inside:
            yield name, f"is on {', '.join(inside)}, which leads outside"


CHECKS: dict[str, Callable[[Config, Files], Found]] = {
    "ports": _ports,
    "healthy": _healthy,
    "stages": _stages,
    "hardened": _hardened,
    "images": _images,
    "secrets": _secrets,
    "dependencies": _dependencies,
}
DEVELOPMENT_CHECKS: dict[str, Callable[[Config, Files], Found]] = {"local": _local_only}
PRODUCTION_CHECKS: dict[str, Callable[[Config, Files], Found]] = {"production": _only_the_service_is_reached}
