"""The template's working tree: its questions, its files, and the answers that each file reads."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2
import yaml
from copier._main import Worker
from copier._settings import SettingsModel
from jinja2 import meta, nodes
from jinja2.ext import Extension

ROOT = Path(__file__).resolve().parents[2]
SUFFIX = ".jinja"
ANSWERS_FILE = ".copier-answers.yml"


@dataclass(frozen=True, eq=False)
class Source:
    """A file or folder below template/."""

    path: PurePosixPath
    mode: int
    content: bytes | None  # None for a folder
    name_reads: frozenset[str]  # the questions and computed values in its name
    reads: frozenset[str]  # those in its name and content

    @property
    def is_template(self) -> bool:
        return self.path.name.endswith(SUFFIX)

    @property
    def is_answers_file(self) -> bool:
        """Whether it stores the answers, and so reads all of them."""
        return "_copier_answers" in self.reads


class Template:
    def __init__(self, folder: Path, *extensions: type[Extension]) -> None:
        """Read the template in a folder; extensions of Jinja may watch how it is rendered."""
        self.folder = folder
        self._first = Worker(src_path=str(folder), settings=SettingsModel())
        if self._first.template.vcs:
            raise ValueError(f"{folder} is a git repository: the tests render a plain copy of the working tree")
        self.settings: dict[str, Any] = self._first.template.config_data
        self.questions: dict[str, dict[str, Any]] = self._first.template.questions_data
        self.env = self._first.jinja_env
        for extension in extensions:
            self.env.add_extension(extension)
        cache_compiled_templates(self.env, self.places)
        self._refuse_what_is_not_implemented()

    @functools.cached_property
    def sources(self) -> list[Source]:
        """The files and folders below template/."""
        return list(self._read_sources())

    def worker(self, answers: Mapping[str, Any] | None = None) -> Worker:
        """Copier's worker for these answers, with the template already read and its Jinja templates compiled."""
        worker = Worker(
            src_path=str(self.folder),
            dst_path=Path("/project"),
            data=dict(answers or {}),
            defaults=True,
            quiet=True,
            settings=SettingsModel(),
        )
        vars(worker).update(template=self._first.template, jinja_env=self.env)
        return worker

    def names_in(self, value: Any) -> tuple[str, ...]:
        """The questions and computed values that the texts in this part of copier.yml read, in a fixed order."""
        if isinstance(value, str):
            return tuple(sorted(self._names(value) & self.questions.keys()))
        if isinstance(value, dict):
            value = [item for key, item in value.items() if key != "help"]
        if isinstance(value, list):
            return tuple(sorted({name for item in value for name in self.names_in(item)}))
        return ()

    @functools.cached_property
    def places(self) -> dict[str, str]:
        """Where each text of copier.yml starts."""
        found: dict[str, str] = {}
        pending = [yaml.compose((self.folder / "copier.yml").read_text(), yaml.CSafeLoader)]
        while pending:
            node = pending.pop()
            if isinstance(node, yaml.ScalarNode):
                found.setdefault(node.value, f"copier.yml:{node.start_mark.line + 1 + (node.style in ('|', '>'))}")
            elif isinstance(node, yaml.MappingNode):
                pending += [item for pair in reversed(node.value) for item in reversed(pair)]
            elif isinstance(node, yaml.SequenceNode):
                pending += reversed(node.value)
        return found

    def table(self, file: str, name: str) -> Any:
        """A table of extensions/."""
        return getattr(self.env.get_template(f"extensions/{file}.jinja").module, name)

    def jinja_name(self, path: PurePosixPath) -> str:
        """What Jinja calls a file below template/."""
        return str(PurePosixPath(self.settings["subdirectory"]) / path)

    @functools.cache  # noqa: B019
    def _names(self, text: str) -> frozenset[str]:
        """The names that a text reads, in what it includes too."""
        tree = self.env.parse(text)
        if any(node.name == "_yield_support" for node in tree.find_all(nodes.ExtensionAttribute)):
            raise NotImplementedError("a yield tag")
        names = set(meta.find_undeclared_variables(tree))
        # Jinja counts a name that only one branch sets or imports as undeclared.
        own = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}
        own |= {node.target for node in tree.find_all(nodes.Import)}
        own |= {
            name if isinstance(name, str) else name[1]
            for node in tree.find_all(nodes.FromImport)
            for name in node.names
        }
        names -= own - self.questions.keys()
        # … and leaves out a question that bears the name of a global such as `namespace`.
        names |= {node.name for node in tree.find_all(nodes.Name)} & self.env.globals.keys() & self.questions.keys()
        other: Any
        for other in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            if not isinstance(other.template, nodes.Const):
                raise NotImplementedError("a computed template name")
            included = (self.folder / other.template.value).read_text()
            if isinstance(other, nodes.Include) or getattr(other, "with_context", False):
                names |= self._names(included)
        return frozenset(names)

    def _read_sources(self) -> Iterator[Source]:
        top = self.folder / self.settings["subdirectory"]
        for path in sorted(top.rglob("*")):
            if path.is_symlink():
                raise NotImplementedError(f"a symbolic link: {path}")
            relative = PurePosixPath(path.relative_to(top))
            content = None if path.is_dir() else path.read_bytes()
            texts = [str(relative)]
            if content is not None and relative.name.endswith(SUFFIX):
                if path.with_suffix("").exists():
                    raise NotImplementedError(f"{relative} beside a file of the same name without {SUFFIX}")
                texts.append(content.decode())
            try:
                names = {name for text in texts for name in self._names(text)}
            except jinja2.TemplateSyntaxError as error:
                raise ValueError(f"template/{relative}:{error.lineno}: {error.message}") from error
            unknown = names - self.questions.keys() - self.env.globals.keys() - {"_copier_answers", "_copier_conf"}
            if unknown:
                raise ValueError(f"template/{relative} reads {', '.join(sorted(unknown))}, which no question answers")
            yield Source(
                relative,
                path.stat().st_mode,
                content,
                self._names(str(relative)) & self.questions.keys(),
                frozenset(names & self.questions.keys() | {name for name in names if name.startswith("_copier_")}),
            )

    def _refuse_what_is_not_implemented(self) -> None:
        template = self._first.template
        for setting in ("exclude", "preserve_symlinks", "external_data", "jinja_extensions"):
            if getattr(template, setting):
                raise NotImplementedError(f"_{setting} in copier.yml")
        if template.templates_suffix != SUFFIX or not template.subdirectory:
            raise NotImplementedError("another _templates_suffix, or no _subdirectory, in copier.yml")


def cache_compiled_templates(env: jinja2.Environment, places: Mapping[str, str] | None = None) -> None:
    """Compile each text once, where Copier compiles it anew: that is half of the time to render a project.

    Args:
        env: where texts are compiled.
        places: where texts stand, for those who ask a compiled one.
    """
    compile_text = env.from_string
    compiled: dict[str, jinja2.Template] = {}

    def from_string(source: Any, *arguments: Any, **options: Any) -> jinja2.Template:
        if arguments or options or not isinstance(source, str):
            return compile_text(source, *arguments, **options)
        if source in compiled:
            env.preprocess(source)  # which is where Copier's `yield` begins anew
        else:
            code = env.compile(source, (places or {}).get(source))
            compiled[source] = jinja2.Template.from_code(env, code, env.make_globals(None))
        return compiled[source]

    env.from_string = from_string  # type: ignore[method-assign]
    env.auto_reload = False


COMPANY = os.environ.get("COMPANY", "")
"""The file that takes the place of extensions/company.jinja in all tests; empty for none."""


def copy_working_tree(destination: Path, company: str = COMPANY) -> Path:
    """Copy the template, as git would commit it now, into a plain folder, which Copier renders unchanged.

    A file of a company takes the place of extensions/company.jinja, but hides no choice: tests take all of them.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    command += ["copier.yml", "extensions", "template"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in {name for name in listed.split("\0") if name and (ROOT / name).exists()}:
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    if company:
        shutil.copy2(ROOT / company, destination / "extensions" / "company.jinja")
    with (destination / "extensions" / "company.jinja").open("a") as file:
        file.write("{% set _ = company.pop('hidden', none) %}\n")
    return destination


def choices(written: Any) -> list[Any]:
    """The values of a question's choices, in whichever of Copier's forms they are written."""
    values = list(written.values()) if isinstance(written, dict) else list(written)
    return [value["value"] if isinstance(value, dict) else value for value in values]
