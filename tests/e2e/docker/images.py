"""The images that rendered projects are built on: the official ones, or fakes of the same names."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.apps.servers import MissingError
from tests.e2e.docker.engine import Engine

FOLDER = Path(__file__).with_name("fakes")
SUITE = "forky"
LABEL = "fake"
BASE = "fake:debian"
VERSIONS = {
    "python": ("python", "--version"),
    "golang": ("go", "version"),
    "node": ("node", "--version"),
    "nodejs26-debian13": ("/nodejs/bin/node", "--version"),
    "postgres": ("postgres", "--version"),
    "mysql": ("mysqld", "--version"),
    "redis": ("redis-server", "--version"),
    "restic": ("restic", "version"),
    "registry": ("docker-registry", "--version"),
}
"""The command that prints the version of each fake; a static image has none."""

REGISTRY = "docker.io/library/registry:3"


def pull_or_build_images(engine: Engine, names: Iterable[str], progress: Callable[[str], None]) -> list[str]:
    """Pull or build each image, and return notes for the test report."""
    missing = [name for name in names if not _pulled(engine, name)]
    if not missing:
        return []
    mirror = os.environ.get("PULL_THROUGH")
    if mirror is None:
        raise MissingError("No image registry answers; .ci/in-debian .ci/with-docker make test-engine works with fakes")
    for host in {name.partition("/")[0] for name in missing} - {"docker.io"}:
        _mirror(host)
    _import_debian(engine, progress)
    progress(f"Building fakes for {', '.join(map(short, missing))}: a minute, once.")
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda name: _build_fake(engine, name, mirror), missing))


def of_languages(languages: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The images that Dockerfiles name: what builds, and what runs where that is another."""
    return [language[kind] for language in languages.values() for kind in ("image", "runtime") if kind in language]


def short(name: str) -> str:
    """The short name of an image: `python` of `docker.io/library/python:3.14`."""
    return name.rpartition("/")[2].partition(":")[0]


def _pulled(engine: Engine, name: str) -> bool:
    """Tell whether the engine has the official image, after trying to get it."""
    if engine.docker("pull", "--quiet", name, check=False).returncode:
        return False
    (image,) = engine.inspect(name)
    return LABEL not in (image["Config"]["Labels"] or {})


def _mirror(host: str) -> None:
    """Let a registry's name lead to ours: the engine asks one before it asks Docker Hub, and before no other."""
    hosts = Path("/etc/hosts")  # a copy that with-docker has made
    line = f"{os.environ['MIRROR']} {host}\n"
    if line not in (reported := hosts.read_text()):
        hosts.write_text(reported + line)


def _build_fake(engine: Engine, name: str, mirror: str) -> str:
    week = f"--build-arg=WEEK={datetime.now(UTC):%G-%V}"  # packages of an older list may be gone
    engine.docker("build", "--quiet", week, f"--target={short(name)}", f"--label={LABEL}", f"--tag={name}", str(FOLDER))
    path = name.partition("/")[2]
    engine.docker("tag", name, f"{mirror}/{path}")
    engine.docker("push", "--quiet", f"{mirror}/{path}")
    if short(name) not in VERSIONS:
        return f"{path} is a fake made of Debian's files"
    program, *arguments = VERSIONS[short(name)]
    reported = engine.docker("run", "--rm", f"--entrypoint={program}", name, *arguments)
    return f"{path} is a fake: {reported.stdout.strip().splitlines()[0]}"


def _import_debian(engine: Engine, progress: Callable[[str], None]) -> None:
    """Make the image on which fakes are built, with the authorities that this machine trusts."""
    if engine.has(BASE):
        return
    if not shutil.which("mmdebstrap"):
        raise MissingError("mmdebstrap, which makes fakes, is missing: apt-get install mmdebstrap")
    progress(f"Making a Debian {SUITE} image for fakes: half a minute, once.")
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")]
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "debian.tar"
        options = ['--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "5"', *excluded]
        hook = f"--customize-hook=copy-in {authorities} {Path(authorities).parent}"
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", *options, hook, SUITE, archive],
            check=True,
        )
        engine.docker("import", str(archive), BASE)
