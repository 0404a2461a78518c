"""The compose files as Docker Compose resolves them: for development, and for production with Compose or as a stack."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness import Fact, Files, Problem, Rule, add, change, load, rejects, remove, replace, rule, tool_rule
from tests.rules.dockerfile import stages
from tests.rules.ignore_patterns import git_ignored
from tests.toolchains import tool

DEVELOPMENT, PRODUCTION, COMMON = "docker-compose.yml", "prod.yml", "common.yml"
BOTH = (DEVELOPMENT, PRODUCTION)
TO_STACK = "scripts/swarm.sed"
_PROCESSES = 2
_ONLY_SWARM = "only applies to rolling updates in Swarm mode"  # prod.yml is for both
_TAG = "0" * 40
Service = dict[str, Any]


class Resolved(NamedTuple):
    """A compose file with all profiles, and with what it extends put in."""

    path: str
    config: dict[str, Any]
    declared: dict[str, Any]  # the file itself

    @property
    def services(self) -> dict[str, Service]:
        """The services by name."""
        services: dict[str, Service] = self.config["services"]
        return services

    def problem(self, name: str, message: str) -> Problem:
        """A problem of a service."""
        return Problem(self.path, f"{name} {message}", f"services.{name}")


@functools.cache
def _compose(path: str, content: bytes, common: bytes, tag: str = _TAG) -> tuple[str, str]:
    """What Docker Compose makes of a file, and what it complains of."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, path).write_bytes(content)
        Path(folder, COMMON).write_bytes(common)
        done = subprocess.run(
            [tool("docker-compose"), "--profile=*", f"--file={path}", "config"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={"HOME": folder, "PATH": os.defpath} | ({"TAG": tag} if tag else {}),
        )
    said = "\n".join(line for line in done.stderr.splitlines() if _ONLY_SWARM not in line)
    return done.stdout.replace(folder + "/", ""), said.replace(folder, "") or "?" * bool(done.returncode)


def _compose_all(path: str, batch: Sequence[Files], tag: str = _TAG) -> list[tuple[str, str]]:
    with ThreadPoolExecutor(_PROCESSES) as pool:
        return list(pool.map(lambda files: _compose(path, files[path], files[COMMON], tag), batch))


def compose_rule(*paths: str) -> Callable[[Callable[[Resolved], Iterator[Problem]]], Rule]:
    """A rule of what Docker Compose makes of files that it takes."""

    def decorate(function: Callable[[Resolved], Iterator[Problem]]) -> Rule:
        @functools.wraps(function)
        def judge(batch: Sequence[Files], _scratch: Path) -> Iterator[list[Problem]]:
            return _judge(function, paths, batch)

        return tool_rule(COMMON, *paths, sets="sample")(judge)

    return decorate


def _judge(
    function: Callable[[Resolved], Iterator[Problem]], paths: Sequence[str], batch: Sequence[Files]
) -> Iterator[list[Problem]]:
    results = [_compose_all(path, batch) for path in paths]
    for files, *resolved in zip(batch, *results, strict=True):
        yield [
            problem
            for path, (config, refused) in zip(paths, resolved, strict=True)
            if not refused
            for problem in function(Resolved(path, load(config.encode()), load(files[path])))
        ]


@rejects("an unknown key", PRODUCTION, add("services.app.restarts", "always"))
@rejects("a missing service", PRODUCTION, add("services.app.depends_on.databas", {"condition": "service_healthy"}))
@rejects("a volume that is not declared", DEVELOPMENT, remove("volumes"))
@tool_rule(COMMON, *BOTH, sets="sample")
def compose_reads_the_files(batch: Sequence[Files], _scratch: Path) -> Iterator[list[Problem]]:
    """Docker Compose takes each file and warns of nothing."""
    results = [_compose_all(path, batch) for path in BOTH]
    for resolved in zip(*results, strict=True):
        yield [Problem(path, refused) for path, (_, refused) in zip(BOTH, resolved, strict=True) if refused]


@rejects("a tag with a default", PRODUCTION, replace(":?set TAG to the commit hash of the image to run}", ":-main}"))
@rejects("a tag that may be empty", PRODUCTION, replace(":?set TAG to the commit hash of the image to run}", "}"))
@tool_rule(COMMON, PRODUCTION, sets="sample")
def production_needs_a_tag(batch: Sequence[Files], _scratch: Path) -> Iterator[list[Problem]]:
    """Without TAG nothing starts in production, so that it is always known which version runs."""
    for _, refused in _compose_all(PRODUCTION, batch, tag=""):
        required = "required variable TAG" in refused
        yield [] if required else [Problem(PRODUCTION, f"without TAG it says {refused or 'nothing'}", "image: ")]


def _extended(content: bytes) -> dict[str, tuple[str | None, str | None]]:
    services = load(content)["services"].items()
    extended = {
        name: service.get("extends", {}) for name, service in services if "extends" in service or not _is_tool(service)
    }
    return {name: (extends.get("file"), extends.get("service")) for name, extends in extended.items()}


def _is_tool(service: Mapping[str, Any]) -> bool:
    return service.get("profiles") == ["observability"]


def _services(content: bytes) -> list[str]:
    return list(load(content)["services"])


@rejects("a part of common.yml that nothing extends", COMMON, add("services.cache", {"image": "x:1"}))
@rejects("a service that extends one of another file", PRODUCTION, change("services.app.extends.file", "./common.yml"))
@rejects(
    "a service that shares nothing", DEVELOPMENT,
    change("services.database", {"image": "x:1", "volumes": ["database:/data"]}),
    also="services_wait_for_what_can_become_ready containers_are_hardened",
)  # fmt: skip
@rule(common=Fact(COMMON, _services), development=Fact(DEVELOPMENT, _extended), production=Fact(PRODUCTION, _extended))
def services_extend_common(
    common: list[str], development: Mapping[str, tuple[str, str]], production: Mapping[str, tuple[str, str]]
) -> Iterator[Problem]:
    """Every service but those of the profile observability extends one of common.yml, which has no other service."""
    for path, services in ((DEVELOPMENT, development), (PRODUCTION, production)):
        for name, (file, _) in services.items():
            if file != COMMON:
                yield Problem(path, f"{name} does not extend a service of {COMMON}", f"services.{name}")
    for name in common:
        if name not in {service for _, service in (*development.values(), *production.values())}:
            yield Problem(COMMON, f"nothing extends {name}", f"services.{name}")


@rejects("a port published twice", DEVELOPMENT, change("services.app.ports.1", "127.0.0.1:8080:9090"))
@compose_rule(*BOTH)
def ports_are_published_once(file: Resolved) -> Iterator[Problem]:
    """No two services publish the same port of the machine."""
    seen: dict[str, str] = {}
    for name, service in file.services.items():
        for port in service.get("ports", []):
            published = port.get("published", "0")
            if published in seen:
                yield file.problem(name, f"publishes port {published}, as {seen[published]} does")
            elif published != "0":
                seen[published] = name


@rejects("waiting for health that nobody checks", COMMON, remove("services.database.healthcheck"))
@rejects("waiting for the end of what starts again", PRODUCTION, change("services.migrate.restart", "unless-stopped"))
@compose_rule(*BOTH)
def services_wait_for_what_can_become_ready(file: Resolved) -> Iterator[Problem]:
    """What a service waits for has a health check, as the own image has, or ends and is not started again."""
    for name, service in file.services.items():
        for other, dependency in service.get("depends_on", {}).items():
            target = file.services[other]
            checked = target.get("healthcheck") or "build" in target or other == "app"
            if dependency["condition"] == "service_healthy" and not checked:
                yield file.problem(name, f"waits until {other} is healthy, which has no health check")
            ends = target.get("restart") not in ("always", "unless-stopped")
            if dependency["condition"] == "service_completed_successfully" and not ends:
                yield file.problem(name, f"waits until {other} ends, which starts again then")


def _targets(content: bytes) -> dict[str, str]:
    builds = {name: service.get("build") for name, service in load(content)["services"].items()}
    return {name: build["target"] for name, build in builds.items() if isinstance(build, dict) and "target" in build}


def _stage_names(content: bytes) -> list[str]:
    return [stage.name for stage in stages(content)]


@rejects("a stage that does not exist", DEVELOPMENT, change("services.test.build.target", "tests"))
@rule(targets=Fact(DEVELOPMENT, _targets), names=Fact("Dockerfile", _stage_names))
def built_stages_exist(targets: Mapping[str, str], names: list[str]) -> Iterator[Problem]:
    """The stage that a service builds is one of the Dockerfile."""
    for service, target in targets.items():
        if target not in names:
            yield Problem(
                DEVELOPMENT,
                f"builds the stage {target}, which the Dockerfile does not have",
                f"services.{service}.build.target",
            )


@rejects("a root file system that can be written", COMMON, change("services.app.read_only", False))
@rejects("a capability", COMMON, change("services.app.cap_drop.0", "NET_RAW"))
@rejects("privileges that it may gain", COMMON, change("services.app.security_opt.0", "no-new-privileges:false"))
@rejects("no /tmp", COMMON, change("services.app.volumes.0.target", "/temp"))
@rejects("a root user", COMMON, change("services.database.user", "0:0"))
@rejects("a container with privileged", DEVELOPMENT, add("services.app.privileged", True))
@rejects("a container with pid", DEVELOPMENT, add("services.app.pid", "host"))
@rejects("a container with ipc", DEVELOPMENT, add("services.app.ipc", "host"))
@rejects("a container with uts", DEVELOPMENT, add("services.app.uts", "host"))
@rejects("a container with userns_mode", DEVELOPMENT, add("services.app.userns_mode", "host"))
@rejects("a container with devices", DEVELOPMENT, add("services.app.devices", ["/dev/kmsg"]))
@rejects("a container with container_name", DEVELOPMENT, add("services.app.container_name", "shop"))
@rejects("a container with links", DEVELOPMENT, add("services.app.links", ["migrate"]))
@compose_rule(*BOTH)
def containers_are_hardened(file: Resolved) -> Iterator[Problem]:
    """Each container has the least rights: a read-only root, no capabilities, an unprivileged user, own namespaces."""
    for name, service in file.services.items():
        if not service.get("read_only"):
            yield file.problem(name, "can write to its root file system")
        if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
            yield file.problem(name, "keeps capabilities")
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield file.problem(name, "may gain privileges")
        if "/tmp" not in [item["target"] for item in service.get("volumes", []) if item["type"] == "tmpfs"]:  # noqa: S108
            yield file.problem(name, "has no /tmp")
        is_own = "build" in service or name in ("app", "migrate")  # whose Dockerfile names the user
        if not is_own and service.get("user", "0").split(":")[0] in ("0", "root"):
            yield file.problem(name, "runs as root")
        for key in (
            "privileged", "network_mode", "pid", "ipc", "uts", "userns_mode", "devices", "container_name", "links",
        ):  # fmt: skip
            if service.get(key):
                yield file.problem(name, f"sets {key}")


@rejects("an image without a version", COMMON, change("services.database.image", "postgres"))
@compose_rule(*BOTH)
def images_name_a_version(file: Resolved) -> Iterator[Problem]:
    """Each image has a tag other than latest."""
    for name, service in file.services.items():
        image = service.get("image", "")
        if image and image.rsplit("/", 1)[-1].partition(":")[2] in ("", "latest"):
            yield file.problem(name, f"runs {image}, which names no version")


def _secret_files(content: bytes) -> dict[str, str]:
    """The files of secrets, but for a file of the machine that a variable names."""
    files = {name: secret.get("file", "") for name, secret in (load(content).get("secrets") or {}).items()}
    return {name: file for name, file in files.items() if not file.startswith("${INDEX_LOGIN:-/")}


@rejects("a secret in git", ".gitignore", replace("/secrets/\n", ""))
@rejects("another file in development", DEVELOPMENT, change("secrets.database-password.file", "password"))
@rejects("another file in production", PRODUCTION, change("secrets.database-password.file", "password"))
@rule(
    development=Fact(DEVELOPMENT, _secret_files), production=Fact(PRODUCTION, _secret_files),
    ignored=Fact(".gitignore", bytes),
)  # fmt: skip
def git_ignores_secrets(
    development: Mapping[str, str], production: Mapping[str, str], ignored: bytes
) -> Iterator[Problem]:
    """Git ignores the file of each secret."""
    for path, secrets in ((DEVELOPMENT, development), (PRODUCTION, production)):
        for name, file in secrets.items():
            if not file or not git_ignored(ignored, [file]):
                yield Problem(path, f"git does not ignore {file or 'no file'}", f"secrets.{name}")


@rejects("a password in the file", COMMON, add("services.app.environment.DATABASE_PASSWORD", "app"))
@rejects("an unmounted password file", COMMON, change("services.app.environment.DATABASE_PASSWORD_FILE", "/password"))
@compose_rule(*BOTH)
def passwords_come_from_mounted_secrets(file: Resolved) -> Iterator[Problem]:
    """No environment variable holds a secret, and a variable that names a password's file names a mounted secret."""
    for name, service in file.services.items():
        targets = {item.get("target") for item in service.get("secrets", [])}
        for key, value in (service.get("environment") or {}).items():
            if key.endswith("_FILE") and "PASSWORD" in key:
                if value not in targets:
                    yield file.problem(name, f"reads {key} from {value}, where no secret is mounted")
            elif any(word in key.upper() for word in ("PASSWORD", "SECRET", "TOKEN")) and value:
                yield file.problem(name, f"has {key}, a secret, in the repository")


@rejects("a database that does not exist", COMMON, change("services.app.environment.DATABASE_HOST", "databas"))
@rejects("a database on another network", PRODUCTION, remove("services.app.networks.1"))
@rejects("a service that does not wait for its database", DEVELOPMENT, remove("services.test.depends_on"))
@rejects("the host's network", DEVELOPMENT, add("services.app.network_mode", "host"), also="containers_are_hardened")
@compose_rule(*BOTH)
def services_reach_their_database(file: Resolved) -> Iterator[Problem]:
    """A service that names a database shares a network with it, and starts after it."""
    for name, service in file.services.items():
        host = (service.get("environment") or {}).get("DATABASE_HOST")
        if not host:
            continue
        after = service.get("depends_on", {})
        if host not in file.services:
            yield file.problem(name, f"has the DATABASE_HOST {host}, which is no service")
        elif not set(service.get("networks", {})) & set(file.services[host].get("networks", {})):
            yield file.problem(name, f"shares no network with {host}")
        elif host not in after and not any(host in file.services[item].get("depends_on", {}) for item in after):
            yield file.problem(name, f"does not wait for {host}")


@rejects("a network that nothing uses", PRODUCTION, add("networks.side", {}))
@rejects("a volume that nothing uses", PRODUCTION, add("volumes.cache", {}))
@rejects("a secret that nothing uses", PRODUCTION, add("secrets.token", {"file": "secrets/token"}))
@compose_rule(*BOTH)
def declared_resources_are_used(file: Resolved) -> Iterator[Problem]:
    """Each network, secret and volume is used: Docker Compose leaves out those that no service has."""
    for kind in ("networks", "secrets", "volumes"):
        for name in sorted(set(file.declared.get(kind) or {}) - set(file.config.get(kind) or {})):
            yield Problem(file.path, f"nothing uses {name} of {kind}", f"{kind}.{name}")


@rejects("a port open to the network", DEVELOPMENT, change("services.app.ports.0", "8080:8080"))
@rejects("an unbuilt service", DEVELOPMENT, remove("services.app.build"), DEVELOPMENT, add("services.app.image", "x:1"))
@compose_rule(DEVELOPMENT)
def development_is_local(file: Resolved) -> Iterator[Problem]:
    """In development the service is built from its source, and only this machine reaches its ports."""
    for name, service in file.services.items():
        for port in service.get("ports", []):
            if port.get("host_ip") != "127.0.0.1":
                yield file.problem(name, f"publishes port {port.get('published')} to the network")
    if "build" not in file.services["app"]:
        yield file.problem("app", "is not built from the source")


@rejects("a database with a port", PRODUCTION, add("services.database.ports", ["5432:5432"]))
@rejects("a network that leads outside", PRODUCTION, change("networks.back.internal", False))
@compose_rule(PRODUCTION)
def only_the_app_is_reachable_in_production(file: Resolved) -> Iterator[Problem]:
    """Services other than the app publish no port, and are only on networks that are internal."""
    for name, service in file.services.items():
        networks = [
            network for network in service.get("networks", {}) if not file.config["networks"][network].get("internal")
        ]
        if name != "app" and service.get("ports"):
            yield file.problem(name, "publishes a port")
        if name != "app" and networks:
            yield file.problem(name, f"is on {', '.join(networks)}, which leads outside")


@rejects("no limit of memory", PRODUCTION, remove("services.app.deploy.resources.limits.memory"))
@rejects("no restart policy", PRODUCTION, remove("services.app.restart"))
@rejects("a service that is built", PRODUCTION, add("services.app.build", "."))
@rejects("a log that grows without limit", PRODUCTION, change("services.app.logging.driver", "json-file"))
@compose_rule(PRODUCTION)
def production_runs_images_within_limits(file: Resolved) -> Iterator[Problem]:
    """In production each service runs a pulled image, starts again when it fails, and has limits and rotated logs."""
    for name, service in file.services.items():
        if "build" in service:
            yield file.problem(name, "is built where it runs")
        if not service.get("restart"):
            yield file.problem(name, "has no restart policy")
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if not {"cpus", "memory"} <= limits.keys():
            yield file.problem(name, "has no limits for CPUs and memory")
        if service.get("logging", {}).get("driver") != "local":
            yield file.problem(name, "has logs that are not rotated")


@rejects("a name, which a stack does not take", TO_STACK, replace("/^name:/d", ""))
@rejects("conditions, which a stack does not know", TO_STACK, replace("/^    depends_on:$/,", "/^    dependson:$/,"))
@rejects("a port as text, which a stack does not take", TO_STACK, replace("(published|size)", "(publish|size)"))
@rejects("a size as text, which a stack does not take", TO_STACK, replace("(published|size)", "(published|sizes)"))
@rejects("migrations for which a deploy waits forever", TO_STACK, replace("mode: replicated-job", "mode: replicated"))
@rejects("CPUs as a number, which a stack does not take", TO_STACK, replace("cpus", "cpu"))
@rejects("a folder of this machine", PRODUCTION, add("services.app.volumes", ["./data:/data"]))
@tool_rule(COMMON, PRODUCTION, TO_STACK, sets="sample")
def the_stack_is_valid_for_swarm(batch: Sequence[Files], _scratch: Path) -> Iterator[list[Problem]]:
    """What `make swarm-deploy` hands to `docker stack deploy` is what that takes: an older form of the same file."""
    for files, (config, refused) in zip(batch, _compose_all(PRODUCTION, batch), strict=True):
        yield [] if refused else [Problem(TO_STACK, message) for message in _not_in_a_stack(_stack(files, config))]


def _stack(files: Files, config: str) -> dict[str, Any]:
    command = ["sed", "-E", "-e", files[TO_STACK].decode()]
    done = subprocess.run(command, input=config.encode(), capture_output=True, check=True)
    stack: dict[str, Any] = load(done.stdout)
    return stack


def _not_in_a_stack(stack: Mapping[str, Any]) -> Iterator[str]:
    if "name" in stack:
        yield "a stack takes its name from the command"
    for name, service in stack["services"].items():
        deploy = service.get("deploy", {})
        if isinstance(service.get("depends_on"), dict):
            yield f"depends_on of {name} has conditions, which a stack does not know"
        if not isinstance(deploy.get("resources", {}).get("limits", {}).get("cpus", ""), str):
            yield f"the limit of CPUs of {name} is not text"
        for port in service.get("ports", []):
            if not isinstance(port.get("published", 0), int):
                yield f"the published port {port['published']!r} of {name} is not a number"
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                yield f"{name} mounts {volume['source']}, which a node does not have"
            if not isinstance(volume.get("tmpfs", {}).get("size", 0), int):
                yield f"the size {volume['tmpfs']['size']!r} of {name} is not a number"
        if deploy.get("restart_policy", {}).get("condition") == "on-failure" and deploy.get("mode") != "replicated-job":
            yield f"{name} ends and is no job, for which a deploy waits forever"
