"""Files that speak of one thing agree about it: Dockerfile, compose files, manifests, Makefile and README."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from tests.harness import At, Fact, Problem, add, agreement, change, file_rule, load, rejects, remove, replace, rule
from tests.languages import LANGUAGES
from tests.rules.dockerfile import stages
from tests.rules.extract import AllMatching, Matching, settings, the_same, variable

Problems = Iterator[Problem]
DEPLOYMENT = "kubernetes/base/deployment.yaml"
MIGRATION = "kubernetes/base/migrate-job.yaml"
CONFIG = "kubernetes/base/config.env"
STATEFULSET = "kubernetes/database/statefulset.yaml"
POD = "spec.template.spec"
APP = f"{POD}.containers.0"  # of the database too
MOUNT = f"{APP}.volumeMounts.[name={{}}].mountPath"
WORKFLOW = ".github/workflows/service.yml"
LOCALHOST = Matching(r"http://[a-z$().A-Z]*localhost:(\d+)")


def _last(instruction: str, index: int) -> Any:
    """A word of an instruction of the image's last stage."""

    def find(content: bytes) -> str | None:
        found = stages(content)[-1].last(instruction)
        return found.words[index] if found and len(found.words) > index else None

    return find


def _published(index: int) -> At:
    return At(f"services.app.ports.{index}", lambda port: str(port).rsplit(":", 1)[-1])


port = agreement(
    "port",
    {
        "Dockerfile": _last("EXPOSE", 0),
        "common.yml": At("services.app.environment.PORT"),
        "docker-compose.yml": _published(0),
        "prod.yml": _published(0),
        CONFIG: Matching(r"^PORT=(\d+)"),
        DEPLOYMENT: At(f"{APP}.ports.[name=http].containerPort"),
        "README.md": LOCALHOST,
        "Makefile": LOCALHOST,
        "kubernetes.mk": LOCALHOST,
    },
)
port.rejects("another port in the Dockerfile", "Dockerfile", replace("EXPOSE 8080", "EXPOSE 8081"))
port.rejects("another port in compose", "common.yml", change("services.app.environment.PORT", "8081"))
port.rejects("another port in production", "prod.yml", change("services.app.ports.0", "8080:8081"))
port.rejects("another port in the Deployment", DEPLOYMENT, change(f"{APP}.ports.[name=http].containerPort", 8081))
port.rejects("another port in the README", "README.md", replace("http://localhost:8080", "http://localhost:8081"))

metrics_port = agreement(
    "metrics port",
    {
        "Dockerfile": _last("EXPOSE", 1),
        "common.yml": At("services.app.environment.METRICS_PORT"),
        "docker-compose.yml": _published(1),
        CONFIG: Matching(r"^METRICS_PORT=(\d+)"),
        DEPLOYMENT: At(f"{APP}.ports.[name=metrics].containerPort"),
    },
)
metrics_port.rejects("another metrics port in the ConfigMap", CONFIG, replace("METRICS_PORT=9090", "METRICS_PORT=9091"))
metrics_port.rejects("another metrics port in the Dockerfile", "Dockerfile", replace("8080 9090", "8080 9091"))
metrics_port.rejects("another port in compose", "common.yml", change("services.app.environment.METRICS_PORT", "9091"))
metrics_port.rejects("another port in development", "docker-compose.yml", change("services.app.ports.1", "9090:9091"))
metrics_port.rejects("another port of the pod", DEPLOYMENT, change(f"{APP}.ports.[name=metrics].containerPort", 9091))


def _containers(content: bytes) -> list[dict[str, Any]]:
    spec = load(content)["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


image = agreement(
    "image",
    {
        "Makefile": variable("IMAGE"),
        **dict.fromkeys(
            (DEPLOYMENT, MIGRATION),
            lambda content: the_same(item["image"].rsplit(":", 1)[0] for item in _containers(content)),
        ),
        "prod.yml": At(
            "services",
            lambda services: the_same(
                service["image"].rsplit(":${TAG", 1)[0] for name, service in services.items() if name != "database"
            ),
        ),
    },
)
image.rejects("another image in production", "prod.yml", change("services.app.image", "docker.io/acme/shops:${TAG:?}"))
image.rejects("another image of the migrations", MIGRATION, change(f"{POD}.containers.0.image", "shops:1"))


@rejects("another image that is attested", WORKFLOW, replace("subject-name: ghcr.io/acme/shop", "subject-name: shop"))
@rule(image=Fact("Makefile", variable("IMAGE")), attested=Fact(WORKFLOW, AllMatching("^ +subject-name: (.*)$")))
def the_image_that_is_pushed_is_attested(image: str, attested: tuple[str, ...] | None) -> Problems:
    """GitHub attests the provenance and packages of the image that `make push` pushes."""
    for name in attested or ():
        if name != image:
            yield Problem(WORKFLOW, f"attests {name}, but {image} is pushed", name)


image.rejects("another image in the Makefile", "Makefile", replace("IMAGE := docker.io/acme/", "IMAGE := docker.io/"))

# What follows the service's name in the names of its parts.
_PART = re.compile("-(backup|database|egress|metrics|migrate|redirect|registry|restore|solver|to-database|verify)$")
_OWNER = At("metadata.name", lambda name: _PART.sub("", name))

name = agreement(
    "name",
    {
        "Makefile": variable("SERVICE"),
        "docker-compose.yml": At("name", lambda name: name.removesuffix("-dev")),
        "prod.yml": At("name"),
        # Everything but the kustomization.yaml of a folder.
        **{f"kubernetes/{folder}/[!k]*.yaml": _OWNER for folder in ("base", "database", "monitoring", "secrets")},
    },
)
name.rejects("another name of a resource", "kubernetes/base/poddisruptionbudget.yaml", change("metadata.name", "shops"))

_NAMESPACE = Matching(r"^NAMESPACE = (.*)-\$\(ENVIRONMENT\)$")

namespace = agreement(
    "namespace",
    {
        "kubernetes.mk": _NAMESPACE,
        **{
            f"kubernetes/overlays/{environment}/{file}": Matching(f"^namespace: (.*)-{environment}$")
            for environment in ("local", "staging", "production")
            for file in ("kustomization.yaml", "namespace/kustomization.yaml")
        },
    },
)
namespace.rejects(
    "another namespace of an overlay",
    "kubernetes/overlays/staging/kustomization.yaml",
    change("namespace", "shops-staging"),
)


@rejects(
    "another namespace of a command", "kubernetes/ci.md", replace("--namespace=shop-stag", "--namespace=shops-stag")
)
@rule(
    namespace=Fact("kubernetes.mk", _NAMESPACE),
    named=Fact("*.md", AllMatching(r"--namespace=(\S+)-(?:staging|production) ")),
)
def commands_name_the_namespace(namespace: str, named: dict[str, tuple[str, ...]]) -> Problems:
    """The commands of a document are about the namespaces of the service, whose name can be another."""
    for path, names in named.items():
        for name in names:
            if name != namespace:
                yield Problem(path, f"names the namespace {name}, not {namespace}", f"--namespace={name}")


user = agreement(
    "user",
    {
        "Dockerfile": _last("USER", 0),
        DEPLOYMENT: At(f"{POD}.securityContext", lambda one: f"{one['runAsUser']}:{one['runAsGroup']}"),
    },
)
user.rejects("another user in the Deployment", DEPLOYMENT, change(f"{POD}.securityContext.runAsUser", 65533))


def _megabytes(quantity: str) -> str:
    """The memory as both Kubernetes and compose, which means the same by M as Kubernetes by Mi, would have it."""
    return quantity.removesuffix("i")


memory = agreement(
    "memory limit",
    {
        DEPLOYMENT: At(f"{APP}.resources.limits.memory", _megabytes),
        "prod.yml": At("services.app.deploy.resources.limits.memory"),
    },
)
memory.rejects("another limit in production", "prod.yml", change("services.app.deploy.resources.limits.memory", "128M"))

settings_of_containers = agreement(
    "names of settings",
    {
        # Development and production set the log level themselves.
        "common.yml": At("services.app.environment", lambda environment: sorted({*environment, "LOG_LEVEL"})),
        CONFIG: lambda content: sorted(settings(content)),
    },
)
settings_of_containers.rejects("a setting of compose", "common.yml", add("services.app.environment.TIMEOUT", "1"))


def _of_database(content: bytes) -> tuple[str, ...]:
    return tuple(sorted(name for name in settings(content) if name.startswith("DATABASE_")))


_READ = AllMatching(r"\b((?:DATABASE|database)_\w+)\b(?=[\"':])")


@rejects("an unread setting", "app/settings.py", replace("    database_user: ", "    database_users: "))
@rejects(
    "a setting that only Kubernetes has", CONFIG, replace("DATABASE_NAME=app", "DATABASE_NAME=app\nDATABASE_TIMEOUT=1"),
    also="names_of_settings_is_the_same_everywhere",
)  # fmt: skip
@rule(
    configured=Fact(CONFIG, _of_database),
    **{name: Fact(language.settings, _READ) for name, language in LANGUAGES.items()},
)
def the_app_reads_what_is_set_of_its_database(configured: tuple[str, ...], **read: tuple[str, ...]) -> Problems:
    """The app reads every setting of its database that the ConfigMap has, and needs no other."""
    found = {name.upper() for names in read.values() for name in names or ()}
    found = {f"{name}_FILE" if name == "DATABASE_PASSWORD" else name for name in found}
    path = next((LANGUAGES[language].settings for language, names in read.items() if names), CONFIG)
    for name in sorted(found.symmetric_difference(configured)):
        yield Problem(path, f"reads {name}, which nothing sets" if name in found else f"does not read {name}", name)


def _unescaped(words: list[Any]) -> list[str]:
    """The words of a command of compose, where `$$` is a dollar sign."""
    return [str(word).replace("$$", "$") for word in words]


def _in_kubernetes(content: bytes) -> dict[str, Any]:
    spec = load(content)["spec"]["template"]["spec"]
    container, user = spec["containers"][0], spec["securityContext"]
    temporary = {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    return {
        "image": container["image"],
        "user": f"{user['runAsUser']}:{user['runAsGroup']}",
        "health check": container["readinessProbe"]["exec"]["command"],
        "environment": {item["name"]: item["value"] for item in container.get("env", [])},
        "command": container.get("command", container.get("args", [])),
        "temporary folders": sorted(folder for name, folder in mounts.items() if name in temporary),
        "data folder": mounts["data"],
        "memory limit": _megabytes(container["resources"]["limits"]["memory"]),
    }


def _in_compose(service: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": service["image"],
        "user": service["user"],
        "health check": _unescaped(service["healthcheck"]["test"][1:]),
        "environment": service.get("environment", {}),
        "command": _unescaped(service.get("command", [])),
        "temporary folders": sorted(volume["target"] for volume in service["volumes"] if volume["type"] == "tmpfs"),
    }


_SERVICE = "services.database"


@rejects("another user of the database", STATEFULSET, change(f"{POD}.securityContext.runAsUser", 998))
@rejects("another command of the database", STATEFULSET, add(f"{APP}.command", ["postgres"]), project="ingress")
@rejects("another version of the database", STATEFULSET, change(f"{APP}.image", "docker.io/library/postgres:17-trixie"))
@rejects("another health check of the database", STATEFULSET, change(f"{APP}.readinessProbe.exec.command.0", "true"))
@rejects("another name of the database", STATEFULSET, change(f"{APP}.env.[name=POSTGRES_DB].value", "apps"))
@rejects("another limit of the database", STATEFULSET, change(f"{APP}.resources.limits.memory", "1Gi"))
@rejects("another data folder", STATEFULSET, change(MOUNT.format("data"), "/var/lib/postgresql/data"))
@rejects("another temporary folder", STATEFULSET, change(MOUNT.format("postgresql"), "/run/postgresql"))
@rule(
    kubernetes=Fact(STATEFULSET, _in_kubernetes),
    common=Fact("common.yml", At(_SERVICE, _in_compose)),
    folder=Fact("docker-compose.yml", At(f"{_SERVICE}.volumes.0", lambda volume: str(volume).split(":")[1])),
    memory=Fact("prod.yml", At(f"{_SERVICE}.deploy.resources.limits.memory")),
)
def compose_and_kubernetes_run_the_same_database(
    kubernetes: dict[str, Any] | None, common: dict[str, Any] | None, folder: str | None, memory: str | None
) -> Problems:
    """The database of compose and Kubernetes has the same image, user, health check, settings and limits."""
    for path, values in (
        ("common.yml", common), ("docker-compose.yml", {"data folder": folder}), ("prod.yml", {"memory limit": memory}),
    ):  # fmt: skip
        for what, value in (values or {}).items():
            if kubernetes and value != kubernetes[what]:
                yield Problem(
                    path, f"the {what} of the database is {value}, but {kubernetes[what]} in Kubernetes", _SERVICE
                )


_PASSWORD = Matching("^DATABASE_PASSWORD_FILE=(.*)$")

password = agreement(
    "file of the password", {CONFIG: _PASSWORD, "common.yml": At("services.app.environment.DATABASE_PASSWORD_FILE")}
)
password.rejects("another file", "common.yml", change("services.app.environment.DATABASE_PASSWORD_FILE", "/password"))


class _Mount(NamedTuple):
    container: str
    folder: str
    is_read_only: bool


def _secret_mounts(content: bytes) -> tuple[_Mount, ...]:
    """Where the containers mount Secrets."""
    secrets = {volume["name"] for volume in load(content)["spec"]["template"]["spec"]["volumes"] if "secret" in volume}
    return tuple(
        _Mount(container["name"], mount["mountPath"], mount.get("readOnly", False))
        for container in _containers(content)
        for mount in container["volumeMounts"]
        if mount["name"] in secrets
    )


def _folders_of_secrets(content: bytes) -> dict[str, list[str]]:
    mounts = _secret_mounts(content)
    names = [container["name"] for container in _containers(content)]
    return {name: [mount.folder for mount in mounts if mount.container == name] for name in names}


@rejects("another folder of the password", DEPLOYMENT, change(MOUNT.format("database"), "/run/secrets"))
@rejects("another folder in the database", STATEFULSET, change(MOUNT.format("password"), "/run/secrets"))
@rule(
    path=Fact(CONFIG, _PASSWORD),
    app=Fact(DEPLOYMENT, _folders_of_secrets),
    database=Fact(STATEFULSET, _folders_of_secrets),
)
def the_password_is_mounted_where_the_setting_says(path: str | None, **mounts: dict[str, list[str]]) -> Problems:
    """All containers of the app and the database mount the password's Secret in the folder of its file."""
    for key, manifest in (("app", DEPLOYMENT), ("database", STATEFULSET)) if path else ():
        for name, folders in (mounts[key] or {}).items():
            if str(PurePosixPath(str(path)).parent) not in folders:
                yield Problem(
                    manifest, f"{name} mounts Secrets at {folders}, but the password is {path}", "volumeMounts"
                )


@rejects("a Secret that could be written to", DEPLOYMENT, remove(f"{APP}.volumeMounts.[name=database].readOnly"))
@file_rule(DEPLOYMENT, STATEFULSET)
def secrets_are_mounted_read_only(path: str, content: bytes) -> Problems:
    """No container can write to a Secret's folder."""
    for mount in _secret_mounts(content):
        if not mount.is_read_only:
            yield Problem(path, f"{mount.container} could write to the Secret", f"mountPath: {mount.folder}")


ALERTS = "kubernetes/overlays/production/prometheusrule.yaml"
_WATCHED = ("horizontalpodautoscaler", "persistentvolumeclaim", "cronjob")


@rejects("an alert on no autoscaler", ALERTS, replace("deployment='", "horizontalpodautoscaler='"))
@rejects("an alert on no volume", ALERTS, replace("deployment='", "persistentvolumeclaim='"))
@rejects("an alert on no backup", ALERTS, replace("deployment='", "cronjob='"))
@rule(
    watched=Fact(ALERTS, AllMatching(rf"({'|'.join(_WATCHED)})='")),
    autoscaler=Fact("kubernetes/base/horizontalpodautoscaler.yaml"),
    database=Fact(
        "kubernetes/overlays/production/kustomization.yaml",
        At("resources", lambda resources: "../../database" in resources),
    ),
    alerts=Fact(ALERTS),
)
def alerts_watch_what_production_has(watched: Any, autoscaler: bool, database: bool, alerts: bool) -> Problems:
    """Alerts watch the autoscaler, volumes and backups where production has them, and nothing that it lacks."""
    for kind, is_there in zip(_WATCHED, (autoscaler, database, database), strict=True) if alerts else ():
        if (kind in (watched or ())) != is_there:
            yield Problem(
                ALERTS, f"does not watch the {kind}" if is_there else f"watches a {kind}, which production lacks", kind
            )


@rejects("tests in the production image", "docker-compose.yml", change("services.test.build.target", "source"))
@file_rule("docker-compose.yml")
def tests_run_in_the_stage_for_tests(path: str, content: bytes) -> Problems:
    """The compose service test, which CI runs, builds the stage test of the Dockerfile."""
    if At("services.test.build.target")(content) != "test":
        yield Problem(path, "has no service test that builds the stage test", "services.test.build")
