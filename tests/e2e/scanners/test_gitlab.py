"""gitlab-ci-local, which evaluates and runs GitLab's pipelines, reads each as `tests.rules.ci.gitlab` does."""

from __future__ import annotations

import csv
import functools
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.harness import Files, Projects, Sample, load
from tests.rules.ci import gitlab
from tests.rules.ci.model import Event, Job, transitive_needs

OURS = ("CI_PIPELINE_SOURCE", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME", "CI_COMMIT_TAG")
# Parts of a job that it ignores, or fills in with GitLab's default.
UNREAD = {"extends", "stage", "when", "allow_failure", "interruptible", "retry", "timeout", "id_tokens"}
# Replaces a program: records the call, and fails if configured to.
STUB = """\
#!/bin/bash
said="${0##*/}${*:+ $*}"
echo "$CI_JOB_NAME: $said" >> "$SAID"
[[ $said != "${BROKEN:-}" ]]
"""
PROCESSES = 2
PROGRAMS = ("apk", "make", "renovate")
QUICK = "--no-json-schema-validation"  # a preview validates
GIVEN = {"AWS_ID_TOKEN": "a token", "KUBERNETES_ID_TOKEN": "another token"}


class Listed(NamedTuple):
    name: str
    when: str
    may_fail: str
    needs: frozenset[str]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with its requirements: a commit, and a GitLab remote with a known main branch."""
    folder = tmp_path_factory.mktemp("repository")
    author = ("-c", "user.name=x", "-c", "user.email=x@localhost")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        (*author, "commit", "--quiet", "--allow-empty", "--message=First"),
        ("remote", "add", "origin", "https://gitlab.com/acme/shop.git"),
        ("update-ref", "refs/remotes/origin/main", "HEAD"),
        ("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    scanners = Path(os.environ["SCANNERS"])
    program = scanners.parent / "node_modules/gitlab-ci-local/dist/index.js"
    return subprocess.run(
        [scanners / "node", program, f"--ignore-predefined-vars={','.join(OURS)}", "--no-color", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
    )


def options(variables: Mapping[str, str]) -> list[str]:
    """Its options for a pipeline's variables."""
    given = [f"--variable={name}={value}" for name, value in variables.items()]
    return given + [f"--unset-variable={name}" for name in OURS if name not in variables]


def copy(repository: Path, files: Files, folder: Path) -> Path:
    folder.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", repository, folder / "project"], check=True)
    project = folder / "project"
    for command in (
        ("remote", "set-url", "origin", "https://gitlab.com/acme/shop.git"),
        ("remote", "set-head", "origin", "main"),
    ):
        subprocess.run(["git", *command], cwd=project, check=True)
    (project / gitlab.PATH).write_bytes(files[gitlab.PATH])
    return project


def listed(folder: Path, variables: Mapping[str, str]) -> set[Listed]:
    done = run(folder, "--list-csv", QUICK, *options(variables))
    assert done.returncode == 0, done.stderr
    return {
        Listed(
            row["name"], row["when"], row["allowFailure"], frozenset(filter(None, row["needs"].strip("[]").split(",")))
        )
        for row in csv.DictReader(done.stdout.splitlines(), delimiter=";")
    }


def expected(jobs: Sequence[Job], event: Event) -> set[Listed]:
    manual = {job.name for job in jobs if job.approved}
    return {
        Listed(job.name, "manual" if job.name in manual else "on_success", "false", job.needs)
        for job in jobs
        if event in job.events
    }


def previewed(folder: Path) -> dict[str, dict[str, object]]:
    """Each job with its `extends`, as in a preview."""
    done = run(folder, "--preview")
    assert done.returncode == 0, done.stderr
    return {name: job for name, job in yaml.safe_load(done.stdout).items() if isinstance(job, dict) and "script" in job}


def as_shown(job: Mapping[str, object]) -> dict[str, object]:
    """The common facts about a job, with names of images and needs unchanged."""
    found = {name: value for name, value in job.items() if name not in UNREAD}
    if isinstance(image := found.get("image"), dict):
        found["image"] = image["name"]
    if isinstance(needs := found.get("needs"), list):
        found["needs"] = re.findall(r"'job': '([a-z-]+)'", str(needs)) or needs
    return found


def test_gitlab_ci_local_agrees_on_every_pipeline(projects: Projects, repository: Path, tmp_path: Path) -> None:
    """All but the rules of whole pipelines, which it does not look at."""

    def differences(numbered: tuple[int, Sample]) -> Iterator[str]:
        number, rendered = numbered
        folder = copy(repository, rendered.files, tmp_path / str(number))
        jobs = gitlab.pipeline(rendered.files[gitlab.PATH]).jobs
        for event, variables in gitlab.EVENTS.items():
            theirs, ours = listed(folder, variables), expected(jobs, event)
            if theirs != ours:
                yield f"{rendered}: {event} starts {sorted(ours - theirs)} for us, {sorted(theirs - ours)} for it"
            if (done := run(folder, "--validate-dependency-chain", QUICK, *options(variables))).returncode:
                yield f"{rendered}: {done.stderr}"
        shown = previewed(folder)
        for name, job in gitlab.whole_jobs(load(rendered.files[gitlab.PATH])).items():
            if as_shown(job) != as_shown(shown.pop(name, {})):
                yield f"{rendered}: {name} is another job for it"
        yield from (f"{rendered}: {name} is a job for it alone" for name in shown)

    with ThreadPoolExecutor(PROCESSES) as pool:
        pipelines = list(enumerate(projects.distinct(gitlab.PATH, edge_cases=False)))
        found = [line for lines in pool.map(lambda one: list(differences(one)), pipelines) for line in lines]
    assert pipelines
    assert not found, "\n".join(found)


@pytest.fixture(scope="module")
def runs(projects: Projects) -> list[Sample]:
    """A project for each set of scripts that pipelines have."""
    scripts: dict[str, Sample] = {}
    for sample in projects.distinct(gitlab.PATH, "README.md", edge_cases=False):
        if gitlab.PATH in sample.files:
            scripts.setdefault(json.dumps(gitlab.job_scripts(sample.files[gitlab.PATH])), sample)
    return list(scripts.values())


class Ran(NamedTuple):
    succeeded: bool
    said: list[tuple[str, str]]  # a job, and what it called

    def by(self, job: str) -> list[str]:
        return [command for name, command in self.said if name == job]


class Runner:
    """Runs the jobs of a pipeline with the shell of this machine, and with fakes for what they call."""

    def __init__(self, repository: Path, files: Files, folder: Path) -> None:
        self.project = copy(repository, files, folder)
        self.programs = folder / "programs"
        self.programs.mkdir()
        # It would fill folders that no job is given here, and start services.
        config = load(files[gitlab.PATH])
        config = {name: {**job, "services": []} if name == ".docker" else job for name, job in config.items()}
        (self.project / gitlab.PATH).write_text(json.dumps(config))
        (self.project / "scripts").mkdir()
        for path in (
            *(self.programs / name for name in PROGRAMS),
            *(self.project / "scripts" / name for name in ("install-deploy-tools.sh", "propose_update.py")),
        ):
            path.write_text(STUB)
            path.chmod(0o755)
        (self.programs / "rsync").symlink_to("/bin/true")

    def __call__(self, event: Event, broken: str = "") -> Ran:
        said = self.project.parent / "said"
        said.unlink(missing_ok=True)
        folder = self.project.parent
        files = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"), "KUBECONFIG": str(folder / "KUBECONFIG")}
        variables = {**gitlab.EVENTS[event], **GIVEN, **files}
        done = run(
            self.project,
            "--force-shell-executor",
            "--manual=deploy-production",
            *options(variables),
            PATH=f"{self.programs}:{os.environ['PATH']}",
            SAID=str(said),
            BROKEN=broken,
        )
        lines = said.read_text().splitlines() if said.exists() else []
        return Ran(
            done.returncode == 0, [(name, command) for name, _, command in (line.partition(": ") for line in lines)]
        )


def calls(job: Job) -> list[str]:
    """What a job calls, as the fakes note it."""
    values = {**gitlab.EVENTS[next(iter(job.events))], "CI_PROJECT_PATH": "acme/shop"}
    text = functools.reduce(lambda line, item: line.replace(f"${item[0]}", item[1]), values.items(), job.commands)
    lines = [shlex.split(line) for line in text.splitlines()]
    return [" ".join([words[0].rpartition("/")[2], *words[1:]]) for words in lines if words[0] != "printf"]


def test_jobs_run_their_commands_in_order_after_their_needs(
    runs: list[Sample], repository: Path, tmp_path: Path
) -> None:
    for number, rendered in enumerate(runs):
        runner = Runner(repository, rendered.files, tmp_path / str(number))
        jobs = {job.name: job for job in gitlab.pipeline(rendered.files[gitlab.PATH]).jobs}
        needs = {name: job.needs for name, job in jobs.items()}
        for event in gitlab.EVENTS:
            ran = runner(event)
            assert ran.succeeded, (rendered, event)
            assert {name: ran.by(name) for name, _ in ran.said} == {
                name: calls(job) for name, job in jobs.items() if event in job.events
            }
            order = [name for name, _ in ran.said]
            for name in set(order):
                awaited = [place for place, other in enumerate(order) if other in transitive_needs(name, needs)]
                assert not awaited or max(awaited) < order.index(name), (rendered, event, name)
        if b"AWS_ID_TOKEN" in rendered.files[gitlab.PATH]:
            assert (tmp_path / str(number) / "token").read_text() == GIVEN["AWS_ID_TOKEN"]
        assert not (tmp_path / str(number) / "kubeconfig-token").exists()


def test_failed_command_ends_its_job_and_the_pipeline(runs: list[Sample], repository: Path, tmp_path: Path) -> None:
    seen: set[str] = set()
    for number, rendered in enumerate(runs):
        runner = Runner(repository, rendered.files, tmp_path / str(number))
        jobs = {job.name: job for job in gitlab.pipeline(rendered.files[gitlab.PATH]).jobs if Event.MAIN in job.events}
        needs = {name: job.needs for name, job in jobs.items()}
        for broken in dict.fromkeys(command for job in jobs.values() for command in calls(job)):
            if broken in seen:
                continue
            seen.add(broken)
            ran = runner(Event.MAIN, broken)
            assert not ran.succeeded, (rendered, broken)
            fails = {name for name, job in jobs.items() if broken in calls(job)}
            for name, job in jobs.items():
                if fails & transitive_needs(name, needs):
                    assert not ran.by(name), (rendered, broken, name)
                elif name in fails:
                    assert ran.by(name) == calls(job)[: calls(job).index(broken) + 1], (rendered, broken, name)
