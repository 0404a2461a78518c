"""Jinja extensions for the tests alone: which branches and names rendering takes, and from which line a text comes.

The template itself names none of them, so that nobody has to trust it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.idtracking import VAR_LOAD_RESOLVE
from jinja2.visitor import NodeTransformer


class Branch(NamedTuple):
    """One way that a template can go, and what to say when it never does."""

    file: str
    line: int
    kind: str  # the tag, or "inline if"
    names: tuple[str, ...]  # which the condition reads
    condition: str  # tells apart two of one line
    arm: str

    def __str__(self) -> str:
        on = f" on {', '.join(self.names)}" if self.names else ""
        return f"{self.file}:{self.line}: `{self.kind}`{on} {self.arm}"


class Seen(NamedTuple):
    """What some renderings did."""

    taken: set[int]
    names: set[str]  # of the context, that were really read


class Coverage(Extension):
    """Records the branches that are taken, and the names that are read, in all that its environment compiles."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.code_generator_class = _Recording
        self.branches: dict[Branch, int] = {}
        self.seen = Seen(set(), set())

    def watch(self) -> Seen:
        """The records since the last call."""
        self.seen = Seen(set(), set())
        return self.seen

    def place(self, branch: Branch) -> int:
        """Return the number of a branch; one that several parts of a template hold is the same."""
        return self.branches.setdefault(branch, len(self.branches))

    def decide(self, true: int, false: int, value: Any) -> Any:
        """Record which way a condition goes."""
        self.seen.taken.add(true if value else false)
        return value

    def take(self, branch: int) -> None:
        """Record that a body runs."""
        self.seen.taken.add(branch)

    def read(self, name: str, value: Any) -> Any:
        """Record that a name is read."""
        self.seen.names.add(name)
        return value


class _Recording(CodeGenerator):
    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        coverage = cast(Coverage, self.environment.extensions[Coverage.identifier])
        super().visit_Template(_Branches(coverage, self.name or "a text").visit(node), frame)

    def visit_Name(self, node: nodes.Name, frame: Frame) -> None:
        load = frame.symbols.find_load(frame.symbols.ref(node.name)) if node.ctx == "load" else None
        of_context = load is not None and load[0] == VAR_LOAD_RESOLVE
        if of_context:
            self.write(f"environment.extensions[{Coverage.identifier!r}].read({node.name!r}, ")
        super().visit_Name(node, frame)
        if of_context:
            self.write(")")


_CONDITIONS = {nodes.If: "if", nodes.CondExpr: "inline if", nodes.For: "for … if"}
_BODIES: dict[type[nodes.Node], str] = {
    nodes.Macro: "macro", nodes.CallBlock: "call", nodes.FilterBlock: "filter", nodes.AssignBlock: "set",
    nodes.Block: "block",
}  # fmt: skip


class _Branches(NodeTransformer):
    """Puts a call of the extension around every condition, and into every body that may run or not."""

    def __init__(self, coverage: Coverage, file: str) -> None:
        self.coverage = coverage
        self.file = file

    def get_visitor(self, node: nodes.Node) -> Any:
        """What to do with a condition, or with a body that may run or not."""
        if isinstance(node, (nodes.If, nodes.CondExpr)):
            return self._watch
        return self._body if type(node) in _BODIES else super().get_visitor(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        watched = self._watch(node) if node.test else self.generic_visit(node)
        self._enter(node, "for", node.body, "never runs")
        if node.else_:
            self._enter(node, "for", node.else_, "never runs its else")
        return watched

    def _watch(self, node: nodes.If | nodes.CondExpr | nodes.For) -> nodes.Node:
        test = cast(nodes.Expr, node.test)
        condition = (repr(test), tuple(dict.fromkeys(name.name for name in _names(test))))
        self.generic_visit(node)
        arms = [self._place(node, _CONDITIONS[type(node)], f"is never {arm}", *condition) for arm in ("true", "false")]
        node.test = self._call("decide", node, *arms, cast(nodes.Expr, node.test))
        return node

    def _body(self, node: nodes.Node) -> nodes.Node:
        self.generic_visit(node)
        kind = f"macro {node.name}" if isinstance(node, nodes.Macro) else _BODIES[type(node)]
        self._enter(node, kind, cast(Any, node).body, "never runs")
        return node

    def _enter(self, node: nodes.Node, kind: str, body: list[nodes.Node], arm: str) -> None:
        call = self._call("take", node, self._place(node, kind, arm))
        body.insert(0, nodes.ExprStmt(call, lineno=node.lineno))

    def _place(
        self, node: nodes.Node, kind: str, arm: str, condition: str = "", names: tuple[str, ...] = ()
    ) -> nodes.Const:
        return nodes.Const(self.coverage.place(Branch(self.file, node.lineno, kind, names, condition, arm)))

    def _call(self, method: str, node: nodes.Node, *arguments: nodes.Expr) -> nodes.Call:
        return nodes.Call(self.coverage.attr(method), list(arguments), [], None, None, lineno=node.lineno)


def _names(test: nodes.Node) -> Iterator[nodes.Name]:
    return iter([test] if isinstance(test, nodes.Name) else test.find_all(nodes.Name))


class Line(str):
    """A stretch of what is rendered, with the line of the template from which it comes."""

    __slots__ = ("file", "is_text", "line")

    file: str
    line: int
    is_text: bool  # as it stands in the template, so that lines count on

    def __str__(self) -> str:
        return self


class Origin(Extension):
    """Renders stretches with their line: see `Line`. Those of a macro are those of its call."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.code_generator_class = _Telling

    def at(self, file: str, line: int, text: Any, *, is_text: bool = False) -> Line:
        """Return the text with its place."""
        stretch = Line(text)
        stretch.file, stretch.line, stretch.is_text = file, line, is_text
        return stretch


class _Telling(CodeGenerator):
    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:
        origin = cast(Origin, self.environment.extensions[Origin.identifier])
        for index, item in enumerate(node.nodes):
            is_text = isinstance(item, nodes.TemplateData)
            text = nodes.Const(item.data) if isinstance(item, nodes.TemplateData) else item
            node.nodes[index] = nodes.Call(
                origin.attr("at"),
                [nodes.Const(self.name), nodes.Const(item.lineno), text],
                [nodes.Keyword("is_text", nodes.Const(is_text))],
                None,
                None,
                lineno=item.lineno,
            )
        super().visit_Output(node, frame)
