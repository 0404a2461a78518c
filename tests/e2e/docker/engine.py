"""The Docker engine of the current context."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from packaging.version import Version

from tests.e2e.apps.project import clean_environment
from tests.e2e.apps.servers import MissingError
from tests.e2e.commands import run

OLDEST = Version("25")  # the first that heeds `start_interval` of health checks
HINT = ".ci/in-debian .ci/with-docker make test-engine brings one along"
TIMEOUT = 900


class Engine:
    """A Docker engine, and the environment of its command-line client, without the user's logins."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("docker"):
            raise MissingError(f"docker is missing; {HINT}")
        self._environment = clean_environment()
        host = self.docker("context", "inspect", "--format={{.Endpoints.docker.Host}}").stdout.strip()
        self._environment |= {"DOCKER_HOST": host, "DOCKER_CONFIG": str(folder)}
        self._environment.pop("DOCKER_CONTEXT", None)
        reported = self.docker("version", "--format={{.Server.Version}}", check=False)
        if reported.returncode:
            raise MissingError(f"No Docker engine answers; {HINT}")
        if Version(reported.stdout.strip().partition("+")[0]) < OLDEST:
            raise MissingError(f"Docker {OLDEST} or newer is needed, not {reported.stdout.strip()}; {HINT}")
        for plugin in ("buildx", "compose"):
            if self.docker(plugin, "version", check=False).returncode:
                raise MissingError(f"docker {plugin} is missing; {HINT}")

    def environment(self) -> dict[str, str]:
        """The environment of docker and of what calls it."""
        return dict(self._environment)

    def docker(
        self, *arguments: str, check: bool = True, standard_input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run docker."""
        return run(
            "docker",
            *arguments,
            environment=self._environment,
            timeout=TIMEOUT,
            standard_input=standard_input,
            check=check,
        )

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """Inspect containers, images or networks."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *names).stdout)
        return found

    def has(self, image: str) -> bool:
        """Tell whether it has an image."""
        return self.docker("image", "inspect", image, check=False).returncode == 0
