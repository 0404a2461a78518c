"""Clients generated from the OpenAPI document compile and talk to the service."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import toolchains
from tests.e2e.apps.markers import with_postgres
from tests.e2e.apps.project import Service
from tests.e2e.commands import TIMEOUT

CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture
def document(service: Service, tmp_path: Path) -> Path:
    """The document of the running service."""
    path = tmp_path / "openapi.json"
    path.write_bytes(service.client.get("/openapi.json").content)
    return path


def run(folder: Path, *command: str | Path) -> None:
    programs = [str(folder / "node_modules/.bin"), str(folder / ".venv/bin"), toolchains.path()]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": os.pathsep.join(programs)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} failed:\n{done.stdout[-8000:]}"


@with_postgres
def test_client_of_openapi_typescript(service: Service, document: Path, tmp_path: Path) -> None:
    folder = tmp_path / "client"
    shutil.copytree(CLIENTS / "typescript", folder)
    run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    run(folder, "openapi-typescript", document, "--output=schema.d.ts")
    run(folder, "tsc")
    run(folder, "node", "client.ts", f"http://127.0.0.1:{service.port}")


@with_postgres
def test_client_of_openapi_python_client(service: Service, document: Path, tmp_path: Path) -> None:
    uv, folder = toolchains.tool("uv"), tmp_path / "client"
    shutil.copytree(CLIENTS / "python", folder)
    python = folder / ".venv/bin/python"
    run(folder, uv, "venv", "--quiet")
    run(folder, uv, "pip", "install", "--quiet", f"--python={python}", "--require-hashes", "-r", "requirements.txt")
    generate = [f"--path={document}", "--meta=none", "--output-path=shop_client", "--fail-on-warning"]
    run(folder, "openapi-python-client", "generate", *generate)
    # The generator's own client.py, the same for every document, is not strict.
    mypy = [toolchains.tool("mypy"), "--strict", "--follow-imports=silent", f"--python-executable={python}"]
    run(folder, *mypy, "shop_client/api", "shop_client/models")
    run(folder, python, "client.py", f"http://127.0.0.1:{service.port}")
