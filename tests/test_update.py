"""`copier update` brings a later version and keeps what the team changed, answered and deleted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import copier
import pytest
import yaml

from tests.render import ANSWERS_FILE
from tests.space import Answers
from tests.template import ROOT, Template
from tests.test_render import git

ANSWERS: list[Answers] = [
    {
        "project_name": "Shop", "description": "Sells: things # and more.", "database": "postgres", "port": 3000,
        "exposure": "gateway", "customize": True, "namespace": "team", "gateway": "infra/gate", "replicas": 1,
    },
    {"project_name": "Shop", "database": "none", "ci_provider": "none", "image_repository": "ghcr.io/acme/shop"},
]  # fmt: skip

# What the team does in its project between two updates.
EDITS: dict[str, tuple[str, str]] = {
    "Dockerfile": ("ARG VERSION=dev", "ENV TEAM=shop\nARG VERSION=dev"),
    "app/web.py": ("\n\n\n", "\n\nTEAM = 'shop'\n\n\n"),
    "kubernetes/base/service.yaml": ("spec:\n", "spec:\n  sessionAffinity: ClientIP\n"),
}
ADDED = {"docs/team.md": "# Ours\n", "app/team.py": "TEAM = 1\n"}
DELETED = "scripts/swarm.sed"
IGNORED = {".env": "LOG_LEVEL=debug\n", "secrets/database-password": "ours"}

# What differs in the older version of the template that each project is made from.
OLDER: dict[str, tuple[str, str]] = {
    "template/Makefile.jinja": ("help: ## List the targets", "help: ## Show the targets"),
    "template/kubernetes/base/deployment.yaml.jinja": ("revisionHistoryLimit: 5", "revisionHistoryLimit: 4"),
    "template/README.md.jinja": ("## Develop", "## Work on it"),
    "template/{{ python }}/Dockerfile.jinja": ("--interval=10s", "--interval=30s"),
}


@pytest.fixture(scope="module")
def repository(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's history: a synthetic older version, then the working tree."""
    folder = tmp_path_factory.mktemp("history") / "k8s-starter"
    subprocess.run(["cp", "-a", template.folder, folder], check=True)
    git(folder, "init", "-q", "-b", "main")
    for path, (now, before) in OLDER.items():
        change(folder / path, now, before)
    (folder / "template/old.txt").write_text("left behind\n")
    commit(folder, "v1.0.0")
    for path, (now, before) in OLDER.items():
        change(folder / path, before, now)
    (folder / "template/old.txt").unlink()
    commit(folder, "v1.1.0")
    return folder


def commit(folder: Path, tag: str = "") -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", tag or "work")
    if tag:
        git(folder, "tag", tag)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}: mend the table of this test"
    path.write_text(text.replace(old, new, 1))


def start(repository: Path, project: Path, answers: Answers, version: str) -> Path:
    copier.run_copy(
        str(repository), project, data=answers, defaults=True, quiet=True, vcs_ref=version, settings=copier.Settings()
    )
    git(project, "init", "-q", "-b", "main")
    commit(project)
    return project


def update(project: Path, **changed: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            patch.setenv(f"{name}_NAME", "A")
            patch.setenv(f"{name}_EMAIL", "a@example.com")
        copier.run_update(project, data=changed, defaults=True, overwrite=True, quiet=True, settings=copier.Settings())


def stored(project: Path) -> dict[str, object]:
    answers = yaml.safe_load((project / ANSWERS_FILE).read_text())
    return {name: value for name, value in answers.items() if not name.startswith("_")}


def files(project: Path) -> dict[str, str]:
    return {
        str(path.relative_to(project)): path.read_text()
        for path in project.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(project).parts
    }


@pytest.mark.parametrize("answers", ANSWERS, ids=["with a database", "without"])
def test_an_update_keeps_what_the_team_did(repository: Path, tmp_path: Path, answers: Answers) -> None:
    project = start(repository, tmp_path / "project", answers, "v1.0.0")
    before = stored(project)
    for path, (old, new) in EDITS.items():
        change(project / path, old, new)
    for path, text in ADDED.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    (project / DELETED).unlink()
    commit(project)
    for path, text in IGNORED.items():
        if "database" in path and answers["database"] == "none":
            continue
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    assert git(project, "status", "--porcelain") == "", "the team's own files are ignored by git"

    update(project)

    assert git(project, "diff", "--check", "HEAD") == "", "no conflict markers"
    assert not list(project.rglob("*.rej"))
    assert stored(project) == before, "no answer is lost or changed"
    now = files(project)
    for path, (_, new) in EDITS.items():
        assert new in now[path], f"the edit of {path}"
    assert ADDED.items() <= now.items()
    assert {path: text for path, text in IGNORED.items() if path in now}.items() <= now.items()
    assert DELETED not in now
    assert "old.txt" not in now
    assert "help: ## List the targets" in now["Makefile"]
    assert "revisionHistoryLimit: 5" in now["kubernetes/base/deployment.yaml"]
    assert "--interval=10s" in now["Dockerfile"]
    assert "## Develop" in now["README.md"]


def test_an_update_of_an_untouched_project_is_a_fresh_copy(repository: Path, tmp_path: Path) -> None:
    updated = start(repository, tmp_path / "updated", ANSWERS[0], "v1.0.0")
    update(updated)
    fresh = start(repository, tmp_path / "fresh", ANSWERS[0], "v1.1.0")
    assert files(updated) == files(fresh)

    commit(updated)
    update(updated)
    assert git(updated, "status", "--porcelain") == "", "a second update changes nothing"


def test_an_answer_changed_on_update_is_a_fresh_copy_with_it(repository: Path, tmp_path: Path) -> None:
    changed: Answers = {"database": "redis", "exposure": "ingress", "customize": False}
    updated = start(repository, tmp_path / "updated", ANSWERS[0], "v1.0.0")
    update(updated, **changed)
    kept = {name: value for name, value in ANSWERS[0].items() if name not in ("namespace", "gateway", "metrics_port")}
    # An answer that still has its question stays, even where it was a default that followed from another answer.
    kept["ingress_namespace"] = str(ANSWERS[0]["gateway"]).split("/")[0]
    fresh = start(repository, tmp_path / "fresh", kept | changed, "v1.1.0")
    assert files(updated) == files(fresh)


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """This repository itself, with the working tree committed on top of its history."""

    def clone() -> Path:
        folder = tmp_path_factory.mktemp("clone") / "k8s-starter"
        git(ROOT, "clone", "-q", "--no-hardlinks", str(ROOT), str(folder))
        return folder

    return clone


def test_every_released_version_can_be_updated(
    committed: Callable[[], Path], template: Template, tmp_path: Path
) -> None:
    """From each tag, or from the newest commit before the first release."""
    folder = committed()
    released = git(folder, "tag").split()
    versions = released or git(folder, "rev-list", "--max-count=1", "HEAD").split()
    for name in ("copier.yml", "extensions", "template"):
        subprocess.run(["rm", "-rf", folder / name], check=True)
        subprocess.run(["cp", "-a", template.folder / name, folder / name], check=True)
    commit(folder)
    git(folder, "tag", "v999.0.0")
    for version in versions:
        for number, answers in enumerate(ANSWERS if released else ANSWERS[:1]):
            project = start(folder, tmp_path / f"{version}-{number}", answers, version)
            before = stored(project)
            update(project)
            assert git(project, "diff", "--check", "HEAD") == "", version
            assert before.items() <= stored(project).items(), f"{version}: no answer is lost or changed"
