"""`make new` creates projects that can be updated on other machines, and explains a failure."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from tests.e2e.serving import serving
from tests.e2e.updates.host import READ_TOKEN, Host
from tests.e2e.updates.project import NOW, History
from tests.harness import ANSWERS_FILE, ROOT
from tests.harness_tests.test_projects import git

HELPER = f"!f() {{ echo username=person; echo password={READ_TOKEN}; }}; f"
GIT = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential.helper", "GIT_CONFIG_VALUE_0": HELPER}


def make(target: str, clone: Path, destination: Path) -> subprocess.CompletedProcess[str]:
    """Run a target in a clone of this repository, with the environment of these tests."""
    arguments = ["INSTALLED=", f"VENV={ROOT / '.venv'}", "COPIER_FLAGS=--defaults --quiet", f"DEST={destination}"]
    return subprocess.run(
        ["make", f"--file={ROOT / 'Makefile'}", target, *arguments],
        cwd=clone,
        env={**os.environ, **GIT},
        capture_output=True,
        text=True,
        check=False,
    )


def test_new_project_has_the_newest_release_of_the_origin(history: History, tmp_path: Path) -> None:
    with serving(Host(tmp_path / "host")) as host:
        git(tmp_path, "clone", "--quiet", "--mirror", str(history.repository), str(host.folder / "acme/template.git"))
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(history.repository), str(clone))
        address = f"{host.address}/acme/template.git"
        git(clone, "remote", "set-url", "origin", address)
        (clone / "template/README.md.jinja").write_text("Not committed\n")
        done = make("new", clone, tmp_path / "shop")
        assert done.returncode == 0, done.stderr
        answers = yaml.safe_load((tmp_path / "shop" / ANSWERS_FILE).read_text())
        assert (answers["_src_path"], answers["_commit"]) == (address, f"v{NOW}")
        assert (tmp_path / "shop/README.md").read_text() != "Not committed\n"


def test_new_project_requires_a_release(history: History, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--no-tags", str(history.repository), str(clone))
    git(tmp_path, "clone", "--quiet", "--no-tags", "--bare", str(clone), str(tmp_path / "untagged.git"))
    for origin in (tmp_path / "untagged.git", tmp_path / "missing.git"):
        git(clone, "remote", "set-url", "origin", str(origin))
        done = make("new", clone, tmp_path / "shop")
        assert done.returncode == 2
        assert "The remote origin has no release" in done.stderr
        assert not (tmp_path / "shop").exists()


def test_try_renders_the_working_tree(history: History, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(history.repository), str(clone))
    (clone / "template/README.md.jinja").write_text("Not committed\n")
    done = make("try", clone, tmp_path / "shop")
    assert done.returncode == 0, done.stderr
    assert "cannot be updated" in done.stdout
    assert (tmp_path / "shop/README.md").read_text() == "Not committed\n"
