"""The first hour without Docker: a newcomer follows the READMEs word by word to a running, changed service."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.apps.markers import with_postgres
from tests.e2e.apps.project import QUICK_BUILDS, Project, clean_environment
from tests.e2e.apps.servers import Server, free_port
from tests.e2e.newcomer import Newcomer, curl, wait_for_text
from tests.e2e.updates.project import History
from tests.harness import ROOT, Template
from tests.toolchains import tool

IDENTITY = {"NAME": "A newcomer", "EMAIL": "newcomer@example.com"}
SOURCES = {"python": "app/problems.py", "typescript": "src/plugins/problems.ts", "go": "internal/problem/problem.go"}
"""A file of each language with the text of a 404."""


class Shell:
    """A terminal, and a second one for the running service."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.output = folder / "output"
        self.service: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> str:
        """Run a command, which has to succeed, and return its output."""
        if command.startswith("curl "):
            curl(command, self.output.read_text)
            return ""
        options: dict[str, Any] = {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "stderr": subprocess.STDOUT,
        }
        if command == "make run":
            with self.output.open("wb") as terminal:
                self.service = subprocess.Popen(["make", "run"], stdout=terminal, process_group=0, **options)
            return ""
        done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, check=False, **options)
        output: str = done.stdout.decode()
        assert done.returncode == 0, f"{command} failed:\n{output[-8000:]}"
        return output


@pytest.fixture
def shell(project: Project, server: Server, tmp_path: Path) -> Iterator[Shell]:
    """A terminal with the variables that the README names for a database."""
    server.create_database("newcomer_test")
    environment = clean_environment() | QUICK_BUILDS | project.toolchain | server.environment("newcomer_test")
    environment |= {f"GIT_{role}_{key}": IDENTITY[key] for role in ("AUTHOR", "COMMITTER") for key in IDENTITY}
    environment["PATH"] = os.pathsep.join([str(Path(tool("copier")).parent), environment["PATH"]])
    shell = Shell(tmp_path, environment)
    yield shell
    if shell.service:
        os.killpg(shell.service.pid, signal.SIGTERM)
        shell.service.wait(timeout=60)


@pytest.mark.timeout(3600)  # Go's linter may have to be built.
@with_postgres
def test_first_hour_without_docker(project: Project, shell: Shell, working_tree: Path, tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    answers = {
        "project_name": "Shop",
        "language": project.language,
        "port": port,
        "customize": "true",
        "metrics_port": metrics_port,
    }
    values = {
        "answers": " ".join(f"--data={name}={value}" for name, value in answers.items()),
        "template": History(tmp_path, Template(working_tree)).repository,
        "metrics_port": metrics_port,
    }

    def run(command: str) -> None:
        output = shell.run(command)
        if command.startswith("copier copy "):
            message = re.sub("(?m)^  ", "", output.partition("Next:\n")[2])
            newcomer.follow("message after the copy", f"# Next\n```sh\n{message}```\n")
        elif command.startswith("cd myapp "):
            shell.folder = tmp_path / "myapp"

    newcomer = Newcomer("without Docker", Path(__file__).with_name("newcomer.yml"), values, run)
    newcomer.follow("README.md of the template", (ROOT / "README.md").read_text(encoding="utf-8"))
    newcomer.follow("README.md", (shell.folder / "README.md").read_text(encoding="utf-8"))
    assert shell.run("git status --porcelain") == ""

    source = shell.folder / SOURCES[project.language]
    text = source.read_text(encoding="utf-8")
    assert '"Not found."' in text
    source.write_text(text.replace('"Not found."', '"Nothing here."'), encoding="utf-8")
    wait_for_text(f"http://localhost:{port}/unknown", "Nothing here.", shell.output.read_text)
    document = (shell.folder / "DEVELOPMENT.md").read_text(encoding="utf-8")
    newcomer.follow(f"DEVELOPMENT.md of {project.language}", document)
