"""The output of Kustomize for each tree of manifests, and kubeconform's findings: see builder/main.go.

A folder is built once for all trees in which everything that it can read is the same.
"""

from __future__ import annotations

import atexit
import base64
import functools
import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from tests import toolchains
from tests.harness.documents import Edit, add, load, write
from tests.harness.projects import Files
from tests.rules.kubernetes import published_schemas
from tests.rules.tables import table

FILE = "kustomization.yaml"
BUILDER = Path(__file__).parent / "builder"

Resource = dict[str, Any]


class SchemaError(NamedTuple):
    """A place in a resource that does not match its schema."""

    pointer: str
    message: str


class Built(NamedTuple):
    """A resource as Kustomize builds it; equal ones are one object."""

    number: int
    resource: Resource
    errors: tuple[SchemaError, ...]


Outcome = Mapping[str, Sequence[Built] | ValueError]
"""The resources of each entry point of a tree, or why it does not build."""


def build_all(trees: Sequence[Files]) -> Iterator[Outcome]:
    """What each tree builds."""
    numbers: dict[tuple[Any, ...], int] = {}
    planned = []
    for tree in trees:
        inputs = {folder: (folder, *_inputs(tree, folder)) for folder in entry_points(tree)}
        planned.append({folder: numbers.setdefault(key, len(numbers)) for folder, key in inputs.items()})
    results = _builder().build(list(numbers)) if numbers else []
    for plan in planned:
        yield {folder: results[number] for folder, number in plan.items()}


def build(files: Files) -> list[Resource]:
    """What all entry points of one tree build.

    Raises:
        ValueError: one does not build.

    """
    (outcome,) = build_all([files])
    resources: list[Resource] = []
    for built in outcome.values():
        if isinstance(built, ValueError):
            raise built
        resources += [one.resource for one in built]
    return resources


def schema_errors(content: bytes) -> list[SchemaError]:
    """kubeconform's findings in one file."""
    (outcome,) = build_all([{f"file/{FILE}": b"resources: [resources.yaml]", "file/resources.yaml": content}])
    built = outcome["file"]
    return [SchemaError("", str(built))] if isinstance(built, ValueError) else [e for one in built for e in one.errors]


def extra(folder: str, manifest: str) -> tuple[str, Edit, str, Edit]:
    """The edits of a fault that adds a resource to a kustomization."""
    return f"{folder}/{FILE}", add("resources", "extra.yaml"), f"{folder}/extra.yaml", write(manifest)


def name_of(resource: Resource) -> str:
    """Kind and name."""
    return f"{resource['kind']}/{resource['metadata']['name']}"


def values_of(key: str, value: Any) -> Iterator[str]:
    """The texts that stand under this key, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get(key), str):
            yield value[key]
        for item in value.values():
            yield from values_of(key, item)
    elif isinstance(value, list):
        for item in value:
            yield from values_of(key, item)


def entry_points(files: Files) -> list[str]:
    """The root folders: those that no other kustomization includes."""
    folders = kustomizations(files)
    used = {taken for folder in folders for taken in _taken(files, folder) if taken != folder}
    return sorted(folders - used)


def kustomizations(files: Files) -> set[str]:
    """The folders with a kustomization."""
    return {path.removesuffix(f"/{FILE}") for path in files if path.endswith(f"/{FILE}")}


@functools.cache
def join(folder: str, item: str) -> str:
    """The path of what a kustomization in this folder calls so."""
    return os.path.normpath(f"{folder}/{item}")


def _inputs(files: Files, folder: str) -> Iterator[tuple[str, bytes]]:
    """Everything that the build of a folder can read: Kustomize reads nothing above the folder of a kustomization."""
    reached: dict[str, None] = {}
    pending = [folder]
    while pending:
        one = pending.pop()
        if one not in reached:
            reached[one] = None
            pending += _taken(files, one)
    folders = kustomizations(files)
    for path, content in files.items():
        if _nearest(path, frozenset(folders)) in reached:
            yield path, content


@functools.cache
def _nearest(path: str, folders: frozenset[str]) -> str:
    """The folder of these in which a file is."""
    folder = path.rpartition("/")[0]
    while folder and folder not in folders:
        folder = folder.rpartition("/")[0]
    return folder


def _taken(files: Files, folder: str) -> list[str]:
    """The folders that a kustomization names in any of its fields."""
    paths = [join(folder, text) for text in _texts_of(files[f"{folder}/{FILE}"])]
    return [path for path in paths if f"{path}/{FILE}" in files]


@functools.cache
def _texts_of(content: bytes) -> tuple[str, ...]:
    return tuple(_texts(load(content)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


class Builder:
    """A program that builds until it is closed, on as many cores as there are."""

    def __init__(self, minors: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name, "log")
        schemas = published_schemas.write(Path(self._folder.name), minors)
        with self._log.open("w") as log:
            command = [str(toolchains.go_program(BUILDER)), schemas, *minors]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self._contents: dict[bytes, int] = {}
        self._built: dict[int, Built] = {}

    def build(self, requests: Sequence[tuple[Any, ...]]) -> list[Sequence[Built] | ValueError]:
        """What each folder builds, with these files."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin
        assert stdout
        # In a thread, because the program blocks until its output is read.
        sender = threading.Thread(target=self._send, args=(requests, stdin))
        sender.start()
        results: list[Sequence[Built] | ValueError] = [()] * len(requests)
        for _ in requests:
            line = stdout.readline()
            if not line:
                raise RuntimeError(f"the builder has ended: {self._log.read_text()}")
            answer = json.loads(line)
            for number, new in answer["new"].items():
                self._built[int(number)] = Built(int(number), new["resource"], _merged(new["errors"]))
            resources = tuple([self._built[number] for number in answer["resources"]])
            results[answer["number"]] = ValueError(answer["error"]) if answer["error"] else resources
        sender.join()
        return results

    def _send(self, requests: Sequence[tuple[Any, ...]], stdin: IO[bytes]) -> None:
        for number, (folder, *files) in enumerate(requests):
            new: dict[int, str] = {}
            numbers: dict[str, int] = {}
            for path, content in files:
                if content not in self._contents:
                    self._contents[content] = len(self._contents)
                    new[self._contents[content]] = base64.b64encode(content).decode()
                numbers[path] = self._contents[content]
            asked = {"number": number, "folder": folder, "files": numbers, "contents": new}
            stdin.write(json.dumps(asked).encode() + b"\n")
        stdin.flush()

    def close(self) -> None:
        """End the program."""
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()
        self._folder.cleanup()


@functools.cache
def _builder() -> Builder:
    """The program of this process, for the oldest and the newest version of Kubernetes that is supported."""
    versions = table("versions", "kubernetes")
    builder = Builder([versions["oldest"], versions["newest"]])
    atexit.register(builder.close)
    return builder


def _merged(errors: Sequence[Mapping[str, str]]) -> tuple[SchemaError, ...]:
    """The errors, each with the versions of Kubernetes that have it."""
    minors: dict[tuple[str, str], dict[str, None]] = {}
    for error in errors:
        unknown = re.search(r"^additional properties '([^']+)'", error["message"])
        pointer = f"{error['pointer']}/{unknown[1]}" if unknown else error["pointer"]
        minors.setdefault((pointer, error["message"]), {})[error["minor"]] = None
    return tuple(
        SchemaError(pointer.removeprefix("/").replace("/", "."), f"{message} (Kubernetes {', '.join(found)})")
        for (pointer, message), found in minors.items()
    )
