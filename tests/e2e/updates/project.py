"""Projects that are made from an earlier version, worked on, and updated."""

from __future__ import annotations

import difflib
import functools
import re
import subprocess
from pathlib import Path

import copier
import pytest
import yaml

from tests.harness import ANSWERS_FILE, ROOT, Answers, File, Projects, Space, Template
from tests.harness.template import choices
from tests.harness_tests.test_projects import comparable, git, on_disk
from tests.options import space_of
from tests.tools.release import questions, released, released_questions, unpack

# Where a released version equals the working tree an update has little to do. So there is an older one that differs in
# these places, has a file more, and of which a choice and a question are new.
OLDER = "0.0.1"
MYSQL = "".join(re.findall(r'^    "MySQL".*\n', (ROOT / "copier.yml").read_text(), re.MULTILINE))
DIFFERENCES: list[tuple[str, str, str]] = [
    ("copier.yml", MYSQL, ""),
    ("copier.yml", 'default: false\n  when: "{{ customize }}"', "default: false\n  when: false"),
    ("template/Makefile.jinja", "help: ## List the targets", "help: ## Show the targets"),
    ("template/kubernetes/base/deployment.yaml.jinja", "revisionHistoryLimit: 5", "revisionHistoryLimit: 4"),
    ("template/README.md.jinja", "## Develop", "## Work on it"),
    ("template/scripts/check.sh.jinja", "set -eu", "set -e"),
    ("template/scripts/swarm.sed", "^", "^^"),
    ("template/{{ python }}/{{ postgres }}/requirements.txt", "alembic==", "alembic==0."),
    ("extensions/versions.jinja", "kubeconform:v0.7.0", "kubeconform:v0.6.4"),
    ("template/{{ python }}/Dockerfile.jinja", "--interval=10s", "--interval=30s"),
    ("template/{{ python }}/app/logs.py", "import", "import  "),
]
VERSIONS = [OLDER, *released()]
NOW = "999.0.0"
CHANGELOG = f"""# Changelog

## Unreleased

- Not yet.

## {NOW} - 2026-12-24

- Something new.

## {OLDER} - 2026-01-01

- The first version.
"""

ADDED = {"docs/team.md": b"# Ours\n", "app/team.py": b"TEAM = 1\n", "kubernetes/team.yaml": b"team: 1\n"}
IGNORED = {".env": b"LOG_LEVEL=debug\n"}

# What is answered otherwise on update, by the name of the answers.
CHANGED: dict[str, Answers] = {
    "everything on": {"database": "mysql", "log_agent": False},
    "everything off": {"customize": False},
    "exposure=nodeport": {"exposure": "ingress"},
    "exposure=ingress": {"exposure": "gateway", "customize": True},
}


class History:
    """A git repository of the template with every version, and the answers that each of them is tried with."""

    def __init__(self, folder: Path, template: Template) -> None:
        self.repository = folder / "k8s-starter"
        self._versions = {version: folder / version for version in VERSIONS}
        for version, copy in self._versions.items():
            if version == OLDER:
                subprocess.run(["cp", "-a", template.folder, copy], check=True)
                (copy / "template/old.txt").write_text("left behind\n")
                for path, now, before in DIFFERENCES:
                    change(copy / path, now, before)
            else:
                unpack(version, copy)
        self.repository.mkdir()
        git(self.repository, "init", "-q", "-b", "main")
        for version, copy in {**self._versions, NOW: template.folder}.items():
            for name in ("copier.yml", "extensions", "template"):
                subprocess.run(["rm", "-rf", self.repository / name], check=True)
                subprocess.run(["cp", "-a", copy / name, self.repository / name], check=True)
            (self.repository / "CHANGELOG.md").write_text(CHANGELOG)
            commit(self.repository)
            git(self.repository, "tag", f"v{version}")

    @functools.cache  # noqa: B019
    def space(self, version: str) -> Space:
        return space_of(Template(self._versions[version]))

    def answers(self, version: str, name: str) -> Answers:
        if name.startswith("everything"):
            return self.space(version).extreme(most=name == "everything on")
        question, _, value = name.partition("=")
        return {"project_name": "Shop", **({question: value} if value else {})}


def names_of_answers(version: str) -> list[str]:
    asked = questions((ROOT / "copier.yml").read_bytes()) if version == OLDER else released_questions(version)
    exposure = asked["exposure"]
    others = [f"exposure={value}" for value in choices(exposure["choices"]) if value != exposure["default"]]
    return ["everything on", "everything off", "defaults", *others]


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", "work")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} no longer holds {old!r}: fix the table of this test"
    path.write_text(text.replace(old, new, 1))


def start(repository: Path, project: Path, answers: Answers, version: str) -> None:
    copier.run_copy(
        str(repository),
        project,
        data=answers,
        defaults=True,
        quiet=True,
        vcs_ref=f"v{version}",
        settings=copier.Settings(),
    )
    git(project, "init", "-q", "-b", "main")
    commit(project)


def update(project: Path, changed: Answers) -> None:
    copier.run_update(project, data=changed, defaults=True, overwrite=True, quiet=True, settings=copier.Settings())


def stored(project: Path) -> Answers:
    answers = yaml.safe_load((project / ANSWERS_FILE).read_text())
    return {name: value for name, value in answers.items() if not name.startswith("_")}


def files(folder: Path) -> dict[str, File]:
    found = on_disk(folder)
    return {path: file for path, file in found.items() if path[-1] != "/" and not path.startswith(".git/")}


def fresh(projects: Projects, before: Answers, changed: Answers) -> dict[str, File]:
    """A fresh copy of the newest version with an update's answers."""
    worker = projects.template.worker(dict(changed))
    vars(worker.subproject)["last_answers"] = dict(before)
    worker._ask()
    answers = {name: value for name, value in worker._answers_to_remember().items() if not name.startswith("_")}
    return {path: file for path, file in projects.render(answers).items() if path[-1] != "/"}


def edit(project: Path, before: dict[str, File], after: dict[str, File]) -> dict[str, File]:
    """Do what a team does, and return what has to be there after the update."""
    wanted = dict(after)
    paths = before.keys() & after.keys() - {ANSWERS_FILE, ".gitignore"}
    # Those first that the template changes too.
    common = sorted(paths, key=lambda path: (before[path].content == after[path].content, path))
    edited: dict[str, str] = {}
    for path in common:
        old, new = (version[path].content.splitlines(keepends=True) for version in (before, after))
        same = difflib.SequenceMatcher(None, old, new, autojunk=False).find_longest_match()
        kind = Path(path).suffix or path
        if kind not in edited and same.size >= 9:  # lines; git merges what is three lines away from another change
            edited[kind] = path
            line = old[same.a + same.size // 2].removesuffix(b"\n") + b" # team\n"
            old[same.a + same.size // 2] = new[same.b + same.size // 2] = line
            (project / path).write_bytes(b"".join(old))
            wanted[path] = after[path]._replace(content=b"".join(new))
    assert len(edited) >= 8, f"only {edited} are edited"

    deleted = next(path for path in common if path not in edited.values())
    (project / deleted).unlink()
    del wanted[deleted]
    for path, content in ADDED.items():
        wanted[path] = File(content, 0o644)
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_bytes(content)
    commit(project)
    for path, content in IGNORED.items():
        wanted[path] = File(content, 0o644)
        (project / path).write_bytes(content)
    assert git(project, "status", "--porcelain") == "", "what the team keeps for itself is ignored by git"
    return wanted


def work(project: Path, history: History, projects: Projects, version: str, name: str) -> dict[str, File]:
    """Copy a version, do what a team does, and return what has to be there after the update."""
    start(history.repository, project, history.answers(version, name), version)
    return edit(project, files(project), fresh(projects, stored(project), CHANGED.get(name, {})))


def update_again(project: Path) -> None:
    commit(project)
    before = files(project)
    update(project, {})
    assert_same(files(project), before)
    assert git(project, "status", "--porcelain") == "", "a second update changes something"


def assert_same(found: dict[str, File], wanted: dict[str, File]) -> None:
    """No edit is lost, no file is left or comes back, no marker or .rej is written, and all else is a fresh copy's."""
    one, other = (comparable(files, modes=False) for files in (found, wanted))
    differences = "\n".join(
        f"{path}: {diff(found.get(path), wanted.get(path))}"
        for path in sorted(one.keys() | other.keys())
        if one.get(path) != other.get(path)
    )
    if differences:
        pytest.fail(f"the update differs from a fresh copy with the team's work:\n{differences}", pytrace=False)


def diff(found: File | None, wanted: File | None) -> str:
    if not found or not wanted:
        return "missing" if wanted else "not wanted"
    one, other = (file.content.decode(errors="replace").splitlines() for file in (found, wanted))
    modes = f"mode {found.mode & 0o777:o}, wanted {wanted.mode & 0o777:o}"
    return "\n".join([modes, *difflib.unified_diff(one, other, "found", "wanted", lineterm="")])
