import os
import subprocess
import sys


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_wrong_settings_are_explained_all_at_once() -> None:
    result = run("serve", PORT="80", METRICS_PORT="many", LOG_LEVEL="loud")
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "PORT: must be a number from 1024 to 65535",
        "METRICS_PORT: must be a number from 1024 to 65535 other than PORT",
        "LOG_LEVEL: must be debug, info, warning or error",
    ]


def test_the_ports_differ() -> None:
    result = run("serve", PORT="9999", METRICS_PORT="9999")
    assert result.returncode == 2
    assert result.stderr == "METRICS_PORT: must be a number from 1024 to 65535 other than PORT\n"


def test_the_health_check_fails_when_nothing_serves() -> None:
    # Nothing can: the port is not for ordinary users.
    assert run("healthcheck", PORT="1").returncode == 1
