"""`make scan` fails for fixable vulnerabilities, and lists the packages of an image: by the real trivy.

Its database has to come from a registry, so trivy-db writes one that knows as much as each case needs.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.workspace import Project
from tests.harness import Projects

PACKAGE, VERSION, FIXED, ID = "libwidget", "1.0-1", "1.0-2", "CVE-2026-0001"
MEDIUM, HIGH, CRITICAL = 2, 3, 4
DOCKER = """\
#!/bin/sh
[ "$1" = save ] && [ "$3" = docker.io/acme/shop:1 ] || {{ echo "No such image: $3" >&2; exit 1; }}
cp '{image}' "${{2#--output=}}"
"""


class Case(NamedTuple):
    """A vulnerability of the image's only package."""

    severity: int
    fixed: str
    ignored: str
    fails: bool


CASES = {
    "high": Case(HIGH, FIXED, "", fails=True),
    "critical": Case(CRITICAL, FIXED, "", fails=True),
    "medium": Case(MEDIUM, FIXED, "", fails=False),
    "no fix": Case(CRITICAL, "", "", fails=False),
    "an older version": Case(HIGH, "0.9-1", "", fails=False),
    "accepted": Case(HIGH, FIXED, ID, fails=False),
    "another is accepted": Case(HIGH, FIXED, "CVE-2026-9999", fails=True),
}


def tar(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return content.getvalue()


def image() -> bytes:
    """An image of Debian 13 with one package, as `docker save` writes it."""
    status = f"Package: {PACKAGE}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {VERSION}\n\n"
    system = {"etc/os-release": b'ID=debian\nVERSION_ID="13"\n', "etc/debian_version": b"13.1\n"}
    layer = tar({**system, "var/lib/dpkg/status": status.encode()})
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest]}}
    manifest = [{"Config": "config.json", "RepoTags": ["docker.io/acme/shop:1"], "Layers": ["layer.tar"]}]
    return tar(
        {"config.json": json.dumps(config).encode(), "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
    )


class Scanned(Project):
    """A project with a built image, and a vulnerability in trivy's database."""

    def __init__(self, projects: Projects, path: Path, case: Case) -> None:
        answers = {"project_name": "Shop", "image_repository": "docker.io/acme/shop"}
        super().__init__(projects.render(dict(answers)), path / "shop", {**answers, "service_name": "shop"})
        (path / "image.tar").write_bytes(image())
        self.stub("docker", DOCKER.format(image=path / "image.tar"))
        self.cache = path / "trivy"
        known = [{"Id": ID, "Package": PACKAGE, "Fixed": case.fixed, "Severity": case.severity}]
        subprocess.run(
            [Path(os.environ["SCANNERS"], "trivy-db"), self.cache], input=json.dumps(known), text=True, check=True
        )
        if case.ignored:
            (self.path / ".trivyignore").write_text(f"{case.ignored}\n")

    def environment(self) -> dict[str, str]:
        """Trivy, and the database that is there already."""
        return {
            **os.environ,
            "PATH": os.pathsep.join([os.environ["SCANNERS"], os.environ["PATH"]]),
            "TRIVY_CACHE_DIR": str(self.cache),
            "TRIVY_SKIP_DB_UPDATE": "true",
        }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_fixable_severe_vulnerability_fails(projects: Projects, tmp_path: Path, case: Case) -> None:
    project = Scanned(projects, tmp_path, case)
    done = project.make("scan", check=False, TAG="1")
    assert bool(done.returncode) == case.fails, done.stdout
    assert (ID in done.stdout) == case.fails
    assert (FIXED in done.stdout) == case.fails
    listed = json.loads((project.path / "reports/sbom.cdx.json").read_text())
    assert {"name": PACKAGE, "version": VERSION}.items() <= next(
        component for component in listed["components"] if component["type"] == "library"
    ).items()
    assert not (project.path / "reports/image.tar").exists()


def test_an_image_that_was_not_built_is_not_scanned(projects: Projects, tmp_path: Path) -> None:
    project = Scanned(projects, tmp_path, CASES["medium"])
    done = project.make("scan", check=False, TAG="2")
    assert done.returncode
    assert "No such image: docker.io/acme/shop:2" in done.stdout
    assert not (project.path / "reports/sbom.cdx.json").exists()
