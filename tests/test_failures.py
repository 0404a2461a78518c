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
  'kubectl '*' kustomize '* | 'kubectl kustomize '*) echo 'image: docker.io/library/postgres:18' ;;
  'kubectl '*' get '*) echo 'image: docker.io/library/postgres:18' ;;
  'helm version '*) echo v4.3.2 ;;
  'helm list '*) echo shop ;;
  'helm history '*) printf '%s\n' '- app_version: "0"' '  revision: 1' '  status: superseded' \
    '- app_version: "2"' '  revision: 2' '  status: deployed' ;;
esac
"""
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
    r"|kubectl --namespace=\S+ diff "  # 1 says that something differs
)
# Of a machine alone, or tested in test_doctor.py and, with real clusters, in test_deploy.py.
LEFT_OUT = {"doctor", "help", "dashboard", "upgrade-database", "vulncheck"}


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

    def run(self, target: str, fails: str = "") -> tuple[int, list[str], dict[str, str], str]:
        """The exit code, the calls, the files that were written, and the output."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.project, copy)
        state = self.folder / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "STATE": str(state), "FAILS": fails, "IMAGE": self.image, "TAG": VARIABLES["TAG"], "HOME": str(self.folder),
            "DOCKER_HUB_USER_ID": "acme", "DOCKER_HUB_PWD": "token", "DOCKER_HUB_EMAIL": "a@example.com",
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
            code, _, written, output = runs.run(target, call)
            if code == 0:
                problems.append(f"make {target} succeeds although this fails: {call[:160]}")
            for path, content in written.items():
                if path not in good or (content != good[path] and path != "secrets/database-password"):
                    problems.append(f"make {target} leaves {path} when this fails: {call[:160]}")
    assert tried > 100
    assert not problems, "\n".join(problems)
