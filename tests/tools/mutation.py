"""Deletes every report of the validators, one at a time, to see that the tests of faults notice: `make mutants`.

A report is a place that yields, appends or lists a finding, or one item of several that a check goes through. What no
test notices is either a fault that the catalogue of tests/test_validators.py lacks, or a report that can never happen.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import pytest

from tests import verdicts
from tests.template import ROOT
from tests.validators import kustomize, yaml_files

TESTS = "tests/test_validators.py"
FOLDER = ROOT / "tests/validators"
_REPORTING = re.compile(r"Find|Found|Told|Iterator|dict\[str, Decimal\]")  # what functions give that look for faults
_NOTHING = ast.parse("if False:\n    yield").body[0]  # what yields stays a generator


class Mutant(NamedTuple):
    """A module without one of its reports."""

    path: Path
    lines: range  # of which one runs when the report can be made
    function: str  # that holds the report
    code: CodeType  # of this function without it
    shown: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.lines[0]}: {self.shown}"


Edit = tuple[Any, str, Any]  # a node, its field, and another value for that


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a module."""
    source = path.read_text()
    tree = ast.parse(source)
    for function, node in _functions(tree):
        for place, shown, edits in _reports(node):
            # The tree is changed, compiled and mended, for to copy it takes longer.
            before = [(changed, field, getattr(changed, field)) for changed, field, _ in edits]
            _apply(edits)
            codes = dict(_codes(compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)))
            _apply(before)
            lines = range(place.lineno, (place.end_lineno or place.lineno) + 1)
            yield Mutant(path, lines, function, codes[function], " ".join(ast.unparse(shown).split()))


def _apply(edits: Iterable[Edit]) -> None:
    for node, field, value in edits:
        setattr(node, field, value)


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods with their names; those inside of others are part of them."""
    for node in tree.body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef):
                yield f"{node.name}.{inner.name}" if isinstance(node, ast.ClassDef) else inner.name, inner


def _reports(function: ast.FunctionDef) -> Iterator[tuple[Any, ast.AST, list[Edit]]]:
    """For each: the statement or expression that makes it, what is deleted, and how."""
    inside: set[ast.AST] = set()  # of a report that is deleted as a whole
    for node in ast.walk(function):
        if node in inside:
            inside.update(ast.iter_child_nodes(node))
            continue
        if isinstance(node, ast.keyword) and node.arg == "env":  # of a program
            inside.add(node.value)
        for field, value in ast.iter_fields(node):
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                instead: ast.AST | None = None
                if isinstance(item, ast.Expr) and isinstance(item.value, (ast.Yield, ast.YieldFrom)):
                    instead = copy.deepcopy(_NOTHING)
                elif isinstance(item, ast.Expr) and ".append(" in ast.unparse(item) and _is_finding(item):
                    instead = ast.Pass()
                elif isinstance(item, (ast.ListComp, ast.GeneratorExp)) and _is_finding(item.elt, whole=True):
                    instead = ast.List([], ast.Load())
                if instead:
                    inside.add(item)
                    changed = [*value[:index], instead, *value[index + 1 :]] if isinstance(value, list) else instead
                    yield item, item, [(node, field, changed)]
        if not (function.returns and _REPORTING.search(ast.unparse(function.returns))):
            continue
        # The items of what is gone through, or looked at one by one.
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            yield from (
                (node.iter, item, [(node.iter, "elts", _without(node.iter.elts, item))]) for item in node.iter.elts
            )
        elif isinstance(node, ast.Dict) and len(node.keys) > 1 and None not in node.keys:
            for key, value in zip(node.keys, node.values, strict=True):
                without = [(node, "keys", _without(node.keys, key)), (node, "values", _without(node.values, value))]
                yield node, ast.Dict([key], [value]), without
        elif isinstance(node, ast.List):
            for item in node.elts:
                if _is_finding(item, whole=True):
                    yield item, item, [(node, "elts", _without(node.elts, item))]


def _without(items: Sequence[Any], item: Any) -> list[Any]:
    return [other for other in items if other is not item]


def _is_finding(node: ast.AST, *, whole: bool = False) -> bool:
    text = ast.unparse(node)
    return bool(re.match(r"Finding\(|finding\._replace\(", text) if whole else re.search(r"\b[Ff]inding\b", text))


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner.co_qualname, inner
            yield from _codes(inner)


class Mutate:
    """Lets each test run once as it is, and then in a process of its own with each mutant that it comes by."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.known = {str(path): list(mutants(path)) for path in sorted(FOLDER.glob("*.py"))}
        self.reached: set[Mutant] = set()
        self.killed: set[Mutant] = set()

    def pytest_collection_finish(self) -> None:
        """What programs say of the same input is the same for all mutants: it is kept, but for this run alone."""
        verdicts.FILE = self.scratch / "verdicts.sqlite"
        verdicts._enabled = True
        kustomize.build = _remembered(kustomize.build)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Any:
        """Run it with its mutants."""
        with _lines_run(set(self.known)) as run:
            result = yield
        wanted = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        near = [one for path, every in self.known.items() for one in every if not run[path].isdisjoint(one.lines)]
        self.reached.update(near)
        for number, mutant in enumerate(near):
            print(f"\r{pyfuncitem.name}: {number} of {len(near)}\033[K", end="", file=sys.stderr, flush=True)
            if mutant not in self.killed and _fails(mutant, lambda: pyfuncitem.obj(**wanted)):
                self.killed.add(mutant)
        return result

    def table(self) -> Iterator[str]:
        """What became of the mutants, by module; then those that live."""
        yield f"{'module':<24}{'reports':>9}{'killed':>9}{'survived':>10}"
        for path, every in self.known.items():
            if every:
                killed = len(self.killed & set(every))
                yield f"{Path(path).name:<24}{len(every):>9}{killed:>9}{len(every) - killed:>10}"
        for mutant in self.alive:
            yield f"{mutant}{'' if mutant in self.reached else '  (never runs)'}"

    @property
    def alive(self) -> list[Mutant]:
        """What no test notices."""
        return [one for every in self.known.values() for one in every if one not in self.killed]


def _remembered(build: Callable[..., Any]) -> Callable[..., Any]:
    def known(files: Any, scratch: Path, *folders: str) -> Any:
        def find(_: list[int]) -> Iterator[Any]:
            try:
                yield ["", build(files, scratch, *folders)]
            except ValueError as error:
                yield [str(error), []]

        ((error, built),) = verdicts.remember("whole", "", [[sorted(files.items()), folders]], find)
        if error:
            raise ValueError(error)
        return built

    return known


@contextlib.contextmanager
def _lines_run(paths: set[str]) -> Iterator[dict[str, set[int]]]:
    """The lines of these files that run meanwhile."""
    found: dict[str, set[int]] = {path: set() for path in paths}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        lines = found.get(frame.f_code.co_filename)
        if lines is None:
            return None
        if event == "line":
            lines.add(frame.f_lineno)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield found
    finally:
        sys.settrace(None)
        threading.settrace(None)


def _fails(mutant: Mutant, test: Callable[[], object]) -> bool:
    if _fails_in_child(mutant, test, fresh=False):
        return True
    # A report about what a program says is made where that is not yet known.
    return "remember(" in mutant.path.read_text() and _fails_in_child(mutant, test, fresh=True)


def _fails_in_child(mutant: Mutant, test: Callable[[], object], *, fresh: bool) -> bool:
    process = os.fork()
    if process:
        return os.waitpid(process, 0)[1] != 0
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        if fresh:
            verdicts.forget()
        _forget_findings()
        module = importlib.import_module(f"tests.validators.{mutant.path.stem.removesuffix('__init__')}".rstrip("."))
        _function(module, mutant.function).__code__ = mutant.code
        test()
    except BaseException:  # noqa: BLE001
        os._exit(1)
    os._exit(0)


def _forget_findings() -> None:
    """What was found before the mutation."""
    for module in [module for name, module in sys.modules.items() if name.startswith("tests.validators")]:
        for value in vars(module).values():
            if hasattr(value, "cache_clear") and value is not yaml_files.load:
                value.cache_clear()


def _function(owner: Any, name: str) -> FunctionType:
    for part in name.split("."):
        owner = vars(owner)[part]
    found = getattr(owner, "func", owner)  # of a cached property
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    assert isinstance(found, FunctionType)
    return found


def main() -> int:
    """Print what became of each mutant."""
    with tempfile.TemporaryDirectory() as scratch:
        mutate = Mutate(Path(scratch))
        status = pytest.main([TESTS, "--fresh", "--capture=no", *sys.argv[1:]], [mutate])
    print(*mutate.table(), sep="\n")
    return status or bool(mutate.alive)


if __name__ == "__main__":
    sys.exit(main())
