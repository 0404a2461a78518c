"""What `make` is asked for and does: by CI, by the documentation, and with the names that the manifests have."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from tests.harness import At, Fact, Problem, add, agreement, change, load, rejects, remove, replace, rule
from tests.rules.ci.model import Pipeline, made_targets
from tests.rules.ci.providers import CIRCLECI, GITLAB, by_path, pipeline_facts
from tests.rules.extract import AllMatching, Matching, explained_variables, variable
from tests.rules.make import documented_targets

Problems = Iterator[Problem]
Names = tuple[str, ...]
SERVICE_WORKFLOW = ".github/workflows/service.yml"
DEPLOYMENT = "kubernetes/base/deployment.yaml"
STATEFULSET = "kubernetes/database/statefulset.yaml"
MANIFESTS = "kubernetes/chart/templates/manifests.tpl"
README, OPERATIONS = "README.md", "kubernetes/README.md"
# Set by the machine, the shell or CI itself.
_PREDEFINED = {"HOME", "PATH", "PWD", "CI", "TAG", "REPLICAS", "ENVIRONMENT", "KUBECONFIG"}

SERVICE = Fact("Makefile", variable("SERVICE"))


def _documented(content: bytes) -> Names:
    return tuple(sorted(documented_targets(content)))


def _made_by_readers(content: bytes) -> Names:
    """The targets that a text has its readers make."""
    told = re.findall(r"`(make[^`]*)`|^(make .*)$", content.decode(), re.MULTILINE)
    return tuple(sorted(set(made_targets("\n".join(map("".join, told))))))


def _made_by_jobs(pipeline: Pipeline) -> Names:
    return tuple(sorted({target for job in pipeline.jobs for target in made_targets(job.commands)}))


TARGETS = {"makefile": Fact("Makefile", _documented), "included": Fact("*.mk", _documented)}


def _unknown(made: Mapping[str, Names], makefile: Names, included: Mapping[str, Names]) -> Problems:
    known = {*makefile, *(target for targets in included.values() for target in targets)}
    for path, targets in made.items():
        for target in targets:
            if target not in known:
                yield Problem(path, f"there is no `make {target}`", f"make {target}")


@rejects("a missing target of the README", README, replace("make lint", "make lints"))
@rejects("a missing target of the instructions for agents", "AGENTS.md", replace("make lint", "make lints"))
@rule(texts=Fact("*.md", _made_by_readers), **TARGETS)
def documents_name_targets_that_exist(
    texts: Mapping[str, Names], makefile: Names, included: Mapping[str, Names]
) -> Problems:
    """Each target that a document names is one that `make help` lists."""
    yield from _unknown(texts, makefile, included)


@rejects("a missing target of CircleCI", CIRCLECI, add("jobs.check.steps", {"run": "make check everything"}))
@rejects("a missing target of GitLab", GITLAB, add("check.script", "make check everything"))
@rejects("a missing target of GitHub", SERVICE_WORKFLOW, replace("$(make digest)", "$(make digests)"))
@rejects(
    "CI that never deploys", CIRCLECI, replace("command: make deploy ", "command: make apply "),
    also="deployments_write_the_id_token_that_the_kubeconfig_reads",
)  # fmt: skip
@rule(**pipeline_facts(_made_by_jobs), **TARGETS)
def ci_makes_targets_that_exist(makefile: Names, included: Mapping[str, Names], **made: Any) -> Problems:
    """Each target that a job makes is one that `make help` lists."""
    yield from _unknown(by_path(**made), makefile, included)


def _id_tokens(pipeline: Pipeline) -> tuple[tuple[str, bool, Names], ...]:
    """Each job, whether it deploys, and the files beside the kubeconfig that it writes before."""
    found = []
    for job in pipeline.jobs:
        before, deploys, _ = job.commands.partition("make deploy")
        written = re.findall(r"\b(kubeconfig-\w+)\"?\)?$", before, re.MULTILINE)
        found.append((job.name, bool(deploys), tuple(sorted(set(written)))))
    return tuple(found)


@rejects("a token that CI writes elsewhere", CIRCLECI, replace("~/.kube/kubeconfig-token", "~/.kube/token"))
@rejects("GitHub without a token", SERVICE_WORKFLOW, replace("~/.kube/kubeconfig-token", "~/.kube/token"))
@rejects("GitLab without a token", GITLAB, replace("/kubeconfig-token", "/token"))
@rejects("a token for tests", GITLAB, add("lint.script", "cp a kubeconfig-token"))
@rejects(
    "a token that is read elsewhere", "kubernetes.mk", replace('"tokenFile":"kubeconfig-token"', '"tokenFile":"t"')
)
@rule(read=Fact("kubernetes.mk", Matching(r'"tokenFile":"([^"]+)"')), **pipeline_facts(_id_tokens))
def deployments_write_the_id_token_that_the_kubeconfig_reads(read: str, **ci: Any) -> Problems:
    """A job that deploys, and no other, writes its ID token where the kubeconfig of `make kubeconfig` reads it."""
    for path, jobs in by_path(**ci).items():
        for name, deploys, written in jobs:
            if written != ((read,) if deploys else ()):
                yield Problem(path, f"{name} writes {', '.join(written) or 'no token'}", "kubeconfig")


_IN_ENVIRONMENT = AllMatching(r"\$\$\{?([A-Z][A-Z0-9_]+)")


@rejects(
    "a credential that the README leaves out",
    README, replace("`DOCKER_HUB_PWD`", "`DOCKER_HUB_PASSWORD`"),
    README, replace("`DOCKER_HUB_PWD`", "`DOCKER_HUB_PASSWORD`"),
)  # fmt: skip
@rejects("a credential of CI that the README leaves out", CIRCLECI, replace('"$KUBECONFIG_BASE64"', '"$KUBE_CONFIG"'))
@rejects("a credential that no variable of GitLab holds", GITLAB, replace("$TEMPLATE_TOKEN", "$RENOVATE_BOT_TOKEN"))
@rejects("an unexplained secret", SERVICE_WORKFLOW, replace("secrets.REGISTRY_USER", "secrets.REGISTRY_NAME"))
@rule(
    makefile=Fact("Makefile", _IN_ENVIRONMENT),
    included=Fact("*.mk", _IN_ENVIRONMENT),
    readme=Fact(README, explained_variables),
    operations=Fact(OPERATIONS, explained_variables),
    **pipeline_facts(lambda pipeline: tuple(sorted(pipeline.variables))),
)
def variables_are_explained(
    makefile: Names | None, included: Mapping[str, Names], readme: Names, operations: Names | None, **ci: Any
) -> Problems:
    """The documentation explains each variable that CI or `make` takes from the environment."""
    for path, names in {"Makefile": makefile or (), **included, **by_path(**ci)}.items():
        known = {*(readme or ()), *(operations or ()), *(_PREDEFINED if path.endswith(("Makefile", ".mk")) else ())}
        for name in sorted(set(names) - known):
            yield Problem(path, f"reads {name}, which the README does not explain", name)


@rejects("another registry", "Makefile", replace("--password-stdin", "--password-stdin registry.example.com"))
@rejects("another registry to pull from", "kubernetes.mk", replace("https://index.docker.io/v1/", "example.com"))
@rule(
    image=Fact("Makefile", variable("IMAGE")),
    login=Fact("Makefile", AllMatching(r"docker login .*--password-stdin *(.*)$")),
    secret=Fact("kubernetes.mk", AllMatching(r'"auths":\{"([^"]+)"')),
)
def make_logs_in_to_the_registry_of_the_image(image: str, login: Names | None, secret: Names | None) -> Problems:
    """`make login` and the pull secret of `make registry-secret` are for the registry of the image."""
    host = image.partition("/")[0]
    is_hub = host == "docker.io"  # the client's default registry
    for path, found, wanted in (
        ("Makefile", login, "" if is_hub else host),
        ("kubernetes.mk", secret, "https://index.docker.io/v1/" if is_hub else host),
    ):
        for other in found or ():
            if other != wanted:
                yield Problem(path, f"logs in to {other or 'Docker Hub'}, but the image is at {host}", other)


def _logins(content: bytes) -> tuple[tuple[str, Names], ...]:
    """The commands of login steps, and the variables of each."""
    return tuple(
        (step["run"], tuple(sorted(step.get("env", {}))))
        for job in load(content)["jobs"].values()
        for step in job["steps"]
        if re.fullmatch(r"make (login|registry-secret)\b.*", step.get("run", ""))
    )


def _read_by(target: str) -> Any:
    recipe = Matching(rf"^{target}:.*\n((?:\t.*\n)+)")
    return lambda content: tuple(sorted(set(re.findall(r"\$\$\{?([A-Z][A-Z0-9_]+)", recipe(content) or ""))))


@rejects("no password", SERVICE_WORKFLOW, remove("jobs.publish.steps.[run=make login].env.REGISTRY_PASSWORD"))
@rejects("no user to pull", SERVICE_WORKFLOW, replace("          REGISTRY_USER: ${{ secrets.REGISTRY_USER }}\n", ""))
@rule(
    steps=Fact(".github/workflows/*.yml", _logins),
    login=Fact("Makefile", _read_by("login")),
    secret=Fact("kubernetes.mk", _read_by("registry-secret")),
)
def steps_that_log_in_have_its_variables(
    steps: Mapping[str, tuple[tuple[str, Names], ...]], login: Names, secret: Names | None
) -> Problems:
    """A login step of GitHub passes exactly the target's variables to `make`."""
    read = {"login": login, "registry-secret": secret or ()}
    for path, commands in steps.items():
        for command, given in commands:
            needed = tuple(sorted({name for target in command.split()[1:] for name in read.get(target, ())}))
            if needed != given:
                yield Problem(path, f"{command} reads {', '.join(needed)} and is given {', '.join(given)}", command)


def _secrets(content: bytes) -> Names:
    volumes = At("spec.template.spec.volumes")(content) or ()
    secrets = [volume["secret"] for volume in volumes if "secret" in volume]
    return tuple(secret["secretName"] for secret in secrets if not secret.get("optional"))


@rejects("another Secret", "kubernetes.mk", replace("generic $(SERVICE)-database", "generic $(SERVICE)-db"))
@rule(
    path=Fact("kubernetes/base/config.env", Matching("^DATABASE_PASSWORD_FILE=(.*)$")),
    service=SERVICE,
    app=Fact(DEPLOYMENT, _secrets),
    database=Fact(STATEFULSET, _secrets),
    created=Fact("kubernetes.mk", AllMatching(r"create secret generic (\S+) --from-file=([\w.-]+)=")),
)
def make_creates_the_secret_of_the_password(
    path: str | None, service: str, app: Names, database: Names | None, created: Any
) -> Problems:
    """`make secret` creates the Secret that pods mount, with the name of the password's file as its key."""
    for secret in sorted({*app, *(database or ())} if path else ()):
        wanted = (secret.replace(service, "$(SERVICE)", 1), PurePosixPath(str(path)).name)
        if wanted not in (created or ()):
            yield Problem(
                "kubernetes.mk",
                f"`make secret` does not create {secret} with the key {wanted[1]}",
                "create secret generic",
            )


@rejects("another pull secret", "kubernetes.mk", replace("generic $(SERVICE)-registry", "generic $(SERVICE)-docker"))
@rule(
    service=SERVICE,
    pulled=Fact(
        "kubernetes/base/serviceaccount.yaml", At("imagePullSecrets", lambda items: tuple(i["name"] for i in items))
    ),
    created=Fact("kubernetes.mk", AllMatching(r"create secret generic (\S+) --type=kubernetes\.io/dockerconfigjson")),
    is_external=Fact("kubernetes/secrets/registry-externalsecret.yaml"),
)
def make_creates_the_pull_secret(
    service: str, pulled: Names | None, created: Names | None, is_external: bool
) -> Problems:
    """`make registry-secret` creates the Secrets with which images are pulled, unless an ExternalSecret does."""
    for secret in () if is_external else pulled or ():
        if secret.replace(service, "$(SERVICE)", 1) not in (created or ()):
            yield Problem("kubernetes.mk", f"`make registry-secret` does not create {secret}", "create secret generic")


@rejects("a tag that make does not replace", "scripts/deploy.sh", replace(" s|set-by-make-deploy|", " s|set-by-make|"))
@rule(
    tags=Fact(
        DEPLOYMENT,
        At(
            "spec.template.spec.containers",
            lambda containers: tuple(container["image"].rsplit(":", 1)[1] for container in containers),
        ),
    ),
    replaced=Fact("scripts/deploy.sh", AllMatching(r' s\|([^|]+)\|\$image\|"')),
)
def make_deploy_replaces_the_tag(tags: Names, replaced: Names | None) -> Problems:
    """`make deploy` replaces the tag that the Deployment has, so nothing ever deploys latest."""
    for tag in tags or ():
        if tag not in (replaced or ()):
            yield Problem("scripts/deploy.sh", f"does not replace the tag {tag} of the manifests", "|$image|")


@rejects("a kind that is not pruned", "scripts/deploy.sh", replace("configmaps|", ""))
@rejects("another kind that is kept", MANIFESTS, replace('"Service" ', '"Service" "Secret" '))
@rule(
    kept=Fact(MANIFESTS, AllMatching(r"(?m)^\{\{- \$reliedOn := list (.+) \}\}$")),
    pruned=Fact("scripts/deploy.sh", AllMatching(r"(?m)^kinds\+?='(.+)'$")),
)
def kinds_that_helm_keeps_are_pruned(kept: Names | None, pruned: Names | None) -> Problems:
    """`make deploy` prunes each kind that Helm does not delete, except claims, which hold data."""
    kinds = set(re.findall("[a-z-]+", " ".join(pruned or ())))
    for kind in re.findall("[A-Z]+", " ".join(kept or ()), re.IGNORECASE):
        plural = f"{kind.lower()}s".replace("ys", "ies")
        if kind != "PersistentVolumeClaim" and plural not in kinds:
            yield Problem("scripts/deploy.sh", f"does not prune {plural}, which Helm keeps", "kinds=")


@rejects("a timeout shorter than the migration", "kubernetes.mk", replace("TIMEOUT := 1", "TIMEOUT := "))
@rule(
    timeout=Fact("kubernetes.mk", variable("TIMEOUT")),
    progress=Fact(DEPLOYMENT, At("spec.progressDeadlineSeconds")),
    deadline=Fact("kubernetes/base/migrate-job.yaml", At("spec.activeDeadlineSeconds")),
)
def a_release_has_time_for_its_migration_and_pods(timeout: str, progress: int, deadline: int | None) -> Problems:
    """Helm waits for the migration, and for each quarter of the pods until well after its progress deadline."""
    least = (deadline or 0) + 8 * progress
    if int(timeout.removesuffix("s")) < least:
        yield Problem(
            "kubernetes.mk", f"Helm gives up after {timeout}, of which a release can take {least}s", "TIMEOUT :="
        )


namespace = agreement(
    "namespace",
    {
        "kubernetes.mk": Matching(r"^NAMESPACE = (.*)-\$\(ENVIRONMENT\)$"),
        OPERATIONS: Matching("`([a-z0-9-]+)-production`"),
        **{
            f"kubernetes/overlays/{environment}/{path}": At(
                "namespace", operator.methodcaller("removesuffix", f"-{environment}")
            )
            for environment in ("local", "staging", "production")
            for path in ("kustomization.yaml", "namespace/kustomization.yaml")
        },
    },
)
namespace.rejects("another namespace", "kubernetes/overlays/staging/kustomization.yaml", change("namespace", "shop-x"))
namespace.rejects("no namespace of production in the README", OPERATIONS, replace(", `shop-production`", ""))
