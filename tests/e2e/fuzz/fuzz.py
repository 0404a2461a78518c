"""Puts drawn answers into the template and finds where they land, by comparison with answers that are plain.

Two plain answers show the places: those where the files of one differ from those of the other. There, what a format's
parser reads has to be what it reads for the plain answer, with the drawn one put for it, and nothing else may change.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml
from copier._settings import SettingsModel
from copier._user_data import AnswersMap
from copier._user_data import Question as CopierQuestion

from tests.e2e.fuzz.readers import Tree, count, read
from tests.render import ANSWERS_FILE, Renderer
from tests.rules.kubernetes.build import schema_errors
from tests.space import AWKWARD, GIVEN, Answers, Question, Value, hashable, picker
from tests.template import Source
from tests.validators import Finding, text, yaml_files

# What has a name of its own, or a login of its own.
REGISTRIES = ("docker.io", "ghcr.io", "registry.gitlab.com")
AMAZON = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?/")


def _registry(image: str) -> str:
    host = image.partition("/")[0]
    return host if host in REGISTRIES else "Amazon's" if AMAZON.match(image) else "another"


def _written(image: str) -> list[str]:
    amazon = AMAZON.match(image)
    return [image, image.partition("/")[0], *([amazon[2]] if amazon else [])]


# How a template writes an answer where it does not write it as it is.
FORMS: dict[str, Callable[[Any], list[Any]]] = {
    "cluster_domain": lambda domain: [domain, domain.replace(".", "-")],
    "gateway": lambda gateway: [gateway, *gateway.split("/")],
    "image_repository": _written,
    "log_collector": lambda collector: [collector, *collector.split(":")],
    "max_replicas": lambda replicas: [replicas, 2 * replicas + 2],
    "node_selector": lambda label: [label, *label.split("=")],
    "replicas": lambda replicas: [replicas, replicas + 1, 2 * replicas + 2, 3 * replicas, 6 * replicas + 2],
    "storage_size": lambda size: [size, f"{2 * int(size[:-2])}{size[-2:]}"],
}
# Sums of several answers, which the checks of quotas add up again.
SUMS = {
    ("max_replicas", "kubernetes/namespace/resourcequota.yaml"),
    ("replicas", "kubernetes/namespace/resourcequota.yaml"),
}
# Answers of one kind make the same files but for the answer itself; otherwise, all that are not empty do.
KINDS: dict[str, Callable[[Any], object]] = {"image_repository": _registry, "replicas": lambda replicas: replicas > 1}


class RefusedError(Exception):
    """An answer that a question refused, with its sentence."""

    def __init__(self, question: str, sentence: str) -> None:
        super().__init__(sentence)
        self.question = question
        self.sentence = sentence


class ChangedError(AssertionError):
    """What was read back is not what was answered."""


@dataclass(frozen=True, eq=False)
class Base:
    """A combination of the other answers, to which drawn ones are added."""

    answers: Answers
    context: Mapping[str, Any] = field(repr=False)


def plain(index: int, question: Question) -> Sequence[Value]:
    """Answers that stand nowhere else, some of which every question takes: a new kind of rule wants another here."""
    if question.kind == "int":
        return [number + index for number in (31873, 32391, 251, 211, 61, 19)] + [1]
    words = [f"q{chr(97 + index)}zx{end}" for end in ("wv", "vw")]
    return [
        form.format(word, word[::-1], number=700 + 7 * index + step)
        for step, word in enumerate(words)
        for form in (
            "{}", "{}.example.com", "{}/{}", "{}={}", "{}:4{number}", "docker.io/{}/{}", "{}.example.com/{}",
            "qq-{}-1", "{number}Gi", "", "ghcr.io/{}/{}", "registry.gitlab.com/{}/{}",
            "123456{number}789.dkr.ecr.{}-1.amazonaws.com/{}",
        )
    ]  # fmt: skip


class Fuzz:
    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self.template = renderer.template
        self.space = renderer.space
        self.conf = self.template.worker()._render_context()["_copier_conf"]
        self.rows = [Base(self._kept(answers), context) for answers, context in self.space.pairs(awkward=False)]
        self._reads = {
            name: set(self.template.names_in({key: item for key, item in question.details.items() if key != "help"}))
            for name, question in self.space.questions.items()
        }
        self._paths: dict[Any, str] = {}
        self._plain_files: dict[Any, dict[str, bytes]] = {}

    @functools.cached_property
    def names(self) -> list[str]:
        """The questions that take any text or number."""
        return [name for name in self.space.asked if self.space.questions[name].kind in ("str", "int")]

    def _kept(self, answers: Answers) -> Answers:
        """Without texts and numbers at their defaults, which then follow from the drawn ones."""
        return {
            name: value
            for name, value in answers.items()
            if self.space.questions[name].kind in ("choice", "bool") or (name in GIVEN and value != GIVEN[name][0])
        } | {name: answers[name] for name in ("project_name", "service_name")}

    def ask(self, base: Base, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """What templates read then: of Copier's questions, those are asked anew that the drawn answers can change."""
        if any(type(value).__name__ != self.space.questions[name].kind for name, value in values.items()):
            return self.ask_copier(base, values)
        answers = {**base.answers, **values}
        context = {**base.context, "_copier_conf": self.conf}
        changed = set(values)
        for name, question in self.space.questions.items():
            if name in values or changed & self._reads[name]:
                try:
                    value = self._question(question, context, answers).get_default()
                except ValueError as error:
                    raise _refused(error) from error
                if value != context[name]:
                    changed.add(name)
                context[name] = value
        return context

    def ask_copier(self, base: Base, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same, with all questions asked by Copier itself, which takes longer."""
        worker = self.template.worker({**base.answers, **values})
        try:
            worker._ask()
        except (ValueError, TypeError, ArithmeticError) as error:
            raise _refused(error) from error
        return worker._render_context()

    def _question(self, question: Question, context: Mapping[str, Any], answers: Answers) -> CopierQuestion:
        return CopierQuestion(
            answers=AnswersMap(init=answers),
            context=context,
            jinja_env=self.template.env,
            settings=SettingsModel(),
            var_name=question.name,
            **question.details,
        )

    @functools.cache  # noqa: B019
    def bases(self, name: str) -> list[Base]:
        """Few combinations that hold together all that any of them renders of the files that read the question."""
        sources = [source for source in self.renderer._everything() if name in source.reads]
        found: dict[Base, set[tuple[str, bytes]]] = {}
        for base in self.rows:
            if name in self.askable(base):
                files = (self.renderer._file(source, base.context) for source in sources)
                found[base] = {(path, part) for path, parts in filter(None, files) for part in parts}
        wanted = {part for parts in found.values() for part in parts}
        targets = {path for source in sources for path in self.renderer.targets(source)}
        assert {path for path, _ in wanted} >= targets, f"{name} is never asked where a file reads it"
        chosen = []
        while wanted:
            best = max(found, key=lambda base: len(found[base] & wanted))
            chosen.append(best)
            wanted -= found[best]
        return chosen

    @functools.cache  # noqa: B019
    def askable(self, base: Base) -> list[str]:
        """The questions among them that are asked here."""
        return [
            name
            for name in self.names
            if self._question(self.space.questions[name], {**base.context, "_copier_conf": self.conf}, {}).get_when()
        ]

    @functools.cache  # noqa: B019
    def plain(self, base: Base, name: str, kind: object) -> tuple[Any, Any]:
        """Two plain answers of the kind; one twice where there is no other."""
        accepted = []
        for value in plain(self.names.index(name), self.space.questions[name]):
            try:
                if self.kind(name, value) == kind:
                    self.ask(base, {name: value})
                    accepted.append(value)
            except RefusedError:
                continue
        assert accepted, f"{name} takes no answer that tests/e2e/fuzz/fuzz.py calls plain"
        return accepted[0], accepted[1] if len(accepted) > 1 else accepted[0]

    def kind(self, name: str, value: Any) -> object:
        return KINDS[name](value) if name in KINDS else value != ""

    @functools.cache  # noqa: B019
    def longest(self, base: Base, name: str) -> Any:
        """The longest legal answer that is known, its first word made as long as the rule lets it be."""
        question = self.space.questions[name]
        known: list[Any] = []
        for value in seeds(question, base.context[name]):
            try:
                self.ask(base, {name: value})
                known.append(value)
            except RefusedError:
                continue
        if question.kind == "int":
            return max(known)
        legal = max(known, key=len)
        least, most = 0, 300
        while least < most:
            middle = (least + most + 1) // 2
            try:
                self.ask(base, {name: "x" * middle + legal})
                least = middle
            except RefusedError:
                most = middle - 1
        return "x" * least + legal

    def crowded(self) -> list[Base]:
        """Few combinations in which any two of the questions that can be asked together are."""
        found = {base: set(itertools.combinations(self.askable(base), 2)) for base in self.rows}
        wanted = set().union(*found.values())
        chosen = []
        while wanted:
            chosen.append(max(found, key=lambda base: len(found[base] & wanted)))
            wanted -= found[chosen[-1]]
        return chosen

    def check(self, base: Base, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises `RefusedError`, or `ChangedError` where something else is read back; gives what was accepted."""
        context = self.ask(base, values)
        drawn, one, other = self.beside(base, values, context)
        contexts = self.ask(base, one), self.ask(base, other)
        asked = {name for name in context if any(context[name] != before.get(name) for before in contexts)} | {*values}
        files = self._files(context, asked, {**base.answers, **drawn})
        before = self._plain(base, one, contexts[0], asked)
        beside = self._plain(base, other, contexts[1], asked)
        if not files.keys() == before.keys() == beside.keys():
            raise ChangedError(f"{drawn!r} makes other files: {sorted(files.keys() ^ before.keys())}")
        known = self.known(tuple(one.items()), tuple(other.items()))
        for path, content in files.items():
            known.places(path, before[path], beside[path])
            for finding in self._validate(path, content):
                if finding not in self._validate(path, before[path]):
                    raise ChangedError(f"{drawn!r} in {finding}")
            try:
                found = read(path, content)
            except (ValueError, SyntaxError, yaml.YAMLError) as error:
                raise ChangedError(f"{drawn!r} makes {path} unreadable: {error}") from error
            compare(path, known, drawn, read(path, before[path]), read(path, beside[path]), found)
        return context

    def beside(
        self, base: Base, values: Mapping[str, Any], context: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """What was accepted, and twice what is plain and of the same kind."""
        drawn = {name: context[name] for name in values}
        pairs = {name: self.plain(base, name, self.kind(name, value)) for name, value in drawn.items()}
        return drawn, {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}

    @functools.cache  # noqa: B019
    def known(self, one: tuple[tuple[str, Value], ...], other: tuple[tuple[str, Value], ...]) -> Known:
        return Known(dict(one), dict(other))

    def _plain(
        self, base: Base, values: Mapping[str, Any], context: Mapping[str, Any], asked: set[str]
    ) -> dict[str, bytes]:
        key = (base, *sorted(values.items()), *sorted(asked))
        if key not in self._plain_files:
            self._plain_files[key] = self._files(context, asked, {**base.answers, **values})
        return self._plain_files[key]

    def _files(self, context: Mapping[str, Any], asked: set[str], answers: Answers) -> dict[str, bytes]:
        """The files that read what was answered."""
        found = {}
        for source in self.template.sources:
            if "_copier_answers" in source.reads:
                everything = {**context, "_copier_answers": {"_commit": "1", **answers}}
                found[ANSWERS_FILE] = self.renderer._whole(source, everything)
            elif source.reads & asked and (path := self._path(source, context)):
                found[path] = b"".join(self._parts(source, context))
        return found

    def _path(self, source: Source, context: Mapping[str, Any]) -> str:
        names = self.template.names_in(str(source.path))
        key = (source, *(context[name] for name in names))
        if key not in self._paths:
            self._paths[key] = self.renderer._path(source, context)
        return self._paths[key]

    def makefiles(self, base: Base, values: Mapping[str, Any]) -> dict[str, bytes]:
        context = self.ask(base, values)
        paths = ((source, self._path(source, context)) for source in self.renderer._everything())
        return {
            path: b"".join(self._parts(source, context))
            for source, path in paths
            if PurePosixPath(path).suffix == ".mk" or path == "Makefile"
        }

    def _parts(self, source: Source, context: Mapping[str, Any]) -> Iterator[bytes]:
        for part in source.parts:
            values = {name: hashable(context[name]) for name in part.reads}
            yield _render(part.template, part.reads, picker(part.reads)(values))

    def _validate(self, path: str, content: bytes) -> list[Finding]:
        return list(_findings(path, content))


@functools.lru_cache(maxsize=5000)
def _render(template: Any, reads: tuple[str, ...], values: Any) -> bytes:
    known = dict(zip(reads, values if len(reads) > 1 else (values,), strict=bool(reads)))
    return bytes(template.render(known).encode())


@functools.lru_cache(maxsize=2000)
def _findings(path: str, content: bytes) -> tuple[Finding, ...]:
    files = {path: content}
    found = [*text.check(files), *text.check_formats(files)]
    if PurePosixPath(path).suffix in (".yml", ".yaml") and path != ANSWERS_FILE:  # nobody but Copier reads that
        found += yaml_files.check(files)
        if path.startswith("kubernetes/") and not found:
            resources = [document for document in yaml_files.load(content) if "metadata" in document]
            found += [
                Finding(path, "", "schema", str(error)) for error in (schema_errors(content) if resources else [])
            ]
    return tuple(found)


def _refused(error: Exception) -> RefusedError:
    told = re.match(r"Validation error for question '(\w+)': (.*)", str(error), re.DOTALL)
    return RefusedError(told[1], told[2]) if told else RefusedError("", f"{type(error).__name__}: {error}")


class Known:
    """What stands for what: each form of the plain answers, and the drawn answer in the same form."""

    def __init__(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
        self.one, self.other = one, other
        self.sums = {path for name, path in SUMS if name in one}

    def replace(self, value: Any, drawn: Mapping[str, Any]) -> Any:
        """What is read for the plain answers, with these put for them."""
        forms = {
            str(before): str(after)
            for name, plain in self.one.items()
            for before, after in zip(forms_of(name, plain), forms_of(name, drawn[name]), strict=True)
            if before != ""
        }
        replaced = pattern(forms).sub(lambda found: forms[found[0]], str(value))
        return int(replaced) if isinstance(value, int) and re.fullmatch(r"-?[0-9]+", replaced) else replaced

    def lands(self, name: str, value: Any) -> bool:
        return any(str(form) in str(value) for form in forms_of(name, self.one[name]) if form != "")

    @functools.cache  # noqa: B019
    def places(self, path: str, one: bytes, other: bytes) -> None:
        """Refuses a place that no reader sees, such as a comment, and a form that nobody named."""
        trees = read(path, one), read(path, other)
        # An answer of which there is no other, such as one replica, may stand anywhere else too.
        told = {name: value for name, value in self.one.items() if value != self.other[name]}
        forms = pattern({str(form): "" for name, value in told.items() for form in forms_of(name, value) if form})
        if one != other and len(forms.findall(one.decode())) > count(trees[0], forms):
            raise ChangedError(f"{self.one!r} lands in {path} where its reader does not look, such as a comment")
        compare(path, self, self.other, *trees, trees[1])


def forms_of(name: str, value: Any) -> list[Any]:
    return FORMS[name](value) if name in FORMS else [value]


def pattern(forms: Mapping[str, str]) -> re.Pattern[str]:
    """The longest first; a number only where it is a whole one."""
    longest = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\d){form}(?!\d)" if form.isdigit() else re.escape(form) for form in longest))


def compare(path: str, known: Known, drawn: Mapping[str, Any], one: Tree, other: Tree, found: Tree) -> None:
    """Whether what is found is what the plain answers make, with the drawn ones put for them."""
    if one == other:
        expected = one
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        if isinstance(found, list) and len(found) == len(one):
            for parts in zip(one, other, found, strict=True):
                compare(path, known, drawn, *parts)
            return
        expected = one
    elif path in known.sums and known.replace(one, known.other) != other:
        return
    else:
        expected = known.replace(one, drawn)
    if (found, type(found)) != (expected, type(expected)):
        landed = {name: value for name, value in drawn.items() if known.lands(name, one)} or drawn
        raise ChangedError(f"{landed!r} reads back from {path} as {found!r}, not as {expected!r}")


def seeds(question: Question, default: Any) -> list[Any]:
    """Legal answers near which to look for others."""
    known = [*GIVEN.get(question.name, []), *AWKWARD.get(question.name, []), default]
    return list(dict.fromkeys(value for value in known if type(value).__name__ == question.kind))
