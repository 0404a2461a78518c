"""What CI proposes when the template has a newer version: a branch and a request, or why there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.updates.host import READ_TOKEN, TOKEN, Host
from tests.e2e.updates.project import NOW, OLDER, History, change, commit, start
from tests.harness import Answers
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


class Checkout:
    """A checkout of a project, as the provider's job has it."""

    def __init__(
        self,
        history: History | Path,
        host: Host,
        path: Path,
        provider: str,
        version: str = OLDER,
        answers: Answers | None = None,
    ) -> None:
        self.path = path
        self.host = host
        self.provider = provider
        # Copier sees no token.
        self.tools = path.parent / "tools"
        self.tools.mkdir()
        copier = Path(".venv/bin/copier").absolute()
        (self.tools / "copier").write_text(
            f'#!/bin/sh\n[ -z "$TEMPLATE_TOKEN$TEMPLATE_READ_TOKEN" ] || exit 99\nexec {copier} "$@"\n'
        )
        (self.tools / "copier").chmod(0o755)
        repository = history if isinstance(history, Path) else history.repository
        start(repository, path, {"project_name": "Shop", "ci_provider": provider, **(answers or {})}, version)
        self.push()

    def work(self, file: str, old: str, new: str) -> None:
        """Change a file on main."""
        change(self.path / file, old, new)
        self.push()

    def push(self, branch: str = "main") -> None:
        """Make this a branch of the host's repository."""
        commit(self.path)
        git(self.path, "push", "--quiet", "--force", str(self.host.repository), f"HEAD:refs/heads/{branch}")

    def add_proposal(self, version: str, email: str) -> None:
        """Open a proposal with a last commit by this author."""
        branch = f"template-v{version}"
        git(self.path, "-c", f"user.email={email}", "commit", "--quiet", "--allow-empty", "--message=proposed")
        git(self.path, "push", "--quiet", str(self.host.repository), f"HEAD:refs/heads/{branch}")
        git(self.path, "reset", "--quiet", "--hard", "HEAD^")
        self.host.proposals.append({FIELDS[self.provider][HEAD]: branch, "state": "open"})

    def propose(
        self, token: str = TOKEN, variables: Mapping[str, str] | None = None, folder: str = "."
    ) -> tuple[int, str]:
        """Run the job's script; the status, and all that it prints."""
        given = {name: value.format(host=self.host.address) for name, value in VARIABLES[self.provider].items()}
        done = subprocess.run(
            ["scripts/propose_update.py"],
            cwd=self.path / folder,
            env={
                **os.environ,
                "PATH": os.pathsep.join([str(self.tools), os.environ["PATH"]]),
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
        """Title, text, branch and target of the only open proposal."""
        (proposal,) = (proposal for proposal in self.host.proposals if proposal["state"] == "open")
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
    assert "its pull request is open" in printed.replace("merge", "pull")
    assert "## 999.0.0 - 2026-12-24\n\n- Something new.\n" in proposal[TEXT]
    assert "first version" not in proposal[TEXT]
    assert "Not yet" not in proposal[TEXT]


@pytest.mark.parametrize("provider", VARIABLES)
def test_conflicts_are_shown_and_fail(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    checkout.work("README.md", "## Work on it", "## Hack on it")
    status, printed = checkout.propose()
    assert status == 1, printed
    assert "README.md has conflicts." in printed
    proposal = checkout.proposed()
    assert proposal[TITLE].startswith("Draft: " if provider == "gitlab" else "Conflicts: ")
    assert "<<<<<<< before updating\n## Hack on it\n=======\n## Develop\n>>>>>>> after updating\n" in proposal[TEXT]
    assert "`README.md`" in proposal[TEXT]
    done = subprocess.run(["scripts/check.sh"], cwd=checkout.path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "README.md:" in done.stdout
    assert ">>>>>>> after updating" in done.stdout


def test_services_of_one_repository_have_proposals_of_their_own(history: History, host: Host, tmp_path: Path) -> None:
    checkout, folder = Checkout(history, host, tmp_path / "project", "github"), "services/my other"
    start(history.repository, checkout.path / folder, {"project_name": "Other", "ci_provider": "github"}, OLDER)
    shutil.rmtree(checkout.path / folder / ".git")
    checkout.work(f"{folder}/Makefile", "help: ## Show the targets", "help: ## Ours")
    assert checkout.propose()[0] == 0
    git(checkout.path, "reset", "--quiet", "--hard", "HEAD^")
    status, printed = checkout.propose(folder=folder)
    assert "Makefile has conflicts." in printed
    assert status == 1
    assert host.branches() == ["main", f"services/my-other/{BRANCH}", BRANCH]
    assert [proposal["state"] for proposal in host.proposals] == ["open", "open"]


def test_the_newest_version_proposes_nothing(history: History, host: Host, tmp_path: Path) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "github", NOW)
    status, printed = checkout.propose()
    assert status == 0
    assert f"no newer version than v{NOW}" in printed
    assert (host.branches(), host.proposals) == (["main"], [])


@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_refusal_is_printed_and_fails(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    status, printed = checkout.propose(token="another")  # noqa: S106
    assert status != 0
    assert "401" in printed
    assert (host.branches(), host.proposals) == (["main"], [])
    git(checkout.path, "reset", "--quiet", "--hard", "HEAD^")
    host.refuses = True
    status, printed = checkout.propose()
    assert status != 0
    assert "422" in printed
    assert (host.branches(), host.proposals) == (["main"], [])


def test_copier_is_installed_where_it_is_missing(history: History, host: Host, tmp_path: Path) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "circleci")
    tools = tmp_path / "system"
    tools.mkdir()
    for name in ("basename", "env", "git", "sed", "sh", "uname"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    status, printed = checkout.propose(variables={"PATH": str(tools)})
    assert status == 0, printed
    assert host.branches() == ["main", BRANCH]


def test_missing_token_is_reported(history: History, host: Host, tmp_path: Path) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "github")
    status, printed = checkout.propose(token="", variables={"PATH": "/usr/bin:/bin"})
    assert status == 0
    assert printed.startswith("TEMPLATE_TOKEN is not set: ")
    assert printed.count("\n") == 1
    assert (host.branches(), host.proposals) == (["main"], [])


@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_a_newer_proposal_replaces_an_older_one(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    checkout.add_proposal("0.2.0", "template@localhost")
    status, printed = checkout.propose()
    assert status == 0, printed
    assert host.branches() == ["main", BRANCH]
    assert checkout.proposed()[HEAD] == BRANCH


@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_proposal_with_other_commits_is_kept(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    checkout.add_proposal("0.2.0", "jane@acme.example")
    status, printed = checkout.propose()
    assert status == 0, printed
    assert "template-v0.2.0 has other commits" in printed
    assert host.branches() == ["main", "template-v0.2.0"]
    assert git(checkout.path, "status", "--porcelain") == ""


@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_a_closed_proposal_does_not_come_back(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    checkout.propose()
    host.proposals[0]["state"] = "closed"
    git(host.repository, "branch", "--delete", "--force", BRANCH)
    git(checkout.path, "reset", "--quiet", "--hard", "HEAD^")
    status, printed = checkout.propose()
    assert status == 0, printed
    assert "was closed" in printed
    assert host.branches() == ["main"]


@pytest.mark.parametrize("provider", VARIABLES)
def test_the_target_is_the_default_branch(history: History, host: Host, tmp_path: Path, provider: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", provider)
    git(host.repository, "branch", "--move", "main", "trunk")
    git(host.repository, "symbolic-ref", "HEAD", "refs/heads/trunk")
    status, printed = checkout.propose()
    assert status == 0, printed
    assert checkout.proposed()[BASE] == "trunk"


def test_private_template_has_a_separate_token(history: History, host: Host, tmp_path: Path) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "github")
    git(tmp_path, "clone", "--quiet", "--mirror", str(history.repository), str(host.folder / "acme/template.git"))
    checkout.work(
        ".copier-answers.yml", f"_src_path: {history.repository}", f"_src_path: {host.address}/acme/template.git"
    )
    status, printed = checkout.propose()
    assert status == 1
    assert "set TEMPLATE_READ_TOKEN" in printed
    assert "Traceback" not in printed
    status, printed = checkout.propose(variables={"TEMPLATE_READ_TOKEN": READ_TOKEN})
    assert status == 0, printed
    assert READ_TOKEN not in printed
    assert host.branches() == ["main", BRANCH]
    answers = git(host.repository, "show", f"{BRANCH}:.copier-answers.yml")
    assert f"_src_path: {host.address}/acme/template.git" in answers


@pytest.mark.parametrize(("ours", "kept"), [("0.6.7", "0.7.0"), ("0.8.1", "0.8.1")])
def test_the_newer_version_wins(history: History, host: Host, tmp_path: Path, ours: str, kept: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "github")
    checkout.work("scripts/check.sh", ":v0.6.4", f":v{ours}")
    status, printed = checkout.propose()
    assert status == 0, printed
    assert f":v{kept}" in git(host.repository, "show", f"{BRANCH}:scripts/check.sh")
    assert "- `scripts/check.sh` keeps the newer versions of both sides." in checkout.proposed()[TEXT]


@pytest.mark.parametrize(
    ("works", "note"), [(True, "`make lock` was run."), (False, "Run `make lock` on this branch.")]
)
def test_a_lock_keeps_the_project_side(history: History, host: Host, tmp_path: Path, *, works: bool, note: str) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "github")
    (checkout.path / "python.mk").write_text(
        ".PHONY: lock\nlock:\n\techo '# locked' >> requirements.txt; " + str(works).lower() + "\n"
    )
    checkout.work("requirements.txt", "alembic==", "alembic==99.")
    status, printed = checkout.propose()
    assert status == 0, printed
    lock = git(host.repository, "show", f"{BRANCH}:requirements.txt")
    assert "alembic==99." in lock
    assert lock.rstrip().endswith("# locked")
    assert f"- {note}" in checkout.proposed()[TEXT]


def test_changes_of_a_moved_file_are_listed(history: History, host: Host, tmp_path: Path) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "github")
    git(checkout.path, "mv", "app", "edge")
    checkout.push()
    status, printed = checkout.propose()
    assert status == 0, printed
    listed = [line for line in checkout.proposed()[TEXT].splitlines() if "does not exist in this project" in line]
    assert listed == ["- `app/logs.py` changed in the template, but does not exist in this project."]


def test_a_key_signs_the_commit(history: History, host: Host, tmp_path: Path) -> None:
    checkout = Checkout(history, host, tmp_path / "shop", "github")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    status, printed = checkout.propose(
        variables={"TEMPLATE_SIGNING_KEY": str(key), "TEMPLATE_EMAIL": "bot@acme.example"}
    )
    assert status == 0, printed
    signers = tmp_path / "signers"
    signers.write_text(f"bot@acme.example {key.with_suffix('.pub').read_text()}")
    git(host.repository, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", BRANCH)
