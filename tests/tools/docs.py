"""Generates tables and a picture of the README, an example project, and names for validators from the template."""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.harness import ROOT, Projects, Template
from tests.harness.template import choices, copy_working_tree
from tests.options import space_of
from tests.rules import compose, make
from tests.rules.kubernetes import environment
from tests.rules.syntax import is_readable
from tests.tools.diagram import draw
from tests.tools.release import KNOWN_QUESTIONS, Questions, questions, released, released_questions
from tests.tools.session import picture

README = "README.md"
EXAMPLE = "docs/example.md"
DIAGRAM = "docs/project.svg"
SESSION = "docs/session.svg"
SHOWN = ("Dockerfile", "prod.yml", "kubernetes/base/deployment.yaml")
SECTION = r"(?s)(<!-- {0}: .*? -->\n).*(<!-- end of {0} -->\n)"


def condition(item: dict[str, Any]) -> list[str]:
    """When a question is asked: the answers that are needed together, such as exposure=nodeport; none if it always is.

    Raises:
        NotImplementedError: the expression is of a kind that has no words in this module yet.

    """
    if "when" not in item:
        return []
    expression = ast.parse(item["when"].removeprefix("{{").removesuffix("}}").strip(), mode="eval").body
    parts = expression.values if isinstance(expression, ast.BoolOp) else [expression]
    return [" or ".join(_answers(part)) for part in parts]


def _answers(node: ast.expr) -> Iterator[str]:
    """The answers of which an expression requires one."""
    match node:
        case ast.Name(id=name):
            yield f"{name}=true"
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=name)):
            yield f"{name}=false"
        case ast.Compare(left=ast.Name(id=name), ops=[ast.Eq()], comparators=[ast.Constant(value=value)]):
            yield f"{name}={value!s}"
        case ast.Compare(left=ast.Name(id=name), ops=[ast.NotEq()], comparators=[ast.Constant(value=value)]):
            yield f"a {name} other than {value!s}"
        case ast.Compare(left=ast.Name(id=name), ops=[ast.In()], comparators=[ast.List(elts=values)]):
            yield from (f"{name}={ast.literal_eval(value)}" for value in values)
        case _:
            raise NotImplementedError(f"no words for the condition `{ast.unparse(node)}` in copier.yml")


def default(item: dict[str, Any], names: Iterable[str]) -> str:
    """A question's default, or from which others it follows."""
    written = str(item["default"])
    if offered := re.match(r"{{ \['(\w+)'", written):
        written = offered[1]
    expression = re.fullmatch("{{ ([^{}]*) }}", written)
    if not written:
        return "none"
    if not expression:
        written = re.sub(r"{{ (\w+) }}", r"<\1>", written)
        return f"`{written.lower() if item['type'] == 'bool' else written}`"
    if len(expression[1]) < 20:
        return f"`{expression[1]}`"
    read = [f"`{name}`" for name in names if re.search(rf"\b{name}\b", re.sub("'.*?'", "", written))]
    return f"from {' and '.join(read)}" if read else "the folder's name"


def table(asked: Questions) -> str:
    """Return the questions as a Markdown table."""
    lines = ["| question | meaning | values | default |", "|---|---|---|---|"]
    for name, item in asked.items():
        label, *details = item["help"].removesuffix("\n").replace(f" ({name})", "").split("\n")
        text = " ".join([label if label.endswith("?") else f"{label}.", *details])
        if needed := condition(item):
            text += f" Asked with {_as_code(_listed(needed))}."
        values = ", ".join(f"`{value}`" for value in choices(item.get("choices", [])))
        kind = {"str": "text", "int": "number", "bool": "`true`, `false`"}[item["type"]]
        lines.append(f"| `{name}` | {text} | {values or kind} | {default(item, asked)} |")
    return "\n".join(lines) + "\n"


def known_questions(content: bytes) -> str:
    """Return the Jinja tables of the names that may be answered, and of those that may not."""
    asked = questions(content)
    computed = [name for name in yaml.safe_load(content) if not name.startswith("_") and name not in asked]
    conditions = "".join(f"  '{name}': '{_listed(condition(item))}',\n" for name, item in asked.items())
    numbers = [name for name, item in asked.items() if item["type"] == "int"]
    retired = sorted({name for version in released() for name in released_questions(version)} - asked.keys())
    return f"""{{# Made by `make docs` from copier.yml and tests/releases: facts about all questions. #}}

{{# The answers on which each question depends. #}}
{{% set conditions = {{
{conditions}}} %}}

{{% set numbers = {numbers} %}}

{{# Computed from other answers. #}}
{{% set computed = {computed} %}}

{{# Retired questions: an update from an earlier version repeats their answers. #}}
{{% set retired = {retired} %}}
"""  # noqa: S608


def _as_code(answers: str) -> str:
    return re.sub(r"\w+=[\w-]+|\w+(?= other than)|(?<=other than )[\w-]+", r"`\g<0>`", answers)


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def proof(projects: Projects) -> str:
    """Return the rendered sets of files, their number, and their checks, as a Markdown table."""

    def sets(*patterns: str, without: tuple[str, ...] = ()) -> tuple[int, int]:
        return projects.sets(*patterns, without=without)[1].height, len(projects.sample(*patterns, without=without))

    together = sets(*environment.PATTERNS, without=(*environment.APART, *environment.UNBUILT))
    apart = [sets(pattern) for pattern in environment.APART]
    trees = [sum(numbers) for numbers in zip(together, *apart, strict=True)]
    rows = [
        ("combinations of answers", projects.space.product.height, "all", "rules across files, exactly"),
        (
            "rows with every pair of edge cases",
            projects.space.table.height - projects.space.product.height,
            "all",
            "the same",
        ),
        (
            "distinct files",
            sum(1 for _ in projects.each("*")),
            "all",
            "each format's parser, rules of layout, hadolint, shellcheck, the linters of CI",
        ),
        ("distinct trees of manifests", *trees, "Kustomize, kubeconform, rules of Kubernetes"),
        ("distinct sets of Makefiles", *sets(*make.every_target_can_be_made.patterns), "make, shellcheck"),
        ("distinct sets of Compose files", *sets(*compose.compose_reads_the_files.patterns), "Docker Compose"),
    ]
    lines = ["| what | how many | on each change | checked by |", "|---|---|---|---|"]
    lines += [
        f"| {what} | {number:,} | {sampled if isinstance(sampled, str) else f'{sampled:,}'} | {by} |"
        for what, number, sampled, by in rows
    ]
    return "\n".join(lines) + "\n"


def example(rendered: Mapping[str, bytes]) -> str:
    """Return a page with the files of a project with the default answers, and the text of some."""
    files = {path: rendered[path].decode() for path in sorted(rendered) if not path.endswith("/")}
    lines = "\n".join(f"{text.count(chr(10)):>6}  {path}" for path, text in files.items())
    page = f"""# An example

<!-- Made by `make docs`: a project with the default answers. -->

The {len(files)} files of the project `Shop` with all defaults (Python, PostgreSQL, CircleCI), and their lines:

```text
{lines}
```
"""
    for path in SHOWN:
        page += f"\n## `{path}`\n\n```{'dockerfile' if path == 'Dockerfile' else 'yaml'}\n{files[path]}```\n"
    return page


def generated(projects: Projects) -> dict[str, str]:
    """What each file has to be."""
    content = (ROOT / "copier.yml").read_bytes()
    asked = questions(content)
    readme = _with_section("questions", table(asked), (ROOT / README).read_text(encoding="utf-8"))
    shop = {path: file.content for path, file in projects.render({"project_name": "Shop"}).items()}
    return {
        README: _with_section("proof", proof(projects), readme),
        EXAMPLE: example(shop),
        DIAGRAM: draw(shop),
        KNOWN_QUESTIONS: known_questions(content),
    }


def _with_section(name: str, body: str, text: str) -> str:
    """The text with another body between the two markers of a section.

    Raises:
        ValueError: the markers are not there.

    """
    changed, count = re.subn(SECTION.format(name), lambda match: f"{match[1]}\n{body}\n{match[2]}", text)
    if count != 1:
        raise ValueError(f"{README} has no section {name!r} between two markers")
    return changed


def main() -> None:
    """Write the tables of validators first: the option space follows from them."""
    (ROOT / KNOWN_QUESTIONS).write_text(known_questions((ROOT / "copier.yml").read_bytes()), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        template = Template(copy_working_tree(Path(folder), company=""))
        projects = Projects(template, space_of(template), is_readable)
        for path, text in (generated(projects) | {SESSION: picture(projects.space)}).items():
            (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
