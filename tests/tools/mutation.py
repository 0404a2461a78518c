"""Deletes every report of the rules, one at a time, to see that a test of a fault fails: `make mutants`.

A report is a place that yields, appends or lists a problem, or one item of several that a rule goes through. Where no
test fails, either a fault is missing beside the rule, or the report can never be made.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import pytest

from tests.harness import ROOT, Rule, load_all

FOLDER = ROOT / "tests/rules"
_REPORTING = re.compile(r"Problem|Found|Iterator|dict\[str, Decimal\]")  # return types of functions that report faults
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
            # The tree is changed, compiled and restored: to copy it takes longer.
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
    for node in ast.walk(ast.Module(function.body, [])):  # not its decorators
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
                elif isinstance(item, ast.Expr) and ".append(" in ast.unparse(item) and _is_problem(item):
                    instead = ast.Pass()
                elif isinstance(item, (ast.ListComp, ast.GeneratorExp)) and _is_problem(item.elt, whole=True):
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
                if _is_problem(item, whole=True):
                    yield item, item, [(node, "elts", _without(node.elts, item))]


def _without(items: Sequence[Any], item: Any) -> list[Any]:
    return [other for other in items if other is not item]


def _is_problem(node: ast.AST, *, whole: bool = False) -> bool:
    text = ast.unparse(node)
    return bool(re.match(r"Problem\(|problem\._replace\(", text) if whole else re.search(r"\b[Pp]roblem\b", text))


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner.co_qualname, inner
            yield from _codes(inner)


class Mutate:
    """Runs each test unmodified, and then once in a separate process for each mutant in its executed lines."""

    def __init__(self) -> None:
        self.known = {str(path): list(mutants(path)) for path in sorted(FOLDER.rglob("*.py"))}
        self.reached: set[Mutant] = set()
        self.killed: set[Mutant] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Run the tests of faults alone: the others use threads, which a fork does not take along."""
        items[:] = [item for item in items if getattr(item, "obj", pytest).__name__ == "has_fault"]

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
        yield f"{'module':<32}{'reports':>9}{'killed':>9}{'survived':>10}"
        for path, every in self.known.items():
            if every:
                killed = len(self.killed & set(every))
                yield f"{Path(path).relative_to(FOLDER)!s:<32}{len(every):>9}{killed:>9}{len(every) - killed:>10}"
        for mutant in self.alive:
            yield f"{mutant}{'' if mutant in self.reached else '  (never runs)'}"

    @property
    def alive(self) -> list[Mutant]:
        """What no test notices."""
        return [one for every in self.known.values() for one in every if one not in self.killed]


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

    _forget()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield found
    finally:
        sys.settrace(None)
        threading.settrace(None)


def _fails(mutant: Mutant, test: Callable[[], object]) -> bool:
    process = os.fork()
    if process:
        return os.waitpid(process, 0)[1] != 0
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        _forget()
        module = importlib.import_module(str(mutant.path.relative_to(ROOT).with_suffix("")).replace("/", "."))
        _function(module, mutant.function).__code__ = mutant.code
        test()
    except BaseException:  # noqa: BLE001
        os._exit(1)
    os._exit(0)


def _forget() -> None:
    """Empty the caches of what rules have made of files."""
    for module in [module for name, module in sys.modules.items() if name.startswith("tests.rules")]:
        for value in vars(module).values():
            if hasattr(value, "cache_clear") and value is not load_all:
                value.cache_clear()


def _function(owner: Any, name: str) -> FunctionType:
    for part in name.split("."):
        owner = vars(owner)[part]
    found = owner.function if isinstance(owner, Rule) else getattr(owner, "func", owner)  # of a cached property
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    assert isinstance(found, FunctionType)
    return found


def main() -> int:
    """Print what became of each mutant."""
    mutate = Mutate()
    status = pytest.main([str(FOLDER), "--capture=no", *sys.argv[1:]], [mutate])
    print(*mutate.table(), sep="\n")
    return status or bool(mutate.alive)


if __name__ == "__main__":
    sys.exit(main())
