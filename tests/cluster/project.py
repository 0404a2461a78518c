"""A rendered project on disk, and what its people type."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.control_plane import ControlPlane, Object
from tests.render import File
from tests.space import Answers

ENVIRONMENTS = ("local", "staging", "production")


class Project:
    """A rendered project."""

    def __init__(self, cluster: ControlPlane, files: Mapping[str, File], path: Path, answers: Answers) -> None:
        self.cluster = cluster
        self.path = path
        self.answers = answers
        self.service = str(answers["service_name"])
        self.kubeconfig = cluster.kubeconfig
        for name, file in files.items():
            if not name.endswith("/"):
                target = path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.content)
                target.chmod(file.mode)

    def namespace(self, environment: str) -> str:
        """The namespace of an environment."""
        return f"{self.answers.get('namespace', self.service)}-{environment}"

    def make(self, target: str, *, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a target of the project's Makefile."""
        done = subprocess.run(
            ["make", target, *(f"{name}={value}" for name, value in variables.items())],
            cwd=self.path,
            env=self.cluster.environment(self.kubeconfig),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"make {target} failed:\n{done.stdout[-8000:]}"
        return done

    def edit(self, file: str, before: str, after: str) -> None:
        """Change a file as its team would."""
        path = self.path / file
        text = path.read_text()
        assert before in text, f"{file} has no {before!r}"
        path.write_text(text.replace(before, after))

    def deployment(self, environment: str) -> Object:
        """The Deployment as it is now."""
        found: Object = self.cluster.get(
            f"/apis/apps/v1/namespaces/{self.namespace(environment)}/deployments/{self.service}"
        )
        return found
