"""Dockerfiles: hadolint, and what no linter sees: the build context, stages, arguments, the user of the image."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.rules.ignore_patterns import docker_ignored
from tests.validators import Files, Finding, named
from tests.validators.kustomize import tool

USER = "65532:65532"
_PREDEFINED = {"BUILDPLATFORM", "BUILDARCH", "TARGETPLATFORM", "TARGETARCH", "TARGETOS"}


@dataclass
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


@dataclass
class Stage:
    name: str
    image: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction | None:
        return next((item for item in reversed(self.instructions) if item.name == name), None)


def instructions(content: bytes) -> Iterator[Instruction]:
    start, text = 0, ""
    for number, line in enumerate(content.decode().split("\n"), 1):
        if line.lstrip().startswith("#") or (not text and not line.strip()):
            continue
        start = start or number
        text += line.removesuffix("\\")
        if not line.endswith("\\"):
            name, _, rest = text.strip().partition(" ")
            words = rest.split()
            flags = words[: next((i for i, word in enumerate(words) if not word.startswith("--")), len(words))]
            yield Instruction(
                start, name.upper(), flags, rest.strip()[len(" ".join(flags)) :].strip() if flags else rest.strip()
            )
            start, text = 0, ""


def stages(content: bytes) -> list[Stage]:
    found: list[Stage] = []
    for item in instructions(content):
        if item.name == "FROM":
            words = item.words
            found.append(Stage(words[2] if len(words) == 3 else str(len(found)), words[0], [item]))
        elif found:
            found[-1].instructions.append(item)
    return found


def check(files: Files) -> Iterator[Finding]:
    content = files["Dockerfile"]
    for where, name, message in _problems(files, content, stages(content)):
        yield Finding("Dockerfile", where, name, message)


def _problems(files: Files, content: bytes, found: list[Stage]) -> Iterator[tuple[str, str, str]]:
    paths = named(files, _in_context(files.get(".dockerignore", b"")))
    known: list[str] = []
    arguments = _PREDEFINED | {
        item.text.partition("=")[0]
        for item in instructions(content.split(b"\nFROM", 1)[0] if not content.startswith(b"FROM") else b"")
        if item.name == "ARG"
    }
    for stage in found:
        origin = stage.instructions[0]
        for name in re.findall(r"\$\{?(\w+)", origin.text):
            if name not in arguments:
                yield str(origin.line), "argument", f"FROM reads the argument {name}, which no ARG before it declares"
        if (
            stage.image not in known
            and not re.search(r"[0-9][^/]*:(?!latest)[^/]+$|:[^/]*[0-9]|@sha256:", stage.image)
            and stage.image != "scratch"
        ):
            yield str(origin.line), "base", f"{stage.image} names no version"
        for item in stage.instructions:
            yield from ((str(item.line), name, message) for name, message in _sources(item, paths, known))
        known.append(stage.name)
    if "test" not in known:
        yield "1", "stages", "has no stage test, in which CI runs the tests"
    taken = {word for stage in found if stage.name != "test" for word in _taken(stage)}
    folders = {path.split("/")[0] for path in paths if "/" in path} - {"tests", *taken}
    for folder in sorted(folders) if taken.isdisjoint({"", "."}) else ():
        yield str(origin.line), "left out", f"the image has no {folder}, which the build context holds"
    last = found[-1]
    user = last.last("USER")
    if not user or user.text != USER:
        yield str(user.line if user else origin.line), "user", f"the image does not run as {USER}"
    if not last.last("EXPOSE"):
        yield str(origin.line), "expose", "the image exposes no port"
    if not last.last("HEALTHCHECK"):
        yield str(origin.line), "healthcheck", "the image has no HEALTHCHECK"
    if not any(item.name == "ARG" and item.text.startswith("VERSION") for item in last.instructions):
        yield str(origin.line), "version", "the last stage takes no argument VERSION"
    if not last.last("ENTRYPOINT"):
        yield str(origin.line), "entrypoint", "the image has no ENTRYPOINT"
    for stage in found:
        for item in stage.instructions:
            command = item.text.removeprefix("CMD").strip() if item.name == "HEALTHCHECK" else item.text
            if item.name in ("ENTRYPOINT", "CMD", "HEALTHCHECK") and not command.startswith("["):
                yield str(item.line), "entrypoint", f"{item.name} goes through a shell, which then is process 1"


@functools.cache
def _in_context(patterns: bytes) -> Callable[[str], bool]:
    return lambda path: not path.endswith("/") and not docker_ignored(patterns, path)


def _taken(stage: Stage) -> Iterator[str]:
    """The names of what it copies from the build context."""
    for item in stage.instructions:
        if item.name in ("COPY", "ADD") and not any(flag.startswith("--from=") for flag in item.flags):
            yield from (word.removeprefix("./").rstrip("/") for word in item.words[:-1])


def _sources(item: Instruction, paths: list[str], stages_before: list[str]) -> Iterator[tuple[str, str]]:
    """Files of the build context and stages that COPY and bind mounts take."""
    if item.name in ("COPY", "ADD"):
        origin = next((flag.removeprefix("--from=") for flag in item.flags if flag.startswith("--from=")), None)
        if origin is None:
            for word in item.words[:-1]:
                if not _exists(word, paths):
                    yield "source", f"{item.name} takes {word}, which is not in the build context"
        elif origin not in stages_before and not re.search(r"[:/]", origin):
            yield "stage", f"{item.name} takes files from {origin}, which is no stage before it"
    for flag in item.flags:
        if flag.startswith("--mount="):
            mount = dict(part.partition("=")[::2] for part in flag.removeprefix("--mount=").split(","))
            if mount.get("type") == "bind" and "from" not in mount and not _exists(mount.get("source", "."), paths):
                yield "source", f"a bind mount takes {mount['source']}, which is not in the build context"


def _exists(name: str, paths: list[str]) -> bool:
    name = name.removeprefix("./").rstrip("/")
    return name in ("", ".") or any(path == name or path.startswith(name + "/") for path in paths)


def lint(contents: list[bytes], scratch: Path) -> list[list[Finding]]:
    """What hadolint says of each, in one call."""
    if not contents:
        return []
    names = [scratch / f"{index}.Dockerfile" for index in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        name.write_bytes(content)
    done = subprocess.run(
        [tool("hadolint"), "--no-color", "--format=json", *names], capture_output=True, check=False, cwd=scratch
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(done.stderr.decode())
    found: dict[str, list[Finding]] = {}
    for item in json.loads(done.stdout):
        found.setdefault(item["file"], []).append(
            Finding("Dockerfile", str(item["line"]), f"hadolint {item['code']}", item["message"])
        )
    return [found.get(str(name), []) for name in names]
