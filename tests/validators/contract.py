"""What several files say about one thing: all must say the same."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from tests.rules.ignore_patterns import docker_ignored
from tests.validators import (
    Files,
    Finding,
    Piecewise,
    by_line,
    derive,
    dockerfile,
    makefiles,
    named,
    yaml_files,
)

Told = dict[str, object]  # what each place says
BASE = "kubernetes/base"
DATABASE = "kubernetes/database"
DOCUMENTATION = ("README.md", "kubernetes/README.md")


def check(files: Files) -> Iterator[Finding]:
    for rule in CHECKS:
        yield from rule(files)


def _agree(name: str, files: Files) -> Iterator[Finding]:
    told = SAME[name](files)
    if len({str(value) for value in told.values()}) > 1 or len(told) == 1:
        places = ", ".join(f"{place}: {value}" for place, value in told.items())
        yield Finding(next(iter(told)).split()[0], "", name, f"the files do not agree: {places}")


def _follow(name: str, files: Files) -> Iterator[Finding]:
    return (Finding(path, "", name, message) for path, message in RULES[name](files))


def document(files: Files, path: str) -> Any:
    return yaml_files.load(files[path])[0]


def make(files: Files, text: str) -> bool:
    """Whether what `make` reads holds this text."""
    return any(derive(files, path, holding(text)) for path in makefiles.paths(files))


def told(files: Files, text: str) -> bool:
    """Whether the documentation holds this text."""
    return any(derive(files, path, holding(text)) for path in DOCUMENTATION)


@functools.cache
def holding(text: str) -> Callable[[bytes], bool]:
    """Finds a text that stands in one line."""
    return Piecewise(lambda content: text.encode() in content, any)


@functools.cache
def matching(pattern: str) -> Callable[[bytes], tuple[str, ...]]:
    """Finds what the lines of a file hold of a pattern."""
    return by_line(lambda content: tuple(re.findall(pattern, content.decode(), re.MULTILINE)))


def variable(files: Files, name: str) -> str:
    return next(
        (found[0] for path in makefiles.paths(files) if (found := derive(files, path, matching(f"^{name} :?= (.*)$")))),
        "",
    )


def settings(files: Files) -> dict[str, str]:
    return dict(line.split("=", 1) for line in files[f"{BASE}/config.env"].decode().splitlines())


def service(files: Files, path: str, name: str = "app") -> dict[str, Any]:
    found: dict[str, Any] = document(files, path)["services"].get(name, {})
    return found


def workload(files: Files, path: str = f"{BASE}/deployment.yaml") -> dict[str, Any]:
    found: dict[str, Any] = document(files, path)["spec"]["template"]["spec"]
    return found


def _container_port(files: Files, name: str) -> object:
    ports = workload(files)["containers"][0]["ports"]
    return next((port["containerPort"] for port in ports if port["name"] == name), None)


def _published(files: Files, path: str, index: int) -> object:
    return str(service(files, path)["ports"][index]).rsplit(":", 1)[-1]


def _exposed(files: Files, index: int) -> object:
    item = dockerfile.stages(files["Dockerfile"])[-1].last("EXPOSE")
    return item.words[index] if item and len(item.words) > index else None


def _port(files: Files) -> Told:
    return {
        "Dockerfile EXPOSE": _exposed(files, 0),
        "common.yml PORT": service(files, "common.yml")["environment"].get("PORT"),
        "docker-compose.yml ports": _published(files, "docker-compose.yml", 0),
        "prod.yml ports": _published(files, "prod.yml", 0),
        "kubernetes/base/config.env PORT": settings(files).get("PORT"),
        "kubernetes/base/deployment.yaml http": _container_port(files, "http"),
        **{
            path: (derive(files, path, matching(r"http://[a-z$().A-Z]*localhost:(\d+)")) or (None,))[0]
            for path in ("README.md", "Makefile", "kubernetes.mk")
        },
    }


def _metrics_port(files: Files) -> Told:
    return {
        "Dockerfile EXPOSE": _exposed(files, 1),
        "common.yml METRICS_PORT": service(files, "common.yml")["environment"].get("METRICS_PORT"),
        "docker-compose.yml ports": _published(files, "docker-compose.yml", 1),
        "kubernetes/base/config.env METRICS_PORT": settings(files).get("METRICS_PORT"),
        "kubernetes/base/deployment.yaml metrics": _container_port(files, "metrics"),
    }


def _image(files: Files) -> Told:
    spec = workload(files)
    told: Told = {"Makefile IMAGE": variable(files, "IMAGE")}
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        told[f"kubernetes/base/deployment.yaml {container['name']}"] = container["image"].rsplit(":", 1)[0]
    for name, item in document(files, "prod.yml")["services"].items():
        if name != "database":
            told[f"prod.yml {name}"] = item["image"].rsplit(":${TAG", 1)[0]
    return told


def _name(content: bytes) -> str:
    return str(yaml_files.load(content)[0]["metadata"]["name"])


_NAMED = re.compile(r"kubernetes/(base|database|monitoring|secrets)/(?!kustomization\.)[a-z-]+\.yaml")
# What follows the service's name in the names of its parts.
_PART = re.compile("-(backup|database|metrics|redirect|registry|restore|to-database)$")


def _names(files: Files) -> Told:
    return {
        "Makefile SERVICE": variable(files, "SERVICE"),
        "docker-compose.yml name": document(files, "docker-compose.yml")["name"].removesuffix("-dev"),
        "prod.yml name": document(files, "prod.yml")["name"],
        **{f"{path} name": _PART.sub("", derive(files, path, _name) or "") for path in named(files, _NAMED.fullmatch)},
    }


def _user(files: Files) -> Told:
    context = workload(files)["securityContext"]
    item = dockerfile.stages(files["Dockerfile"])[-1].last("USER")
    return {
        "Dockerfile USER": item.text if item else None,
        "kubernetes/base/deployment.yaml": f"{context['runAsUser']}:{context['runAsGroup']}",
    }


def _settings(files: Files) -> Told:
    return {
        "common.yml environment": sorted({*service(files, "common.yml")["environment"], "LOG_LEVEL"}),
        "kubernetes/base/config.env": sorted(settings(files)),
    }


def _settings_in_readme(files: Files) -> Iterator[tuple[str, str]]:
    for name in settings(files):
        if not told(files, f"`{name}`"):
            yield "README.md", f"does not say what {name} is"
    for path in DOCUMENTATION:
        for name in derive(files, path, matching("`(DATABASE_[A-Z_]+)`")) or ():
            if name not in settings(files):
                yield path, f"tells of {name}, which nothing sets"


def _database(files: Files) -> Iterator[tuple[str, str]]:
    """Compose and Kubernetes run the same database in the same way."""
    if f"{DATABASE}/statefulset.yaml" not in files:
        return
    spec = workload(files, f"{DATABASE}/statefulset.yaml")
    container, compose = spec["containers"][0], service(files, "common.yml", "database")
    pairs = {
        "image": (container["image"], compose["image"]),
        "user": (f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}", compose["user"]),
        "health check": (
            container["readinessProbe"]["exec"]["command"],
            [str(word).replace("$$", "$") for word in compose["healthcheck"]["test"][1:]],
        ),
        "settings": (
            {item["name"]: item["value"] for item in container.get("env", [])},
            compose.get("environment", {}),
        ),
        "command": (
            container.get("command", container.get("args", [])),
            [str(word).replace("$$", "$") for word in compose.get("command", [])],
        ),
        "memory": (
            container["resources"]["limits"]["memory"].removesuffix("i"),
            service(files, "prod.yml", "database")["deploy"]["resources"]["limits"]["memory"],
        ),
        "data": (
            next(mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "data"),
            str(service(files, "docker-compose.yml", "database")["volumes"][0]).split(":")[1],
        ),
        "temporary folders": (
            sorted(
                mount["mountPath"]
                for mount in container["volumeMounts"]
                if any("emptyDir" in volume for volume in spec["volumes"] if volume["name"] == mount["name"])
            ),
            sorted(volume["target"] for volume in compose["volumes"] if volume["type"] == "tmpfs"),
        ),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            yield "common.yml", f"{what} of the database: Kubernetes has {one}, compose {other}"


def _memory(files: Files) -> Told:
    limits = workload(files)["containers"][0]["resources"]["limits"]
    return {
        "kubernetes/base/deployment.yaml": limits["memory"].removesuffix("i"),
        "prod.yml": service(files, "prod.yml")["deploy"]["resources"]["limits"]["memory"],
    }


def _password(files: Files) -> Iterator[tuple[str, str]]:
    """The password's file is where the Secret is mounted, under the Secret's key, and the same in compose."""
    path = settings(files).get("DATABASE_PASSWORD_FILE")
    if not path:
        return
    file = PurePosixPath(path)
    for workload_path in (f"{BASE}/deployment.yaml", f"{DATABASE}/statefulset.yaml"):
        spec = workload(files, workload_path)
        secrets = {volume["name"]: volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            mounted = [mount for mount in container["volumeMounts"] if mount["name"] in secrets]
            if [mount["mountPath"] for mount in mounted] != [str(file.parent)]:
                yield workload_path, f"{container['name']} does not mount the Secret at {file.parent}"
            if not all(mount.get("readOnly") for mount in mounted):
                yield workload_path, f"{container['name']} could write to the Secret"
        for secret in secrets.values():
            made = secret.replace(variable(files, "SERVICE"), "$(SERVICE)", 1)
            if not make(files, f"create secret generic {made} --from-file={file.name}="):
                yield "kubernetes.mk", f"`make secret` does not create {secret} with the key {file.name}"
    if service(files, "common.yml")["environment"].get("DATABASE_PASSWORD_FILE") != path:
        yield "common.yml", f"the password is not at {path}"


def _registry_secret(files: Files) -> Iterator[tuple[str, str]]:
    if "kubernetes/secrets/registry-externalsecret.yaml" in files:
        return
    for secret in document(files, f"{BASE}/serviceaccount.yaml").get("imagePullSecrets", []):
        made = secret["name"].replace(variable(files, "SERVICE"), "$(SERVICE)", 1)
        if not make(files, f"create secret generic {made} --type=kubernetes.io/dockerconfigjson"):
            yield "kubernetes.mk", f"`make registry-secret` does not create {secret['name']}"


def _deployed_tag(files: Files) -> Iterator[tuple[str, str]]:
    """`make deploy` replaces the tag that the manifests hold, and nothing deploys latest."""
    for container in workload(files)["containers"]:
        tag = container["image"].rsplit(":", 1)[1]
        if not make(files, f" s|{tag}|$(TAG)|'"):
            yield "kubernetes.mk", f"`make deploy` does not replace the tag {tag} of the manifests"


def _namespace(content: bytes) -> str:
    return str(yaml_files.load(content)[0].get("namespace"))


_OVERLAY = re.compile(r"kubernetes/overlays/[a-z]+/(namespace/)?kustomization\.yaml")


def _namespaces(files: Files) -> Iterator[tuple[str, str]]:
    """Each environment has the namespace into which `make` deploys."""
    prefix = variable(files, "NAMESPACE").removesuffix("-$(ENVIRONMENT)")
    for path in named(files, _OVERLAY.fullmatch):
        namespace, environment = derive(files, path, _namespace), path.split("/")[2]
        if namespace != f"{prefix}-{environment}":
            yield path, f"is for {namespace}, but `make deploy` goes to {prefix}-{environment}"
    if not told(files, f"{prefix}-production"):
        yield "README.md", f"does not name the namespace {prefix}-production"


def _logins(files: Files) -> Iterator[tuple[str, str]]:
    """`make` logs in to the registry of the image."""
    host = variable(files, "IMAGE").split("/")[0]
    hub = host == "docker.io"  # where the client logs in when it is given no name
    for pattern, wanted in (
        (r"docker login .*--password-stdin *(.*)$", "" if hub else host),
        (r'"auths":\{"([^"]+)"', "https://index.docker.io/v1/" if hub else host),
    ):
        for path in makefiles.paths(files):
            for found in derive(files, path, matching(pattern)) or ():
                if found != wanted:
                    yield path, f"logs in to {found or 'Docker Hub'}, but the image is at {host}"


SETTINGS = ("app/settings.py", "src/settings.ts", "internal/settings/settings.go")
"""Where each language reads the environment."""


def _settings_of_the_app(files: Files) -> Iterator[tuple[str, str]]:
    """The app reads what it is told of its database, and wants nothing else."""
    path = next(path for path in SETTINGS if path in files)
    named_there = derive(files, path, matching(r"\b((?:DATABASE|database)_\w+)\b(?=[\"':])")) or ()
    fields = {name.upper() for name in named_there}
    read = {f"{name}_FILE" if name == "DATABASE_PASSWORD" else name for name in fields}
    for name in sorted(read ^ {name for name in settings(files) if name.startswith("DATABASE_")}):
        yield path, f"reads {name}, which nothing sets" if name in read else f"does not read {name}"


def _type(content: bytes) -> str:
    return str(yaml_files.load(content)[0]["spec"]["type"])


def _is_alone(content: bytes) -> bool:
    """Whether as little as one replica runs."""
    spec = yaml_files.load(content)[0]["spec"]
    return bool(spec.get("minReplicas", spec.get("replicas")) == 1)


def _claims(files: Files) -> Iterator[tuple[str, str]]:
    """The documentation says of the Service's address and of replicas what is so."""
    kind = derive(files, f"{BASE}/service.yaml", _type)
    scaler = f"{BASE}/horizontalpodautoscaler.yaml"
    one = derive(files, scaler if scaler in files else f"{BASE}/deployment.yaml", _is_alone)
    for words, is_so in (
        ("address of the load balancer", kind == "LoadBalancer"),
        ("Every node answers on port", kind == "NodePort"),
        ("With one replica", one),
        ("the others serve meanwhile", not one),
    ):
        if told(files, words) != is_so:
            yield "README.md", f"{'lacks' if is_so else 'says'} {words!r}"


def _resources(content: bytes) -> tuple[str, ...]:
    return tuple(yaml_files.load(content)[0]["resources"])


def _alerts(files: Files) -> Iterator[tuple[str, str]]:
    """They watch what production has, and leave nothing of it out that has an alert of its own."""
    path = "kubernetes/overlays/production/prometheusrule.yaml"
    if path not in files:
        return
    taken = derive(files, "kubernetes/overlays/production/kustomization.yaml", _resources) or ()
    for label, is_there in (
        ("horizontalpodautoscaler", f"{BASE}/horizontalpodautoscaler.yaml" in files),
        ("persistentvolumeclaim", "../../database" in taken),
        ("cronjob", "../../database" in taken),
    ):
        if derive(files, path, holding(f"{label}='")) != is_there:
            yield path, f"does not watch the {label}" if is_there else f"watches a {label}, which production lacks"


def _hosts(files: Files) -> Iterator[tuple[str, str]]:
    for path in (f"{BASE}/ingress.yaml", f"{BASE}/httproute.yaml"):
        if path in files:
            spec = document(files, path)["spec"]
            host = spec["hostnames"][0] if "hostnames" in spec else spec["rules"][0]["host"]
            if not told(files, host):
                yield "README.md", f"does not name {host}"


def _certificate(files: Files) -> Iterator[tuple[str, str]]:
    """The README says how to create the Secret that the Ingress wants."""
    if f"{BASE}/ingress.yaml" in files:
        ingress = document(files, f"{BASE}/ingress.yaml")
        if "cert-manager.io/cluster-issuer" in ingress["metadata"].get("annotations", {}):
            return
        for tls in ingress["spec"].get("tls", []):
            if not told(files, f"create secret tls {tls['secretName']} "):
                yield "README.md", f"does not say how to create the Secret {tls['secretName']}"


def _private_files(files: Files) -> Iterator[tuple[str, str]]:
    """Secrets and the repository stay out of the image, and out of git."""
    for path in (".env", ".git/config", "secrets/database-password", ".copier-answers.yml"):
        if not docker_ignored(files[".dockerignore"], path):
            yield ".dockerignore", f"lets {path} into the image"


def _tests_of_ci(files: Files) -> Iterator[tuple[str, str]]:
    """The compose service `test` runs the Dockerfile's stage test."""
    build = service(files, "docker-compose.yml", "test").get("build")
    if not isinstance(build, dict) or build.get("target") != "test":
        yield "docker-compose.yml", "has no service test that builds the stage test"


SAME: dict[str, Callable[[Files], Told]] = {
    "port": _port,
    "metrics port": _metrics_port,
    "image": _image,
    "name": _names,
    "user": _user,
    "settings": _settings,
    "memory": _memory,
}
RULES: dict[str, Callable[[Files], Iterator[tuple[str, str]]]] = {
    "settings in README": _settings_in_readme,
    "database": _database,
    "password": _password,
    "registry secret": _registry_secret,
    "deployed tag": _deployed_tag,
    "namespaces": _namespaces,
    "logins": _logins,
    "settings of the app": _settings_of_the_app,
    "claims": _claims,
    "alerts": _alerts,
    "host in README": _hosts,
    "certificate": _certificate,
    "private files": _private_files,
    "tests of CI": _tests_of_ci,
}
CHECKS = [
    *(functools.partial(_agree, name) for name in SAME),
    *(functools.partial(_follow, name) for name in RULES),
]
