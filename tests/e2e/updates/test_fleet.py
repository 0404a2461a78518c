"""`make fleet` lists services, how far they are behind, and what is proposed to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.updates.host import TOKEN, Host
from tests.e2e.updates.project import NOW, VERSIONS, History, commit, start
from tests.e2e.updates.test_propose import Checkout
from tests.harness_tests.test_projects import git
from tests.tools.fleet import COLUMNS

HELPER = f"!f() {{ echo username=person; echo password={TOKEN}; }}; f"
GIT = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential.helper", "GIT_CONFIG_VALUE_0": HELPER}


def fleet(folder: Path, *addresses: object, style: str = "json", **variables: str) -> str:
    file = folder / "services.txt"
    file.write_text("# Ours\n\n" + "".join(f"{address}  # a service\n" for address in addresses))
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.fleet", str(file), style],
        env={**os.environ, **GIT, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout


def test_services_are_listed_with_missing_updates(history: History, tmp_path: Path) -> None:
    shop, many, other = (tmp_path / name for name in ("shop", "many", "other"))
    start(history.repository, shop, {"project_name": "Shop", "language": "go", "database": "none"}, VERSIONS[-1])
    start(history.repository, many / "services/a", {"project_name": "A", "ci_provider": "gitlab"}, NOW)
    for folder in (many, other):
        subprocess.run(["rm", "-rf", folder / "services/a/.git"], check=True)
        folder.mkdir(exist_ok=True)
        git(folder, "init", "--quiet", "--initial-branch=trunk")
        commit(folder)
    missing = "http://person:secret@127.0.0.1:1/x.git"

    printed = fleet(tmp_path, shop, many, other, missing)
    assert "secret" not in printed
    rows = [tuple(row.values()) for row in json.loads(printed)]
    newer = str(len(VERSIONS) - VERSIONS.index(VERSIONS[-1]))
    assert rows[:3] == [
        (str(shop), ".", "shop", f"v{VERSIONS[-1]}", newer, "go", "none", "circleci", "unknown"),
        (str(many), "services/a", "a", f"v{NOW}", "0", "python", "postgres", "gitlab", "unknown"),
        (str(other), "", "", "has no template", "", "", "", "", ""),
    ]
    assert rows[3][0] == "http://127.0.0.1:1/x.git"
    assert rows[3][3].startswith("cannot be read: ")
    lines = fleet(tmp_path, shop, style="table").splitlines()
    assert lines[0] == f"| {' | '.join(COLUMNS)} |"
    assert lines[2] == f"| {' | '.join(rows[0])} |"


@pytest.mark.parametrize("provider", ["github", "gitlab"])
def test_open_proposals_are_listed_with_their_conflicts(
    history: History, host: Host, tmp_path: Path, provider: str
) -> None:
    checkout = Checkout(history, host, tmp_path / "project", provider)
    address = f"{host.address}/acme/shop.git"
    api = {"GITHUB_API_URL": host.address, "GITLAB_API_URL": f"{host.address}/api/v4"}
    token = {f"{provider.upper()}_TOKEN": TOKEN}

    def proposal(**variables: str) -> str:
        (row,) = json.loads(fleet(tmp_path, address, **variables))
        return str(row["proposal"])

    assert proposal(**api, **token) == "none"
    checkout.work("Makefile", "help: ## Show the targets", "help: ## Ours")
    checkout.propose()
    assert proposal(**api, **token) == f"v{NOW}, conflicts in Makefile"
    assert proposal(**api) == "unknown"
    assert proposal(**token) == "unknown"
    host.proposals[0]["state"] = "closed"
    assert proposal(**api, **token) == "none"
