"""Lists every text that a user sees, before and after: `make texts`."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from difflib import SequenceMatcher
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path

import yaml

from tests.harness.template import copy_working_tree
from tests.tools.diff import unpack

Texts = dict[str, list[str]]  # of each question, target or file
_LITERAL = r"""(["'`])((?:\\.|(?!\1).)*)\1"""
# Several words, but no query and no route.
_IN_WORDS = re.compile(r"^(?!(DELETE|GET|INSERT|POST|SELECT) ).*[A-Za-z]{2}\S* \S*[a-z]{2}")


def prompts(folder: Path) -> Iterator[tuple[str, str]]:
    """The label, help, choices and rules of each question, and the messages around them."""
    for name, value in yaml.safe_load((folder / "copier.yml").read_text(encoding="utf-8")).items():
        if name.startswith("_message"):
            yield name, value
        elif isinstance(value, dict) and "help" in value:
            yield from ((name, line) for line in value["help"].splitlines())
            yield from ((name, choice) for choice in value.get("choices", ()))
            yield from ((name, rule) for rule in re.findall(r"(?:must|there is) [^{%]*.*", value.get("validator", "")))
    for path in (folder / "extensions").glob("*.jinja"):
        if path.name in {"after_copy.jinja", "rules.jinja"}:
            code = re.sub(r"(?s){#.*?#}", "", path.read_text(encoding="utf-8"))
            yield from ((path.name, line) for line in re.sub(r"{%.*?%}", "", code).splitlines() if line.strip())


def targets(_: str, text: str) -> Iterator[tuple[str, str]]:
    """The help of each target."""
    yield from re.findall(r"(?m)^([a-z-]+):.*?## (.*)", text)


def messages(path: str, text: str) -> Iterator[tuple[str, str]]:
    """What commands of a shell print or ask."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if re.search(r"\b(ask|echo|fail|failed|printf|read)\b", line) and not line.lstrip().startswith("#"):
            yield from ((path, words) for _, words in re.findall(_LITERAL, line) if _IN_WORDS.search(words))


def headings(path: str, text: str) -> Iterator[tuple[str, str]]:
    """The headings of a document, outside of its blocks of code."""
    yield from ((path, line) for line in re.findall(r"(?m)^#+ .*", re.sub(r"(?ms)^```.*?^```", "", text)))


def fields(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Names, titles, summaries and descriptions in YAML and JSON, and the names of jobs."""
    yield from (
        (path, value) for value in re.findall(r'(?m)^[\s-]*"?(?:description|name|summary|title)"?: (.* .*)', text)
    )
    if "ci" in path or "workflows" in path:
        jobs = r"(?m)^(?:  )?([a-z][a-z-]*):\n\s+(?:executor|extends|name|needs|parameters|stage):"
        yield from ((path, f"job {name}") for name in re.findall(jobs, text))


def literals(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Strings of several words in source code: log messages, errors, help, the API's texts."""
    code = re.sub(r'(?s:""".*?""")|(?m:^\s*(?:#|//|\*|/\*\*).*|\s//\s.*)', "", text)
    yield from ((path, words) for _, words in re.findall(_LITERAL, code) if _IN_WORDS.search(words))


KINDS = {
    "Targets": (("*.mk.jinja", "*Makefile*"), targets),
    "Messages of targets and scripts": (("*.mk.jinja", "*Makefile*", "*.sh", "*.sh.jinja", "*.yml.jinja"), messages),
    "Headings": (("*.md", "*.md.jinja"), headings),
    "CI, API document, alerts": (("*.yml.jinja", "*rule.yaml.jinja", "*.json.jinja"), fields),
    "Programs": (("*.py", "*.py.jinja", "*.ts", "*.ts.jinja", "*.go", "*.go.jinja"), literals),
}


def texts(folder: Path) -> dict[str, Texts]:
    """Every text of the template in a folder, by its kind and where it is."""
    found: dict[str, Texts] = {kind: {} for kind in ("Prompts", *KINDS)}
    for place, text in prompts(folder):
        found["Prompts"].setdefault(place, []).append(text)
    for path in sorted(path for path in (folder / "template").rglob("*") if path.is_file()):
        name = str(path.relative_to(folder / "template"))
        for kind, (patterns, extract) in KINDS.items():
            if "test" not in name and any(fnmatch(name, pattern) for pattern in patterns):
                for place, text in extract(name, path.read_text(encoding="utf-8")):
                    found[kind].setdefault(place, []).append(text)
    return found


def pairs(before: Texts, after: Texts) -> Iterator[tuple[str, str, str]]:
    """The place and the changed texts, those in the same order side by side."""
    for place in dict.fromkeys([*before, *after]):
        old, new = before.get(place, []), after.get(place, [])
        for action, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if action != "equal":
                for one, other in zip_longest(old[start:end], new[new_start:new_end], fillvalue=""):
                    yield place, one, other


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def main(commit: str = "") -> None:
    with tempfile.TemporaryDirectory() as scratch:
        after = texts(copy_working_tree(Path(scratch) / "after"))
        before = texts(unpack(commit, Path(scratch) / "before")) if commit else {}
    for kind, found in after.items():
        print(f"\n## {kind}\n")
        print(_row("place", commit, "now") if commit else _row("place", "text"))
        print(_row("---", "---", "---") if commit else _row("---", "---"))
        if commit:
            rows = [_row(*row) for row in pairs(before[kind], found)]
        else:
            rows = [_row(place, text) for place, listed in found.items() for text in listed]
        print("\n".join(dict.fromkeys(rows)))


if __name__ == "__main__":
    main(*sys.argv[1:])
