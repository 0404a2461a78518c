"""The Dockerfile: its build context, stages, arguments and versions, and the image's configuration."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import Fact, Files, Problem, file_rule, rejects, replace, rule, tool_rule
from tests.rules.ignore_patterns import docker_ignored
from tests.rules.linters import lint
from tests.rules.presence import Need, need_rule

DOCKERFILE = "Dockerfile"
USER = "65532:65532"
_PREDEFINED = {"BUILDPLATFORM", "BUILDARCH", "TARGETPLATFORM", "TARGETARCH", "TARGETOS"}


@dataclass(frozen=True)
class Instruction:
    line: int
    name: str
    flags: list[str]
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, of the exec form too."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return self.text.split()

    def values(self, flag: str) -> list[str]:
        """The values of a repeatable flag."""
        return [text.removeprefix(f"--{flag}=") for text in self.flags if text.startswith(f"--{flag}=")]

    def problem(self, message: str) -> Problem:
        """A problem at its line."""
        return Problem(DOCKERFILE, message, str(self.line))


@dataclass(frozen=True)
class Stage:
    name: str
    image: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, *names: str) -> list[Instruction]:
        """Its instructions of these names."""
        return [item for item in self.instructions if item.name in names]

    def last(self, name: str) -> Instruction | None:
        """Its last instruction of a name, which holds."""
        return next(reversed(self.all(name)), None)


def instructions(content: bytes) -> Iterator[Instruction]:
    """All instructions, each with the lines that continue it."""
    start, text = 0, ""
    document = re.compile(r"<<EOF(.*)\n(?:.*\n)*?EOF$", re.MULTILINE)
    without_documents = document.sub(
        lambda found: f"<<EOF{found[1]}{found[0].count(chr(10)) * chr(10)}", content.decode()
    )
    for number, line in enumerate(without_documents.split("\n"), 1):
        if line.lstrip().startswith("#") or (not text and not line.strip()):
            continue
        start = start or number
        text += line.removesuffix("\\")
        if not line.endswith("\\"):
            name, _, rest = text.strip().partition(" ")
            words = rest.split()
            flags = words[: next((i for i, word in enumerate(words) if not word.startswith("--")), len(words))]
            yield Instruction(start, name.upper(), flags, rest.strip()[len(" ".join(flags)) :].strip())
            start, text = 0, ""


@functools.cache
def stages(content: bytes) -> list[Stage]:
    """The stages, each with its FROM and what follows; a stage without a name has its number."""
    found: list[Stage] = []
    for item in instructions(content):
        if item.name == "FROM":
            words = item.words
            found.append(Stage(words[2] if len(words) == 3 else str(len(found)), words[0], [item]))
        elif found:
            found[-1].instructions.append(item)
    return found


def _path(word: str) -> str:
    return word.removeprefix("./").rstrip("/")


def _copied(stage: Stage) -> Iterator[tuple[Instruction, str]]:
    """What a stage copies from the build context: without its bind mounts."""
    for item in stage.all("COPY", "ADD"):
        if not item.values("from"):
            yield from ((item, _path(word)) for word in item.words[:-1] if word != "<<EOF")


def _read(found: Iterable[Stage]) -> Iterator[tuple[Instruction, str]]:
    """What stages read of the build context: not all of it, but files and folders by name."""
    for stage in found:
        mounts = [
            (item, dict(part.partition("=")[::2] for part in text.split(",")))
            for item in stage.instructions
            for text in item.values("mount")
        ]
        bound = [
            (item, _path(mount.get("source", ".")))
            for item, mount in mounts
            if mount["type"] == "bind" and "from" not in mount
        ]
        yield from ((item, path) for item, path in (*_copied(stage), *bound) if path not in ("", "."))


@rejects("a missing file", DOCKERFILE, replace(" pyproject.toml .", " app/project.toml ."))
@rejects("a missing bind mount", DOCKERFILE, replace("source=requirements.txt", "source=requirements-all.txt"))
@need_rule(DOCKERFILE)
def what_is_copied_exists(_: str, content: bytes) -> Iterator[Need]:
    """The project has each file or folder that COPY, ADD or a bind mount takes."""
    for item, path in _read(stages(content)):
        problem = item.problem(f"{item.name} takes {path}, which does not exist")
        yield Need(f"^{re.escape(path)}(/|$)", problem)


@rejects("a folder that .dockerignore hides", ".dockerignore", replace("!app\n", ""))
@rule(found=Fact(DOCKERFILE, stages), ignored=Fact(".dockerignore", bytes))
def what_is_copied_is_in_the_build_context(found: list[Stage], ignored: bytes | None) -> Iterator[Problem]:
    """The build context has each file or folder of COPY, ADD or a bind mount: .dockerignore admits it."""
    for item, path in _read(found):
        if docker_ignored(ignored or b"", path):
            yield item.problem(f"{item.name} takes {path}, which .dockerignore keeps out")


@rejects("an image without the migrations", DOCKERFILE, replace("COPY --chmod=u=rwX,go=rX migrations migrations\n", ""))
@rule(found=Fact(DOCKERFILE, stages), folders=Fact("*/"), ignored=Fact(".dockerignore", bytes))
def the_image_has_every_folder_of_the_build_context(
    found: list[Stage], folders: list[str], ignored: bytes | None
) -> Iterator[Problem]:
    """Files that .dockerignore admits, besides tests, are copied: missing migrations fail only at run time."""
    copied = {path for stage in found if stage.name != "test" for _, path in _copied(stage)}
    if copied.isdisjoint({"", "."}):
        names = {folder.split("/")[0] for folder in folders}
        for folder in sorted(names - {".", "tests"} - copied):
            if not docker_ignored(ignored or b"", folder):
                yield found[-1].instructions[0].problem(f"the image has no {folder}, which the build context holds")


@rejects("a stage that does not exist", DOCKERFILE, replace("--from=source", "--from=sources"), also="hadolint")
@file_rule(DOCKERFILE)
def files_come_from_an_earlier_stage(_: str, content: bytes) -> Iterator[Problem]:
    """COPY --from names a stage before it, or an image."""
    before: set[str] = set()
    for stage in stages(content):
        for item in stage.all("COPY", "ADD"):
            for origin in item.values("from"):
                if origin not in before and not re.search(r"[:/]", origin):
                    yield item.problem(f"{item.name} takes files from {origin}, which is no stage before it")
        before.add(stage.name)


@rejects("an argument that nobody declares", DOCKERFILE, replace(":3.14-slim-trixie AS", ":${PYTHON}-3-slim-trixie AS"))
@file_rule(DOCKERFILE)
def from_reads_declared_arguments(_: str, content: bytes) -> Iterator[Problem]:
    """FROM reads only arguments that an ARG before the first FROM declares, or that BuildKit sets."""
    found = stages(content)
    first = found[0].instructions[0].line
    declared = _PREDEFINED | {
        item.text.partition("=")[0] for item in instructions(content) if item.name == "ARG" and item.line < first
    }
    for origin in (stage.instructions[0] for stage in found):
        for name in re.findall(r"\$\{?(\w+)", " ".join([*origin.flags, origin.text])):
            if name not in declared:
                yield origin.problem(f"FROM reads the argument {name}, which no ARG before it declares")


@rejects("a base image without a tag", DOCKERFILE, replace("python:3.14-slim-trixie AS", "python AS"), also="hadolint")
@rejects("the latest base image", DOCKERFILE, replace(":3.14-slim-trixie AS", ":latest AS"), also="hadolint")
@rejects("a runtime without a version", DOCKERFILE, replace("distroless/static-debian13:", "distroless/static:"))
@rejects("the latest runtime", DOCKERFILE, replace("debian13:nonroot", "debian13:latest"), also="hadolint")
@file_rule(DOCKERFILE)
def base_images_name_a_version(_: str, content: bytes) -> Iterator[Problem]:
    """Each base image has a tag or name with a version, or a digest: latest is another image tomorrow."""
    before = {"scratch"}
    for stage in stages(content):
        if stage.image not in before and not re.search(
            r"[0-9][^/]*:(?!latest)[^/]+$|:[^/]*[0-9][^/]*$|@sha256:", stage.image
        ):
            yield stage.instructions[0].problem(f"{stage.image} names no version")
        before.add(stage.name)


@rejects("another name of the stage", DOCKERFILE, replace(" AS test\n", " AS tests\n"))
@file_rule(DOCKERFILE)
def ci_has_a_stage_for_tests(_: str, content: bytes) -> Iterator[Problem]:
    """A stage is named test: CI builds it and runs the tests in it."""
    if "test" not in {stage.name for stage in stages(content)}:
        yield Problem(DOCKERFILE, "has no stage test, in which CI runs the tests", "1")


@rejects("another user", DOCKERFILE, replace(f"USER {USER}\nEXPOSE", "USER 1000:1000\nEXPOSE"))
@rejects("a user by name", DOCKERFILE, replace(f"USER {USER}\nEXPOSE", "USER nobody\nEXPOSE"), also="hadolint")
@file_rule(DOCKERFILE)
def the_image_runs_as_an_unprivileged_user(_: str, content: bytes) -> Iterator[Problem]:
    """The last stage sets the user by number, as which Kubernetes can see that it is not root."""
    stage = stages(content)[-1]
    user = stage.last("USER")
    if not user or user.text != USER:
        yield (user or stage.instructions[0]).problem(f"the image does not run as {USER}")


@rejects("no port", DOCKERFILE, replace("EXPOSE 8080 9090\n", ""))
@rejects("no health check", DOCKERFILE, replace("HEALTHCHECK --", "# --"))
@rejects("no entry point", DOCKERFILE, replace('ENTRYPOINT ["python", "-m", "app"]\n', ""))
@rejects("no argument VERSION", DOCKERFILE, replace("ARG VERSION=dev", "ARG REVISION=dev"))
@file_rule(DOCKERFILE)
def the_image_declares_how_it_runs(_: str, content: bytes) -> Iterator[Problem]:
    """The last stage has its ports, health check, entry point, and the version as a build argument."""
    stage = stages(content)[-1]
    for name in ("EXPOSE", "HEALTHCHECK", "ENTRYPOINT"):
        if not stage.last(name):
            yield stage.instructions[0].problem(f"the image has no {name}")
    if not any(item.text.partition("=")[0] == "VERSION" for item in stage.all("ARG")):
        yield stage.instructions[0].problem("the last stage has no argument VERSION")


@rejects("no revision", DOCKERFILE, replace("image.revision=$VERSION", "image.revision=dev"))
@rejects("another version", DOCKERFILE, replace("image.version=$VERSION", "image.version=1"))
@file_rule(DOCKERFILE)
def labels_have_the_commit(_: str, content: bytes) -> Iterator[Problem]:
    """The labels of the image have the commit that it is built of as its version and revision."""
    stage = stages(content)[-1]
    labels = [word.replace('"', "") for item in stage.all("LABEL") for word in item.words]
    for name in ("version", "revision"):
        if f"org.opencontainers.image.{name}=$VERSION" not in labels:
            yield stage.instructions[0].problem(f"the label {name} is not the commit")


@rejects(
    "a shell as process 1", DOCKERFILE, replace('ENTRYPOINT ["python", "-m", "app"]', "ENTRYPOINT python -m app"),
    also="hadolint",
)  # fmt: skip
@file_rule(DOCKERFILE)
def programs_start_without_a_shell(_: str, content: bytes) -> Iterator[Problem]:
    """ENTRYPOINT, CMD and HEALTHCHECK have the exec form: a shell as process 1 does not pass SIGTERM on."""
    for stage in stages(content):
        for item in stage.all("ENTRYPOINT", "CMD", "HEALTHCHECK"):
            command = item.text.removeprefix("CMD").strip() if item.name == "HEALTHCHECK" else item.text
            if not command.startswith("["):
                yield item.problem(f"{item.name} goes through a shell, which then is process 1")


@rejects("a word that the shell splits", DOCKERFILE, replace("compileall -q .", "compileall $x"))
@tool_rule(DOCKERFILE)
def hadolint(batch: Sequence[Files], scratch: Path) -> Iterator[list[Problem]]:
    """Hadolint finds nothing, with shellcheck for what RUN executes."""

    def read(item: dict[str, Any]) -> tuple[str, str, int]:
        return item["file"], f"{item['code']}: {item['message']}", item["line"]

    return lint(batch, scratch, "hadolint", "--no-color", "--format=json", read=read)
