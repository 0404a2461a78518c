"""A rendered project on disk, and what its users type."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.commands import TIMEOUT
from tests.harness import Answers, File


class Project:
    """A rendered project; subclasses say where it is deployed."""

    TIMEOUT = TIMEOUT

    def __init__(self, files: Mapping[str, File], path: Path, answers: Answers) -> None:
        self.path = path
        self.answers = answers
        self.service = str(answers["service_name"])
        self.stubs = path.with_name(f"{path.name}-programs")
        for name, file in files.items():
            if not name.endswith("/"):
                target = path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.content)
                target.chmod(file.mode)

    def environment(self) -> dict[str, str]:
        """The environment of its users' shell."""
        raise NotImplementedError

    def stub(self, program: str, script: str) -> None:
        """Put a program before those of this machine."""
        self.stubs.mkdir(exist_ok=True)
        path = self.stubs / program
        path.write_text(script)
        path.chmod(0o755)

    def make(self, target: str, *, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a target of the project's Makefile."""
        return self.run("make", target, *(f"{name}={value}" for name, value in variables.items()), check=check)

    def run(
        self,
        *command: str,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
        standard_input: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder; what it prints, errors too, is the output."""
        variables = self.environment() | dict(environment or {})
        with subprocess.Popen(
            command,
            cwd=self.path,
            env=variables | {"PATH": os.pathsep.join([str(self.stubs), variables["PATH"]])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        ) as process:
            try:
                output, _ = process.communicate(standard_input, timeout=self.TIMEOUT)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # what it has started too
                raise
        assert not (check and process.returncode), f"{' '.join(command)} failed:\n{output[-8000:]}"
        return subprocess.CompletedProcess(command, process.returncode, output)

    def edit(self, file: str, before: str, after: str) -> None:
        """Change a file as its team would."""
        path = self.path / file
        text = path.read_text()
        assert before in text, f"{file} has no {before!r}"
        path.write_text(text.replace(before, after))
