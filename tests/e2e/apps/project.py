"""Rendered projects and their running programs."""

import copy
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Self

import copier
import httpx

from tests import toolchains
from tests.e2e.apps.servers import MissingError, free_port
from tests.e2e.commands import TIMEOUT, wait_for
from tests.e2e.locks import exclusive_lock
from tests.languages import LANGUAGES

OLDEST_PYTHON = (3, 13)

QUICK_BUILDS = {"GOFLAGS": "-gcflags=all=-dwarf=0"}
"""Leaves out what only a debugger reads: the linter alone takes minutes to compile."""

COMPILED = {"go"}
"""Languages in which most of a first build is what all projects share: whoever waits for it finds it in the cache."""


class Project:
    """A rendered project of one language and database."""

    def __init__(self, template: Path, path: Path, language: str, database: str) -> None:
        self.path = path
        self.language = language
        self.database = database
        self.toolchain = {"PYTHON": find_python()}
        copier.run_copy(
            str(template),
            path,
            data={"project_name": "Shop", "language": language, "database": database},
            defaults=True,
            quiet=True,
            settings=copier.Settings(),
        )

    def copy_to(self, path: Path) -> Self:
        """Copy the project with its tools, to change it."""
        copied = copy.copy(self)
        copied.path = shutil.copytree(self.path, path, symlinks=True)
        return copied

    def make(self, target: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a target of the project's Makefile, which has to succeed, and return what it prints."""
        arguments = (f"{name}={value}" for name, value in self.toolchain.items())
        return self._run("make", target, *arguments, environment=environment)

    def shell(self, command: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command of a developer's shell, which has to succeed, and return what it prints."""
        return self._run("bash", "-c", command, environment=environment)

    def _run(self, *command: str, environment: Mapping[str, str] | None) -> str:
        with exclusive_lock(self.language) if self.language in COMPILED else nullcontext():
            result = subprocess.run(
                command,
                cwd=self.path,
                env=clean_environment() | QUICK_BUILDS | dict(environment or {}),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=3600,
                check=False,
            )
        assert result.returncode == 0, f"{' '.join(command)} failed:\n{result.stdout[-8000:]}"
        return result.stdout

    def start(self, *arguments: str, environment: Mapping[str, str], output: int | Any = subprocess.PIPE) -> "Program":
        """Start the program."""
        return Program(
            [*LANGUAGES[self.language].program, *arguments],
            cwd=self.path,
            env=clean_environment() | dict(environment),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Run the program to its end and return its exit status, output and errors."""
        with self.start(*arguments, environment=environment) as program:
            try:
                output, errors = program.communicate(timeout=TIMEOUT)
            finally:
                program.kill()
            return program.returncode, output, errors


Program = subprocess.Popen[str]


def clean_environment() -> dict[str, str]:
    """Return our environment without what would configure the program or its `make`, with every toolchain."""
    ours = (
        "DATABASE_",
        "MAKE",
        "MFLAGS",
        "OTEL_",
        "VIRTUAL_ENV",
        "PORT",
        "METRICS_PORT",
        "LOG_LEVEL",
        "SERVICE_VERSION",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PATH": toolchains.path()}


def find_python() -> str:
    """Return a Python that is new enough, PYTHON first."""
    for name in (os.environ.get("PYTHON"), "python3", "python3.14", "python3.13"):
        if name and shutil.which(name):
            version = "import sys; print(*sys.version_info[:2])"
            printed = subprocess.run([name, "-c", version], capture_output=True, text=True, check=True).stdout
            if tuple(map(int, printed.split())) >= OLDEST_PYTHON:
                return name
    raise MissingError("Python 3.13 or newer is missing: apt-get install python3.14-venv, or set PYTHON to where it is")


class Service:
    """A program that serves."""

    ATTEMPTS = 3

    def __init__(self, project: Project, log: Path, **environment: str) -> None:
        self.project = project
        self.log = log
        self.settings = environment

    def __enter__(self) -> Self:
        for attempt in range(1, self.ATTEMPTS + 1):
            self.port, self.metrics_port = free_port(), free_port()
            ports = {"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port)}
            self.environment = self.settings | ports
            with self.log.open("w", encoding="utf-8") as output:
                self.process = self.project.start("serve", environment=self.environment, output=output)
            self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)
            if self.listens():
                return self
            # Another process may have taken the port meanwhile.
            _, errors = self.process.communicate(timeout=10)
            assert attempt < self.ATTEMPTS, f"The service does not start:\n{self.log.read_text()}\n{errors}"
        raise AssertionError

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=30)

    def listens(self) -> bool:
        """Wait until the service answers; it ends instead when a port is taken."""

        def answers() -> bool:
            with suppress(httpx.TransportError):
                return self.client.get("/livez").status_code == httpx.codes.OK
            return False

        wait_for(lambda: answers() or self.process.poll() is not None)
        return self.process.poll() is None

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        response = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", trust_env=False)
        assert response.status_code == httpx.codes.OK
        return response.text

    def logs(self) -> list[dict[str, Any]]:
        """Return what was logged so far."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def terminate(self) -> None:
        """Ask the service to stop."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Return the exit status."""
        return self.process.wait(timeout=timeout)

    def wait_until_ready(self, expected: int = httpx.codes.OK) -> None:
        """Wait until readiness answers as expected, as a load balancer would."""
        wait_for(lambda: self.client.get("/readyz").status_code == expected)
