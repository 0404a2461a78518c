"""Each target, with each program that it calls failing in turn: it fails too, and leaves no half-written file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e import workspace
from tests.harness import Answers, Projects

PROGRAMS = ("curl", "docker", "git", "go", "helm", "kind", "kops", "kubectl", "sleep", "trivy")
# Answers as the real programs do, as far as a target reads them, and writes down how it was called. A call that FAILS
# names fails. Times and random numbers in calls are all alike.
PROGRAM = r"""#!/bin/bash
call=$(tr '\n' ' ' <<< "${0##*/} $*" | sed -E 's/[0-9][0-9TZ:-]{5,}/N/g; s#/tmp/[^ ]+#/tmp#g')
[[ $call == sleep* ]] || (flock 9; echo "$call" >> "$STATE/calls") 9>> "$STATE/lock"
[[ $call != "$FAILS" ]] || exit 1
case $call in *=-* | */dev/stdin* | *--password-stdin* | *' exec '*) cat > /dev/null ;; esac
case $call in
  'git describe '*) echo 1111111111111111111111111111111111111111 ;;
  'git grep '*) exit 1 ;;
  'git log '*) echo 2026-11-01T00:00:00Z ;;
  'docker service ps '*) echo '"Complete 5 seconds ago"' ;;
  'docker service ls '*) echo "1 shop_app replicated 2/2 $IMAGE:$TAG" ;;
  'docker compose port '*) echo 127.0.0.1:5432 ;;
  'docker compose --file=prod.yml config '*) printf 'name: shop\nservices: {}\n' ;;
  'docker buildx imagetools inspect --raw '*) echo '{}' ;;
  'kind get clusters'*) echo shop ;;
  'kubectl config current-context'*) echo kind-shop ;;
  'kubectl config view '*) echo '{}' ;;
  'kubectl '*' create token '*) echo 'token 2027-01-01T00:00:00Z' ;;
  'kubectl '*' get job/'*) echo Complete ;;
  'kubectl '*'{.spec.replicas}'*) echo 2 ;;
  'kubectl '*' get secret '*jsonpath*) echo '1|cGFzc3dvcmQ=|' ;;
  'kubectl api-resources '*) printf '%s\n' configmaps deployments.apps statefulsets.apps ;;
  'kubectl '*' get '*' --output=name '*) echo deployment.apps/shop ;;
  'kubectl '*' kustomize '* | 'kubectl kustomize '*) echo "image: docker.io/library/postgres:$DATABASE" ;;
  'kubectl '*' get statefulset '*)
    if grep -q ' delete statefulset' "$STATE/calls"; then version=$DATABASE; else version=18; fi
    echo "image: docker.io/library/postgres:$version" ;;
  'kubectl '*' get '*) echo 'image: docker.io/library/postgres:18' ;;
  'helm version '*) echo v4.3.2 ;;
  'helm list '*) echo shop ;;
  'helm history '*) printf '%s\n' '- app_version: "0"' '  revision: 1' '  status: superseded' \
    '- app_version: "2"' '  revision: 2' '  status: deployed' ;;
esac
"""
# Without git, a target uses another tag, or fails with a message of its own.
REPORTED = {"docker", "go", "helm", "kind", "kops", "kubectl", "trivy"}
# `make check` skips what is not installed, `make scan` uses a container, and xargs has a message of its own.
OPTIONAL = {("check", "kubectl"), ("scan", "trivy"), ("upgrade", "go")}
VARIABLES = {
    "ENVIRONMENT": "staging",
    "TAG": "1" * 40,
    "NODE": "worker-1",
    "REPLICAS": "3",
    "VERSION": "v1.2.0",
}
# What only asks whether something is there: a failure is the answer no.
QUESTIONS = re.compile(
    r"git (describe|grep|log) "
    r"|docker buildx imagetools inspect (?!--raw)"
    r"|docker version"
    r"|docker service rm "
    r"|go env "
    r"|kubectl config current-context"
    r"|kubectl --namespace=\S+ get secret \S+ --output=name"
    r"|kubectl --namespace=\S+ diff "  # 1 means a difference
)
# Of a machine alone, or tested in test_doctor.py and, with real clusters, in test_deploy.py.
LEFT_OUT = {"doctor", "help", "dashboard", "vulncheck"}


class Runs:
    """A project whose programs can fail."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.before = {path.relative_to(project) for path in project.rglob("*")}
        (self.image,) = re.findall(r"^IMAGE := (.*)$", (project / "Makefile").read_text(), re.MULTILINE)
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in PROGRAMS:
            (self.programs / name).write_text(PROGRAM)
            (self.programs / name).chmod(0o755)

    def run(self, target: str, fails: str = "", path: str = "") -> tuple[int, list[str], dict[str, str], str]:
        """The exit code, the calls, the files that were written, and the output."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.project, copy)
        state = self.folder / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        environment = {
            "PATH": path or f"{self.programs}:{os.environ['PATH']}",
            "STATE": str(state), "FAILS": fails, "IMAGE": self.image, "TAG": VARIABLES["TAG"], "HOME": str(self.folder),
            "DOCKER_HUB_USER_ID": "acme", "DOCKER_HUB_PWD": "token", "DOCKER_HUB_EMAIL": "a@example.com",
            "DATABASE": "19" if target == "upgrade-database" else "18",
            "RESTIC_REPOSITORY": "s3:https://example.com/a", "RESTIC_PASSWORD": "x" * 32,
        }  # fmt: skip
        confirm = "k8s.example.com" if target == "cluster-delete" else "shop-staging"
        variables = [f"{name}={value}" for name, value in {**VARIABLES, "CONFIRM": confirm}.items()]
        done = subprocess.run(
            ["make", target, *variables], cwd=copy, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        written = {
            str(path.relative_to(copy)): path.read_text()
            for path in copy.rglob("*")
            if path.is_file() and path.relative_to(copy) not in self.before
        }
        calls = (state / "calls").read_text().splitlines() if (state / "calls").exists() else []
        return done.returncode, calls, written, done.stdout + done.stderr


ANSWERS: Answers = {
    "project_name": "Shop",
    "service_name": "shop",
    "language": "go",
    "database": "postgres",
    "customize": True,
    "cluster": "kops",
}


@pytest.fixture(scope="module")
def project(projects: Projects, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of which only programs for containers, clusters and Go are called."""
    folder = tmp_path_factory.mktemp("failures") / "shop"
    return workspace.Project(projects.render(ANSWERS), folder, ANSWERS).path


STOPPED = r"is (still )?stopped|stays stopped"


def is_stopped(calls: list[str]) -> bool:
    """Whether the last that these calls did with the number of pods was to set it to none."""
    scaled = [call for call in calls if re.search(r" scale deployment", call)]
    return bool(scaled) and "--replicas=0" in scaled[-1]


def targets(project: Path) -> list[str]:
    """What `make help` lists."""
    texts = [(project / name).read_text() for name in ("Makefile", "kubernetes.mk", "go.mk")]
    return sorted({name for text in texts for name in re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)} - LEFT_OUT)


def test_a_target_fails_with_each_program_that_it_calls(project: Path, tmp_path: Path) -> None:
    runs = Runs(project, tmp_path)
    problems, tried = [], 0
    for target in targets(project):
        code, calls, good, output = runs.run(target)
        assert code == 0, f"make {target}: {output[-2000:]}"
        for call in sorted(set(calls)):
            if QUESTIONS.match(call):
                continue
            tried += 1
            code, failed, written, output = runs.run(target, call)
            if code == 0:
                problems.append(f"make {target} succeeds although this fails: {call[:160]}")
            if is_stopped(failed) and "--replicas=0" not in call and not re.search(STOPPED, output):
                problems.append(f"make {target} does not report the stopped service when this fails: {call[:160]}")
            for path, content in written.items():
                if path not in good or (content != good[path] and path != "secrets/database-password"):
                    problems.append(f"make {target} leaves {path} when this fails: {call[:160]}")
    assert tried > 100
    assert not problems, "\n".join(problems)


def test_a_missing_program_is_reported(project: Path, tmp_path: Path) -> None:
    runs = Runs(project, tmp_path)
    others = tmp_path / "others"
    others.mkdir()
    for path in (path for folder in os.environ["PATH"].split(":") for path in Path(folder).glob("*")):
        if path.name not in PROGRAMS and not (others / path.name).is_symlink():
            (others / path.name).symlink_to(path)
    problems, tried = [], 0
    for target in targets(project):
        _, calls, _, _ = runs.run(target)
        for program in sorted({call.split()[0] for call in calls} & REPORTED):
            if (target, program) in OPTIONAL:
                continue
            tried += 1
            stub = (runs.programs / program).rename(tmp_path / program)
            code, _, _, output = runs.run(target, path=f"{runs.programs}:{others}")
            stub.rename(runs.programs / program)
            if code == 0 or not re.search(
                rf"{program} is missing: make doctor lists|{program} 4 is not installed: https", output, re.IGNORECASE
            ):
                problems.append(f"make {target} without {program}: {code}, {output[-200:]}")
    assert tried > 50
    assert not problems, "\n".join(problems)


def test_a_project_that_has_dropped_kubernetes_is_checked(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "shop", ignore=shutil.ignore_patterns("kubernetes"))
    code, calls, _, output = Runs(tmp_path / "shop", tmp_path).run("check")
    assert code == 0, output
    assert any("hadolint" in call for call in calls)
    assert not any("kustomize" in call for call in calls)
