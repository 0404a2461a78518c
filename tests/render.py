"""Renders the template in memory, with Copier's own Jinja environment: one project, or every distinct set of files."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tests.space import Answers, Space
from tests.template import SUFFIX, Source, Template

ANSWERS_FILE = ".copier-answers.yml"


class File(NamedTuple):
    content: bytes
    mode: int


@dataclass(frozen=True)
class Rendered:
    """Some files of a project, and the answers that decide them."""

    answers: Answers  # as a person gives them
    context: Mapping[str, Any]  # as the templates read them
    files: Mapping[str, bytes]

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in self.answers.items()) or "any answers"


class Renderer:
    def __init__(self, template: Template, space: Space) -> None:
        self.template = template
        self.space = space
        self._rendered: dict[tuple[Any, ...], tuple[str, File] | None] = {}
        self._contents: dict[tuple[str, bytes], bytes] = {}

    def project(self, answers: Answers) -> dict[str, File]:
        """The whole project, asked and rendered by Copier's worker; names of folders end in "/" and have no content."""
        worker = self.template.worker(answers)
        worker._ask()
        context = worker._render_context()
        return dict(self._files(self.template.sources, context))

    def distinct(self, *patterns: str, awkward: bool = True) -> list[Rendered]:
        """Every distinct set of contents that the files of these names can have together; "…/" is for folders."""
        sources = [source for source in self._everything() if self._can_match(source, patterns)]
        names = frozenset(name for source in sources for name in source.reads)
        found: dict[tuple[int, ...], Rendered] = {}
        for answers, context in self._combinations(names, awkward=awkward):
            files = {
                path: self._contents.setdefault((path, file.content), file.content)
                for path, file in self._files(sources, context)
                if _matches(path, patterns)
            }
            found.setdefault(tuple(id(content) for content in files.values()), Rendered(answers, context, files))
        return [rendered for rendered in found.values() if rendered.files]

    def each(self, *patterns: str, awkward: bool = True) -> list[Rendered]:
        """Every distinct content of each file of these names, one at a time."""
        found: dict[tuple[str, bytes], Rendered] = {}
        for source in self._everything():
            if source.content is not None and self._can_match(source, patterns):
                for rendered in self.alone(source, awkward=awkward):
                    for path, content in rendered.files.items():
                        if _matches(path, patterns):
                            found.setdefault((path, content), rendered)
        return list(found.values())

    @functools.cache  # noqa: B019
    def alone(self, source: Source, *, awkward: bool = True) -> list[Rendered]:
        """Every distinct rendering of one file."""
        found: dict[tuple[str, bytes], Rendered] = {}
        for answers, context in self._combinations(source.reads, awkward=awkward):
            for path, file in self._files([source], context):
                content = self._contents.setdefault((path, file.content), file.content)
                found.setdefault((path, content), Rendered(answers, context, {path: content}))
        return list(found.values())

    def _combinations(self, names: frozenset[str], *, awkward: bool) -> Iterable[tuple[Answers, Answers]]:
        return itertools.chain(self.space.combinations(names), self.space.pairs(names) if awkward else [])

    def _everything(self) -> Iterator[Source]:
        """All but the answers file, which reads every answer and is tested on its own."""
        return (source for source in self.template.sources if "_copier_answers" not in source.reads)

    @functools.cache  # noqa: B019
    def targets(self, source: Source) -> frozenset[str]:
        """The paths to which it can render."""
        names = self.template.names_in(str(source.path))
        paths = (self._path(source, context) for _, context in self.space.combinations(names))
        return frozenset(path for path in paths if path)

    def _can_match(self, source: Source, patterns: tuple[str, ...]) -> bool:
        return any(_matches(path, patterns) for path in self.targets(source))

    def _files(self, sources: Iterable[Source], context: Mapping[str, Any]) -> Iterator[tuple[str, File]]:
        seen: dict[str, Source] = {}
        for source in sources:
            read = {name: context[name] for name in sorted(source.reads)}
            if "_copier_answers" in read:
                rendered = self._render(source, read)
            else:
                key = (source.path, *read.values())
                if key not in self._rendered:
                    self._rendered[key] = self._render(source, read)
                rendered = self._rendered[key]
            if rendered:
                path = rendered[0]
                if path in seen and not path.endswith("/"):
                    raise ValueError(f"template/{seen[path].path} and template/{source.path} both render {path}")
                seen[path] = source
                yield rendered

    def _render(self, source: Source, context: Mapping[str, Any]) -> tuple[str, File] | None:
        """Renders with the answers that the file is known to read; StrictUndefined refuses an overlooked one."""
        path = self._path(source, context)
        if not path:
            return None
        content = source.content or b""
        if source.is_template:
            name = str(PurePosixPath(self.template.settings["subdirectory"]) / source.path)
            content = self.template.env.get_template(name).render(context).encode()
        return path, File(content, source.mode)

    def _path(self, source: Source, context: Mapping[str, Any]) -> str:
        if source.path.name == f"{{{{_copier_conf.answers_file}}}}{SUFFIX}":
            return ANSWERS_FILE
        parts = str(source.path).removesuffix(SUFFIX).split("/")
        rendered = [self.template.env.from_string(part).render(context) for part in parts]
        if not all(rendered):
            return ""
        path = str(PurePosixPath(*rendered))
        if not source.is_template and Path(self.template.folder, path + SUFFIX).exists():
            raise NotImplementedError(f"{path}{SUFFIX} at the template's root, for which Copier skips {source.path}")
        return path + "/" * (source.content is None)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, pattern) and path.endswith("/") == pattern.endswith("/") for pattern in patterns)
