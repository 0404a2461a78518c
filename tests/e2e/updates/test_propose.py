"""What CI proposes when the template has a newer version: a branch and a request, or why there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.serving import serving
from tests.e2e.updates.host import TOKEN, Host
from tests.e2e.updates.project import NOW, OLDER, History, change, commit, start
from tests.harness_tests.test_projects import git

BRANCH = f"template-v{NOW}"
GITHUB = {"GITHUB_SERVER_URL": "{host}", "GITHUB_API_URL": "{host}", "GITHUB_REPOSITORY": "acme/shop"}
VARIABLES = {
    "circleci": GITHUB,
    "github": GITHUB,
    "gitlab": {
        "CI_SERVER_URL": "{host}",
        "CI_PROJECT_PATH": "acme/shop",
        "CI_API_V4_URL": "{host}/api/v4",
        "CI_PROJECT_ID": "7",
    },
}
TITLE, TEXT, HEAD, BASE = range(4)
OF_GITHUB = ("title", "body", "head", "base")
FIELDS = {
    "circleci": OF_GITHUB,
    "github": OF_GITHUB,
    "gitlab": ("title", "description", "source_branch", "target_branch"),
}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with serving(Host(tmp_path / "host")) as host:
        yield host


class Checkout:
    """A checkout of a project, as the provider's job has it."""

    def __init__(self, history: History, host: Host, path: Path, provider: str, version: str = OLDER) -> None:
        self.path = path
        self.host = host
        self.provider = provider
        start(history.repository, path, {"project_name": "Shop", "ci_provider": provider}, version)
        self.push()

    def work(self, file: str, old: str, new: str) -> None:
        """Change a file on main."""
        change(self.path / file, old, new)
        self.push()

    def push(self) -> None:
        """Make this main."""
        commit(self.path)
        git(self.path, "push", "--quiet", "--force", str(self.host.repository), "HEAD:main")

    def propose(self, token: str = TOKEN, variables: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run the job's script; the status, and all that it prints."""
        given = {name: value.format(host=self.host.address) for name, value in VARIABLES[self.provider].items()}
        path = os.pathsep.join([str(Path(".venv/bin").absolute()), os.environ["PATH"]])
        done = subprocess.run(
            ["scripts/propose-update.sh"],
            cwd=self.path,
            env={
                **os.environ,
                "PATH": path,
                "TEMPLATE_TOKEN": token,
                "GIT_TERMINAL_PROMPT": "0",
                **given,
                **(variables or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert TOKEN not in done.stdout
        return done.returncode, done.stdout

    def proposed(self) -> tuple[str, ...]:
        """Title, text, branch and target of the only proposal."""
        (proposal,) = self.host.proposals
        return tuple(proposal[field] for field in FIELDS[self.provider])


@pytest.mark.parametrize("provider", VARIABLES)
def test_a_newer_version_is_proposed_once(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    checkout.work("Makefile", "SERVICE := shop", "SERVICE := shop\nTEAM := ours")
    status, printed = checkout.propose()
    assert status == 0, printed
    assert host.branches() == ["main", BRANCH]
    proposal = checkout.proposed()
    assert proposal[HEAD] == BRANCH
    assert proposal[BASE] == "main"
    assert proposal[TITLE] == f"Update the template from v{OLDER} to v{NOW}"
    assert "- `old.txt`" in proposal[TEXT]
    assert f"-_commit: v{OLDER}\n+_commit: v{NOW}" in proposal[TEXT]
    assert "onflicts" not in proposal[TEXT]
    proposed = git(host.repository, "show", f"{BRANCH}:Makefile")
    assert "TEAM := ours" in proposed
    assert "help: ## List the targets" in proposed
    git(checkout.path, "reset", "--quiet", "--hard", "HEAD^")
    status, printed = checkout.propose()
    assert (status, len(host.proposals)) == (0, 1)
    assert "is proposed" in printed


@pytest.mark.parametrize("provider", VARIABLES)
def test_conflicts_are_shown_and_are_no_success(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    checkout.work("README.md", "## Work on it", "## Hack on it")
    status, printed = checkout.propose()
    assert status == 1, printed
    assert "It has conflicts" in printed
    proposal = checkout.proposed()
    assert proposal[TITLE].startswith("Draft: " if provider == "gitlab" else "Conflicts: ")
    assert "<<<<<<< before updating\n## Hack on it\n=======\n## Develop\n>>>>>>> after updating\n" in proposal[TEXT]
    assert "`README.md`" in proposal[TEXT]
    done = subprocess.run(["scripts/check.sh"], cwd=checkout.path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "README.md:" in done.stdout
    assert ">>>>>>> after updating" in done.stdout


def test_the_newest_version_proposes_nothing(history: History, host: Host, tmp_path: Path) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "github", NOW)
    status, printed = checkout.propose()
    assert status == 0
    assert f"no newer version than v{NOW}" in printed
    assert (host.branches(), host.proposals) == (["main"], [])


@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_a_refusal_is_told_and_fails(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    status, printed = checkout.propose(token="another")  # noqa: S106
    assert status != 0
    assert "Authentication failed" in printed
    assert (host.branches(), host.proposals) == (["main"], [])
    git(checkout.path, "reset", "--quiet", "--hard", "HEAD^")
    host.refuses = True
    status, printed = checkout.propose()
    assert status != 0
    assert "422" in printed
    assert (host.branches(), host.proposals) == (["main"], [])


def test_copier_is_installed_where_it_is_missing(history: History, host: Host, tmp_path: Path) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "circleci")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "curl", "dirname", "git", "mktemp", "sed"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    status, printed = checkout.propose(variables={"PATH": str(tools)})
    assert status == 0, printed
    assert host.branches() == ["main", BRANCH]
