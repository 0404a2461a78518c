"""The template's working tree: its questions, its files, and which questions each file reads."""

from __future__ import annotations

import copy
import functools
import re
import shutil
import subprocess
from collections import Counter
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

ROOT = Path(__file__).resolve().parent.parent
SUFFIX = ".jinja"


@dataclass(frozen=True, eq=False)
class Part:
    """A stretch of a file's template that stands for itself: text, or a block with all that is in it."""

    reads: tuple[str, ...]
    template: jinja2.Template


@dataclass(frozen=True, eq=False)
class Source:
    """A file or folder below template/."""

    path: PurePosixPath
    mode: int
    content: bytes | None  # None for a folder
    reads: frozenset[str]

    parts: tuple[Part, ...] = ()  # of a template: rendered one by one, they make the file

    @property
    def is_template(self) -> bool:
        return self.path.name.endswith(SUFFIX)


class Template:
    def __init__(self, folder: Path, *extensions: type[Extension], files: bool = True) -> None:
        """Read the template in a folder.

        Extensions of Jinja, which no project needs, may watch how it is rendered. Without its files, which take long to
        read, it serves to answer its questions.
        """
        self.folder = folder
        self._first = Worker(src_path=str(folder), settings=SettingsModel())
        if self._first.template.vcs:
            raise ValueError(f"{folder} is a git repository: the tests render a plain copy of the working tree")
        self.settings: dict[str, Any] = self._first.template.config_data
        self.questions: dict[str, dict[str, Any]] = self._first.template.questions_data
        self.env = self._first.jinja_env
        for extension in extensions:
            self.env.add_extension(extension)
        remember_compiled_templates(self.env, self.places)
        self._refuse_what_is_not_implemented()
        self.sources = list(self._read_sources()) if files else []

    def worker(self, answers: dict[str, Any] | None = None) -> Worker:
        """Copier's worker for these answers, with the template already read and its Jinja templates compiled."""
        worker = Worker(
            src_path=str(self.folder),
            dst_path=Path("/project"),
            data=answers or {},
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

    @functools.cache  # noqa: B019
    def _names(self, text: str) -> frozenset[str]:
        """The names that a text reads, in what it includes too."""
        return self._names_of(self.env.parse(text))

    def _names_of(self, tree: nodes.Template) -> frozenset[str]:
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
            names = {name for text in texts for name in self._names(text)}
            unknown = names - self.questions.keys() - self.env.globals.keys() - {"_copier_answers", "_copier_conf"}
            if unknown:
                raise ValueError(f"template/{relative} reads {', '.join(sorted(unknown))}, which no question answers")
            yield Source(
                relative,
                path.stat().st_mode,
                content,
                frozenset(names & self.questions.keys() | {name for name in names if name.startswith("_copier_")}),
                tuple(self._parts(content.decode(), self.name_of(relative)))
                if content and relative.name.endswith(SUFFIX)
                else (),
            )

    def name_of(self, path: PurePosixPath) -> str:
        """What Jinja calls a file below template/."""
        return str(PurePosixPath(self.settings["subdirectory"]) / path)

    def finely(self, source: Source) -> Iterator[Part]:
        """The parts of a template, with each text between two expressions on its own."""
        return self._parts((source.content or b"").decode(), self.name_of(source.path), finely=True)

    def _parts(self, text: str, name: str, *, finely: bool = False) -> Iterator[Part]:
        """A README reads nearly every answer, but each of its paragraphs few."""
        body = self.env.parse(text).body
        settings = [node for node in body if isinstance(node, (nodes.Assign, nodes.Import, nodes.FromImport))]
        others = [node for node in body if node not in settings]
        set_once = Counter(name for setting in settings for name in _sets(setting))
        if any(number > 1 for number in set_once.values()) or any(
            _sets(node) & self._uses(later)
            for index, node in enumerate(body)
            if node in others
            for later in body[index + 1 :]
        ):
            yield self._part(body, name)
            return
        for node in [one for other in others for one in (_output(other) if finely else [other])]:
            needed: list[nodes.Node] = [node]
            for setting in reversed(settings):
                if any(_sets(setting) & self._uses(other) for other in needed):
                    needed.insert(0, setting)
            yield self._part(needed, name)

    def _part(self, body: list[nodes.Node], name: str) -> Part:
        names = self._names_of(self._tree(body)) & self.questions.keys()
        code = self.env.compile(self._tree(body), name)
        return Part(tuple(sorted(names)), jinja2.Template.from_code(self.env, code, self.env.make_globals(None)))

    def _tree(self, body: list[nodes.Node]) -> nodes.Template:
        same = {id(self.env): self.env}  # every node knows its environment, which need not be copied along
        tree = nodes.Template(copy.deepcopy(body, same), lineno=1)
        tree.set_environment(self.env)
        return tree

    def _uses(self, node: nodes.Node) -> set[str]:
        """The names that it takes from what stands before it."""
        return meta.find_undeclared_variables(self._tree([node])) - _sets(node)

    def _refuse_what_is_not_implemented(self) -> None:
        template = self._first.template
        for setting in ("exclude", "preserve_symlinks", "external_data", "jinja_extensions"):
            if getattr(template, setting):
                raise NotImplementedError(f"_{setting} in copier.yml")
        if template.templates_suffix != SUFFIX or not template.subdirectory:
            raise NotImplementedError("another _templates_suffix, or no _subdirectory, in copier.yml")


def remember_compiled_templates(env: jinja2.Environment, places: Mapping[str, str] | None = None) -> None:
    """Copier compiles each text anew: that is half of the time that it takes to render a project.

    Args:
        env: where texts are compiled.
        places: where texts stand, for those who ask a compiled one.
    """
    compile_text = env.from_string
    remembered: dict[str, jinja2.Template] = {}

    def from_string(source: Any, *arguments: Any, **options: Any) -> jinja2.Template:
        if arguments or options or not isinstance(source, str):
            return compile_text(source, *arguments, **options)
        if source in remembered:
            env.preprocess(source)  # which is where Copier's `yield` begins anew
        else:
            code = env.compile(source, (places or {}).get(source))
            remembered[source] = jinja2.Template.from_code(env, code, env.make_globals(None))
        return remembered[source]

    env.from_string = from_string  # type: ignore[method-assign]
    env.auto_reload = False


def _output(node: nodes.Node) -> list[nodes.Node]:
    """What Jinja puts out at once, one by one."""
    if not isinstance(node, nodes.Output):
        return [node]
    return [nodes.Output([item], lineno=item.lineno) for item in node.nodes]


def _sets(node: nodes.Node) -> set[str]:
    """The names that it sets."""
    found: set[str] = set()
    for item in (node, *node.find_all((nodes.Name, nodes.Import, nodes.FromImport, nodes.Macro))):
        if isinstance(item, nodes.Name) and item.ctx == "store":
            found.add(item.name)
        elif isinstance(item, nodes.Import):
            found.add(item.target)
        elif isinstance(item, nodes.FromImport):
            found |= {name if isinstance(name, str) else name[1] for name in item.names}
        elif isinstance(item, nodes.Macro):
            found.add(item.name)
    return found


def copy_working_tree(destination: Path) -> Path:
    """What git would commit now of the template, as a plain folder, which Copier renders as it is."""
    for name in known_to_git("copier.yml", "extensions", "template"):
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return destination


def known_to_git(*paths: str) -> list[str]:
    """The files that git would commit now, all or those at and below these paths."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *paths],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).exists()})


def name_expressions(path: PurePosixPath) -> list[str]:
    """What stands between the braces of a file name."""
    return re.findall(r"{{(.*?)}}", str(path))


def choices(written: Any) -> list[Any]:
    """The values of a question's choices, in whichever of Copier's forms they are written."""
    values = list(written.values()) if isinstance(written, dict) else list(written)
    return [value["value"] if isinstance(value, dict) else value for value in values]
