"""The rendered Dockerfile, unchanged, builds as in CI, and its image follows the contract."""

from __future__ import annotations

import re
import tarfile
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.e2e.docker.engine import Engine
from tests.e2e.docker.project import Project
from tests.harness import Projects, Template
from tests.harness.template import copy_working_tree
from tests.options import space_of
from tests.test_company import COMPANY

SOURCES = {
    "python": ("app/health.py", "requirements.txt"),
    "typescript": ("src/plugins/health.ts", "package-lock.json"),
    "go": ("internal/health/health.go", "go.sum"),
}
"""A source file of each language, and the file in which its dependencies are locked."""

USER = "65532:65532"


@pytest.fixture(scope="module")
def image(project: Project) -> str:
    """The image of the last commit."""
    project.ci("build")
    return f"{project.image}:{project.git('rev-parse', 'HEAD')}"


def test_image_has_the_time_of_its_commit(project: Project, engine: Engine, image: str) -> None:
    (found,) = engine.inspect(image)
    created = found["Config"]["Labels"]["org.opencontainers.image.created"]
    assert found["Config"]["Labels"]["k8s-starter.version"] == "unknown"
    assert datetime.fromisoformat(created).timestamp() == int(project.git("log", "-1", "--format=%ct"))


@pytest.mark.every_variant
def test_image_configuration(project: Project, engine: Engine, image: str) -> None:
    (found,) = engine.inspect(image)
    config = found["Config"]
    assert config["User"] == USER
    assert set(config["ExposedPorts"]) == {f"{project.port}/tcp", f"{project.metrics_port}/tcp"}
    assert config["Cmd"] == ["serve"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.title"] == project.service
    assert f"SERVICE_VERSION={image.rpartition(':')[2]}" in config["Env"]


@pytest.mark.every_variant
def test_no_file_of_the_image_belongs_to_its_user(engine: Engine, image: str, tmp_path: Path) -> None:
    """Whatever the user could change is lost with the container, and could be planted there."""
    owned = [file.name for file in _files(engine, image, tmp_path) if 65532 in (file.uid, file.gid)]
    assert [name for name in owned if name.strip("/") != "home/nonroot"] == []


def test_file_modes_do_not_depend_on_the_umask(project: Project, engine: Engine, image: str, tmp_path: Path) -> None:
    tracked = [project.path / name for name in project.git("ls-files").splitlines()]
    tracked += {folder for file in tracked for folder in file.parents if folder.is_relative_to(project.path)}
    modes = {path: path.stat().st_mode for path in tracked}
    try:
        for path, mode in modes.items():
            path.chmod(mode & 0o700)
        project.make("image", TAG="private")
        files = _files(engine, f"{project.image}:private", tmp_path)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
        engine.docker("rmi", f"{project.image}:private", check=False)
    readable, found = _readable(_files(engine, image, tmp_path)), _readable(files)
    assert {name for name in readable if found.get(name) != readable[name]} == set()


def _readable(files: list[tarfile.TarInfo]) -> dict[str, int]:
    """For each file, the bits by which any user can read it."""
    return {file.name: file.mode & (0o005 if file.isdir() else 0o004) for file in files}


def _files(engine: Engine, image: str, folder: Path) -> list[tarfile.TarInfo]:
    """The files of an image."""
    archive = folder / "image.tar"
    container = engine.docker("create", image).stdout.strip()
    try:
        engine.docker("export", f"--output={archive}", container)
    finally:
        engine.docker("rm", container)
    with tarfile.open(archive) as files:
        found = files.getmembers()
    archive.unlink()
    return found


def test_an_image_of_a_company_trusts_its_authority_and_builds_with_its_login(
    engine: Engine, registry: str, tmp_path: Path
) -> None:
    example = Template(copy_working_tree(tmp_path / "example", company=COMPANY)).table("company", "company")
    company = {"ca": example["ca"], "goproxy": "https://proxy.golang.org"}
    folder = copy_working_tree(tmp_path / "template")
    (folder / "extensions/company.jinja").write_text(f"{{% set company = {company!r} %}}\n")
    template = Template(folder)
    project = Project(engine, Projects(template, space_of(template)), tmp_path / "shop", "company", "go-none", registry)
    login = tmp_path / "netrc"
    login.write_text("machine example.com login person password secret\n")
    try:
        project.compose("build", "app")  # without a login
        project.edit("Dockerfile", " go mod download", " grep -q person /root/.netrc && go mod download")
        project.make("image", TAG="company", INDEX_LOGIN=str(login))
        files = {file.name: file.mode for file in _files(engine, f"{project.image}:company", tmp_path)}
        assert files["etc/ssl/certs/company.crt"] & 0o004
        assert not [name for name in files if name.endswith("netrc")]
    finally:
        engine.docker("rmi", f"{project.image}:company", f"{project.service}-dev-app", check=False)


@pytest.mark.every_variant
@pytest.mark.usefixtures("image")
def test_a_changed_line_of_source_reuses_the_dependencies(project: Project, engine: Engine) -> None:
    source, lock = SOURCES[project.language]
    changed = project.path / source
    before = changed.read_bytes()
    changed.write_bytes(before + b"\n")
    try:
        steps = _steps(project.make("image", TAG="changed").stdout)
    finally:
        changed.write_bytes(before)
        engine.docker("rmi", f"{project.image}:changed", check=False)
    install = [cached for step, cached in steps.items() if lock in step]
    assert install, steps
    assert all(install), steps
    assert not all(steps.values()), "nothing was built anew"


def _steps(output: str) -> dict[str, bool]:
    """Each step of a build, and whether it was cached."""
    steps = dict(re.findall(r"^#(\d+) (\[.+)$", output, re.MULTILINE))
    assert steps, output
    return {step: bool(re.search(rf"^#{number} CACHED$", output, re.MULTILINE)) for number, step in steps.items()}


@pytest.mark.every_variant
def test_the_tests_run_in_the_container_as_ci_runs_them(project: Project) -> None:
    reports = project.path / "reports"
    output = project.ci("test")
    (report,) = reports.glob("*.xml")
    cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 -- our own tests wrote it
    assert len(cases) > 10, output
    bad = [part.tag for case in cases for part in case if part.tag in {"failure", "error", "skipped"}]
    assert not bad, output
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
