"""Schemathesis generates requests from the OpenAPI document, and finds nothing."""

import subprocess
from pathlib import Path

from tests import toolchains
from tests.e2e.apps.conftest import Start
from tests.e2e.apps.markers import with_postgres
from tests.e2e.commands import TIMEOUT


@with_postgres
def test_schemathesis_finds_nothing_and_skips_nothing(start: Start, tmp_path: Path) -> None:
    service = start()
    service.wait_until_ready()
    done = subprocess.run(
        [
            toolchains.tool("schemathesis"),
            "run",
            f"http://127.0.0.1:{service.port}/openapi.json",
            "--checks=all",
            "--phases=coverage,fuzzing,stateful",
            "--max-examples=50",
            "--seed=1",
            "--no-color",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    output = done.stdout.lower()
    assert "stateful" in output
    assert not [word for word in ("warning", "skipped", "without checks") if word in output], done.stdout[-8000:]
    assert not [line for line in service.logs() if line.get("status") == 500]
