"""Puts drawn answers into the template and finds where they land, by comparison with answers that are plain.

Two plain answers show the places: those where the files of one differ from those of the other. There, what a format's
parser reads has to be what it reads for the plain answer, with the drawn one put for it, and nothing else may change.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.e2e.fuzz.readers import Tree, count, read
from tests.harness import ANSWERS_FILE, Answers, Problem, Projects
from tests.harness.rules import rules_of
from tests.harness.space import Question, Value
from tests.harness.template import Source
from tests.options import EDGE_CASES, REPRESENTATIVES
from tests.rules import layout
from tests.rules.kubernetes.build import schema_errors
from tests.rules.syntax import syntax

# Answers with their own rules.
REGISTRIES = ("docker.io", "ghcr.io", "registry.gitlab.com")
CLOUDS = ("azure.workload.identity/", "iam.gke.io/")
AMAZON = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?/")


def _registry(image: str) -> str:
    host = image.partition("/")[0]
    return host if host in REGISTRIES else "Amazon's" if AMAZON.match(image) else "another"


def _written(image: str) -> list[str]:
    amazon = AMAZON.match(image)
    return [image, image.partition("/")[0], *([amazon[2]] if amazon else [])]


def _annotation(key: str, value: str) -> list[str]:
    return [
        f"{key}={value}",
        key,
        *(value.replace("ENVIRONMENT", name) for name in ("ENVIRONMENT", "staging", "production")),
    ]


# Forms of an answer in templates.
FORMS: dict[str, Callable[[Any], list[Any]]] = {
    "cloud_identity": lambda annotation: _annotation(*annotation.partition("=")[::2]),
    "cluster_domain": lambda domain: [domain, domain.replace(".", "-")],
    "gateway": lambda gateway: [gateway, *gateway.split("/")],
    "image_repository": _written,
    "log_collector": lambda collector: [collector, *collector.split(":")],
    "max_replicas": lambda replicas: [replicas, 2 * replicas + 2],
    "node_selector": lambda label: [label, *label.split("=")],
    "replicas": lambda replicas: [replicas, replicas + 1, 2 * replicas + 2, 3 * replicas, 6 * replicas + 2],
    "storage_size": lambda size: [size, *(f"{times * int(size[:-2])}{size[-2:]}" for times in (2, 4))],
}
# What follows from the number of pods, and often from other answers too: the rules of numbers, of quotas and of the
# release's timeout work it out again.
COMPUTED = {
    (name, path)
    for name in ("replicas", "max_replicas")
    for path in (
        "README.md", "common.yml", "prod.yml", "kubernetes.mk", "kubernetes/README.md", "kubernetes/base/config.env",
        "kubernetes/database/statefulset.yaml", "kubernetes/database/verify-cronjob.yaml",
        "kubernetes/namespace/resourcequota.yaml",
    )
}  # fmt: skip
# Answers of one kind make the same files but for the answer itself; otherwise, all that are not empty do.
KINDS: dict[str, Callable[[Any], object]] = {
    "cloud_identity": lambda annotation: next((key for key in CLOUDS if annotation.startswith(key)), annotation != ""),
    "image_repository": _registry,
    "replicas": lambda replicas: replicas > 1,
}


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
    context: Answers = field(repr=False)
    asked: Sequence[str] = field(repr=False)  # the questions that take any text or number


def plain(index: int, question: Question) -> Sequence[Value]:
    """Answers that occur nowhere else, some valid for every question: a new kind of rule requires another one."""
    if question.kind == "int":
        return [number + index for number in (31873, 32391, 251, 211, 61, 19)] + [1]
    words = [f"q{chr(97 + index)}zx{end}" for end in ("wv", "vw")]
    return [
        form.format(word, word[::-1], number=700 + 7 * index + step)
        for step, word in enumerate(words)
        for form in (
            "{}", "{}.example.com", "{}/{}", "{}={}", "{}:4{number}", "docker.io/{}/{}", "{}.example.com/{}",
            "qq-{}-1", "{number}Gi", "{0}.example.com/{1}={0}-ENVIRONMENT", "iam.gke.io/{}={}-ENVIRONMENT",
            "azure.workload.identity/{}={}-ENVIRONMENT", "",
            "ghcr.io/{}/{}", "registry.gitlab.com/{}/{}", "123456{number}789.dkr.ecr.{}-1.amazonaws.com/{}",
        )
    ]  # fmt: skip


class Fuzz:
    def __init__(self, projects: Projects) -> None:
        self.projects = projects
        self.space = projects.space
        self.questions = self.space.questions
        self.names = [name for name in self.space.asked if self._is_open(name)]
        self.rows = [
            Base(
                {name: value for name, value in answers.items() if self._decides(name, value)},
                context,
                [name for name in answers if self._is_open(name)],
            )
            for answers, context in self.space.pairs(edge_cases=False)
        ]
        self._contexts: dict[Any, Mapping[str, Any]] = {}
        self._bodies: dict[Any, bytes] = {}

    def _is_open(self, name: str) -> bool:
        return self.questions[name].kind in ("str", "int")

    def _decides(self, name: str, value: Value) -> bool:
        """Whether it is no default, or one that does not follow from the drawn answers."""
        is_default = value == self.space.representatives.get(name, [value])[0]
        return not self._is_open(name) or not is_default or name in ("project_name", "service_name")

    def ask(self, base: Base, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """What templates read then.

        Raises:
            RefusedError: a question refuses an answer.

        """
        key = (base, repr(sorted(values.items())))
        if key not in self._contexts:
            try:
                self._contexts[key] = self.projects.context({**base.answers, **values})
            except (ValueError, TypeError, ArithmeticError) as error:
                raise _refused(error) from error
        return self._contexts[key]

    def takes(self, base: Base, name: str, value: Any) -> bool:
        """Whether the question accepts the answer."""
        try:
            self.ask(base, {name: value})
        except RefusedError:
            return False
        return True

    @functools.cache  # noqa: B019
    def bases(self, name: str) -> list[Base]:
        """Few combinations that hold all lines, each beside all its neighbours, of the files that read the question."""
        found: dict[Base, set[tuple[str, str, str]]] = {}
        for base in self.rows:
            if name in base.asked:
                files = self.files(base.context, {name})
                found[base] = {
                    (path, *lines)
                    for path, content in files.items()
                    for lines in itertools.pairwise(["", *content.decode().split("\n")])
                }
        reading = {path for path, sources in self.projects.sources.items() if any(name in one.reads for one in sources)}
        rendered = {path for lines in found.values() for path, *_ in lines}
        assert rendered >= {path for path in reading if path[-1] != "/"}, f"{name} is never asked where a file reads it"
        return _cover(found)

    def crowded(self) -> list[Base]:
        """Few combinations in which any two of the questions that can be asked together are."""
        return _cover({base: set(itertools.combinations(base.asked, 2)) for base in self.rows})

    @functools.cache  # noqa: B019
    def plain(self, base: Base, name: str, kind: object) -> tuple[Any, Any]:
        """Two plain answers of the kind; one twice where there is no other."""
        values = plain(self.names.index(name), self.questions[name])
        accepted = (value for value in values if kind_of(name, value) == kind and self.takes(base, name, value))
        one = next(accepted, None)
        assert one is not None, f"{name} takes no answer that tests/e2e/fuzz/fuzz.py calls plain"
        return one, next(accepted, one)

    def beside(self, base: Base, drawn: Mapping[str, Any]) -> Plain:
        """Plain answers of the same kinds."""
        return Plain(tuple((name, *self.plain(base, name, kind_of(name, value))) for name, value in drawn.items()))

    @functools.cache  # noqa: B019
    def longest(self, base: Base, name: str) -> Any:
        """The longest known valid answer, with its first word extended to the limit of the rule."""
        question = self.questions[name]
        known = [value for value in seeds(question, base.context[name]) if self.takes(base, name, value)]
        if question.kind == "int":
            return max(known)
        legal = max(known, key=len)
        least, most = 0, 300
        while least < most:
            middle = (least + most + 1) // 2
            least, most = (middle, most) if self.takes(base, name, "x" * middle + legal) else (least, middle - 1)
        return "x" * least + legal

    def check(self, base: Base, values: Mapping[str, Any]) -> None:
        """Put these answers into the template, and read them back from every file.

        Raises:
            RefusedError: a question refuses an answer.
            ChangedError: something else is read back.

        """
        context = self.ask(base, values)
        drawn = {name: context[name] for name in values}
        known = self.beside(base, drawn)
        contexts = context, self.ask(base, known.one), self.ask(base, known.other)
        changed = {name for name in self.questions if any(one[name] != context[name] for one in contexts)} | {*values}
        files, before, beside = (self.files(one, changed) for one in contexts)
        if not files.keys() == before.keys() == beside.keys():
            raise ChangedError(f"{drawn!r} makes other files: {sorted(files.keys() ^ before.keys())}")
        for path, content in files.items():
            known.check_places(path, before[path], beside[path])
            if found := findings(path, content) - findings(path, before[path]):
                landing = known.landing(before[path].decode(), drawn)
                reported = (" at ".join(filter(None, (str(finding), finding.where))) for finding in sorted(found))
                raise ChangedError(f"{landing!r}: {'; '.join(reported)}")
            known.compare(path, drawn, read(path, before[path]), read(path, beside[path]), read(path, content))

    def files(self, context: Mapping[str, Any], names: set[str] | None = None) -> dict[str, bytes]:
        """The files that read any of these, or all; that of the answers, where Copier has given them."""
        found = {}
        for source in self.projects.template.sources:
            reads = "_copier_answers" in context if source.is_answers_file else names is None or source.reads & names
            if reads and source.content is not None and (path := self.projects.path(source, context)):
                found[path] = self._body(source, context)
        return found

    def _body(self, source: Source, context: Mapping[str, Any]) -> bytes:
        key = (source, repr([(name, context[name]) for name in sorted(source.reads)]))
        if key not in self._bodies:
            self._bodies[key] = self.projects.body(source, context)
        return self._bodies[key]


def _cover(found: Mapping[Base, set[Any]]) -> list[Base]:
    """Few combinations that hold together all that any of them holds."""
    wanted = set().union(*found.values())
    chosen: list[Base] = []
    while wanted:
        chosen.append(max(found, key=lambda base: len(found[base] & wanted)))
        wanted -= found[chosen[-1]]
    return chosen


def kind_of(name: str, value: Any) -> object:
    """What decides, of an answer, which files there are."""
    return KINDS[name](value) if name in KINDS else value != ""


@functools.lru_cache(maxsize=2000)
def findings(path: str, content: bytes) -> frozenset[Problem]:
    """Problems of a single file."""
    rules = [rule for rule in rules_of(layout) if rule is not layout.nothing_of_the_template_is_left]
    if path != ANSWERS_FILE:  # only read by Copier
        rules.append(syntax)
    found = [finding for rule in rules for finding in rule.check({path: content})]
    if not found:
        try:
            read(path, content)
        except (ValueError, SyntaxError, yaml.YAMLError) as error:
            found = [Problem(path, f"is unreadable: {error}")]
    if not found and re.fullmatch(r"kubernetes/.*\.yaml", path) and b"\nmetadata:" in content:
        found = [Problem(path, error.message, error.pointer) for error in schema_errors(content)]
    return frozenset(found)


def _refused(error: Exception) -> RefusedError:
    reported = re.match(r"Validation error for question '(\w+)': (.*)", str(error), re.DOTALL)
    return RefusedError(reported[1], reported[2]) if reported else RefusedError("", f"{type(error).__name__}: {error}")


@dataclass(frozen=True)
class Plain:
    """Two plain answers to each of some questions."""

    answers: tuple[tuple[str, Any, Any], ...]

    @functools.cached_property
    def one(self) -> dict[str, Any]:
        return {name: one for name, one, _ in self.answers}

    @functools.cached_property
    def other(self) -> dict[str, Any]:
        return {name: other for name, _, other in self.answers}

    def replace(self, value: Any, drawn: Mapping[str, Any]) -> Any:
        """What is read for the first answers, with these put for them."""
        forms = {
            str(before): str(after)
            for name, plain in self.one.items()
            for before, after in zip(forms_of(name, plain), forms_of(name, drawn[name]), strict=True)
            if before != ""
        }
        replaced = pattern(forms).sub(lambda found: forms[found[0]], str(value))
        return int(replaced) if isinstance(value, int) and re.fullmatch(r"-?[0-9]+", replaced) else replaced

    def landing(self, text: str, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the drawn answers for which a plain one stands in the text; all, if none does."""
        landing = {
            name: drawn[name]
            for name, plain in self.one.items()
            if any(str(form) in text for form in forms_of(name, plain) if form != "")
        }
        return landing or dict(drawn)

    @functools.cache  # noqa: B019
    def check_places(self, path: str, one: bytes, other: bytes) -> None:
        """Refuse a place that no reader parses, such as a comment, and an unlisted form."""
        trees = read(path, one), read(path, other)
        # An answer of which there is no other, such as one replica, may stand anywhere else too.
        reported = {name: value for name, value in self.one.items() if value != self.other[name]}
        forms = pattern({str(form): "" for name, value in reported.items() for form in forms_of(name, value) if form})
        if one != other and len(forms.findall(one.decode())) > count(trees[0], forms):
            landing = self.landing(one.decode(), self.one)
            raise ChangedError(f"{landing!r} lands in {path} where its reader does not look, such as a comment")
        self.compare(path, self.other, *trees, trees[1])

    def compare(self, path: str, drawn: Mapping[str, Any], one: Tree, other: Tree, found: Tree) -> None:
        """Whether what is found is what the plain answers make, with the drawn ones put for them."""
        is_computed = any((name, path) in COMPUTED for name in self.one)
        if one == other:
            expected = one
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            if isinstance(found, list) and len(found) == len(one):
                for parts in zip(one, other, found, strict=True):
                    self.compare(path, drawn, *parts)
                return
            expected = one
        elif is_computed and self.replace(one, self.other) != other:
            return
        else:
            expected = self.replace(one, drawn)
        # Plain answers can have one result, as for the most pods that a database can serve.
        if is_computed and one == other and re.sub(r"\d+", "0", str(found)) == re.sub(r"\d+", "0", str(one)):
            return
        if (found, type(found)) != (expected, type(expected)):
            landing = self.landing(str(one), drawn)
            raise ChangedError(f"{landing!r} reads back from {path} as {found!r}, not as {expected!r}")


def forms_of(name: str, value: Any) -> list[Any]:
    return FORMS[name](value) if name in FORMS else [value]


def pattern(forms: Mapping[str, str]) -> re.Pattern[str]:
    """The longest first; a number only where it is a whole one."""
    longest = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\d){form}(?!\d)" if form.isdigit() else re.escape(form) for form in longest))


def seeds(question: Question, default: Any) -> list[Any]:
    """Legal answers near which to look for others."""
    known = [*REPRESENTATIVES.get(question.name, []), *EDGE_CASES.get(question.name, []), default]
    return list(dict.fromkeys(value for value in known if type(value).__name__ == question.kind))
