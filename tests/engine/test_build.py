"""The rendered Dockerfile, unchanged, builds as CI builds it, and what it builds is what the contract says."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.engine.engine import Engine
from tests.engine.project import Project

SOURCES = {"python": ("app/health.py", "requirements.txt")}
"""A source file of each language, and the file in which its dependencies are locked."""

USER = "65532:65532"


@pytest.fixture(scope="module")
def image(project: Project) -> str:
    """The image of the last commit."""
    project.ci("build")
    return f"{project.image}:{project.git('rev-parse', 'HEAD')}"


def test_both_tags_are_one_image(project: Project, engine: Engine, image: str) -> None:
    tagged, latest = engine.inspect(image, f"{project.image}:latest")
    assert tagged["Id"] == latest["Id"]


def test_the_image_says_how_it_runs(project: Project, engine: Engine, image: str) -> None:
    (found,) = engine.inspect(image)
    config = found["Config"]
    assert config["User"] == USER
    assert set(config["ExposedPorts"]) == {f"{project.port}/tcp", f"{project.metrics_port}/tcp"}
    assert config["Cmd"] == ["serve"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.title"] == project.service
    assert f"SERVICE_VERSION={image.rpartition(':')[2]}" in config["Env"]


def test_no_file_of_the_image_belongs_to_its_user(engine: Engine, image: str) -> None:
    """Whatever the user could change is lost with the container, and could be planted there."""
    listed = engine.docker("run", "--rm", "--user=0", "--entrypoint=find", image, "/srv", "/venv", "-user", "65532")
    assert not listed.stdout


def test_a_changed_line_of_source_reuses_the_dependencies(project: Project, engine: Engine, image: str) -> None:
    source, lock = SOURCES[project.language]
    changed = project.path / source
    before = changed.read_bytes()
    changed.write_bytes(before + b"\n")
    try:
        steps = _steps(project.make("image", TAG="changed").stdout)
    finally:
        changed.write_bytes(before)
        engine.docker("rmi", f"{project.image}:changed", check=False)
        engine.docker("tag", image, f"{project.image}:latest")
    install = [cached for step, cached in steps.items() if lock in step]
    assert install == [True], steps
    assert not all(steps.values()), "nothing was built anew"


def _steps(output: str) -> dict[str, bool]:
    """Each step of a build, and whether it was cached."""
    steps = dict(re.findall(r"^#(\d+) (\[.+)$", output, re.MULTILINE))
    assert steps, output
    return {step: bool(re.search(rf"^#{number} CACHED$", output, re.MULTILINE)) for number, step in steps.items()}


def test_the_tests_run_in_the_container_as_ci_runs_them(project: Project) -> None:
    reports = project.path / "reports"
    output = project.ci("test")
    (report,) = reports.glob("*.xml")
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 -- our own tests wrote it
    (counts,) = [
        {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")} for suite in suites
    ]
    assert counts["tests"] > 10, output
    assert counts["failures"] == counts["errors"] == counts["skipped"] == 0, output
    assert report.stat().st_uid == Path(project.path).stat().st_uid
    project.compose("--profile=*", "down", "--volumes")


def test_the_linters_run_in_the_container_as_ci_runs_them(project: Project) -> None:
    project.ci("lint")
    source = project.path / SOURCES[project.language][0]
    before = source.read_bytes()
    source.write_bytes(before + b"\n\n\n\n1  +1\n")
    try:
        assert project.make("ci-lint", check=False).returncode != 0
    finally:
        source.write_bytes(before)
    project.compose("--profile=*", "down", "--volumes")
