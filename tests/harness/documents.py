"""Documents of YAML and JSON: read, pointed into, and edited by pointer.

A pointer is keys joined by dots: `spec.containers.[name=app].image`, `metadata.labels.'app.kubernetes.io/name'`. Items
of a list are numbers or `[key=value]`; `#1` at the start is the second document of a file.
"""

from __future__ import annotations

import copy
import functools
import json
import operator
import re
from collections.abc import Callable
from typing import Any

import yaml

Edit = Callable[[str, bytes | None], bytes]
"""Makes of a path and its content, or None for no file, the content that it has instead."""


class NotFoundError(Exception):
    """What an edit or a pointer looks for is not there."""


class Loader(yaml.CSafeLoader):
    """Reads truth values as in YAML 1.2, where `on` is text, and refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_TRUTH = "tag:yaml.org,2002:bool"
Loader.yaml_implicit_resolvers = {
    letter: [resolver for resolver in resolvers if resolver[0] != _TRUTH]
    for letter, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_TRUTH, re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))


@functools.cache
def load_all(content: bytes) -> list[Any]:
    """The documents of a YAML or JSON file, which must not be changed."""
    return list(yaml.load_all(content, Loader))


def load(content: bytes) -> Any:
    """The first document of a file."""
    return load_all(content)[0]


class At:
    """Gives what a pointer leads to in a file's first document, or what a function makes of it; None if nothing."""

    def __init__(self, pointer: str, function: Callable[[Any], Any] = lambda found: found) -> None:
        self.where = pointer
        self.function = function

    def __call__(self, content: bytes) -> Any:
        """What is there."""
        try:
            found = _find(load_all(content), _parts(self.where))
        except NotFoundError:
            return None
        return None if found is None else self.function(found)


def change(pointer: str, value: Any) -> Edit:
    """Replace what a pointer leads to."""

    def edit(holder: Any, key: Any) -> None:
        holder[key]
        holder[key] = value

    return _edit(pointer, edit)


def add(pointer: str, value: Any) -> Edit:
    """Add a key, or an item to the list that the pointer leads to."""

    def edit(holder: Any, key: Any) -> None:
        present = holder.get(key) if isinstance(holder, dict) else holder[key]
        if isinstance(present, list):
            present.append(value)
        elif present is None:
            holder[key] = value
        else:
            raise NotFoundError(f"{pointer} is there already")

    return _edit(pointer, edit)


def remove(pointer: str) -> Edit:
    """Remove a key or an item."""

    return _edit(pointer, operator.delitem)


def replace(old: str, new: str) -> Edit:
    """Replace the first place of a text."""

    def edit(_: str, content: bytes | None) -> bytes:
        if content is None or old.encode() not in content:
            raise NotFoundError(f"the text {old!r}")
        return content.replace(old.encode(), new.encode(), 1)

    return edit


def write(content: str | bytes) -> Edit:
    """Make or overwrite the file."""
    return lambda _, __: content.encode() if isinstance(content, str) else content


def line_of(content: bytes, where: str) -> int:
    """The line of a number, a pointer, a resource as Kind/name, or a text; 1 if there is none."""
    if where.isdecimal():
        return int(where)
    text = content.decode(errors="replace")
    kind, _, name = where.partition("/")
    for document in re.finditer(r"(?:\A|^---\n)(?:(?!^---$).*\n?)*", text, re.MULTILINE) if name else ():
        start = re.search(rf"^kind: {re.escape(kind)}$", document[0], re.MULTILINE)
        if start and re.search(rf"^  name: \"?{re.escape(name)}\"?$", document[0], re.MULTILINE):
            return text.count("\n", 0, document.start() + start.start()) + 1
    if where and where in text:
        return text.count("\n", 0, text.index(where)) + 1
    try:
        return _line(content, _parts(where)) if where else 1
    except (yaml.YAMLError, NotFoundError):
        return 1


def _parts(pointer: str) -> list[str]:
    return [part.strip("'") for part in re.findall(r"'[^']+'|\[[^\]]+\]|[^.]+", pointer)]


def _split(documents: list[Any], parts: list[str]) -> tuple[Any, list[str]]:
    """The document that the first part chooses, and the other parts."""
    number = int(parts[0][1:]) if parts and re.fullmatch(r"#\d+", parts[0]) else None
    index = number or 0
    if index >= len(documents):
        raise NotFoundError(f"document {index}")
    return documents[index], parts[1:] if number is not None else parts


def _find(documents: list[Any], parts: list[str]) -> Any:
    found, parts = _split(documents, parts)
    for part in parts:
        key = _key(found, part)
        if isinstance(found, dict) and key not in found:
            raise NotFoundError(part)
        found = found[key]
    return found


def _key(holder: Any, part: str) -> Any:
    """The key or index that a part of a pointer means in a mapping or list."""
    if isinstance(holder, dict):
        return next((key for key in holder if str(key) == part), part)
    if not isinstance(holder, list):
        raise NotFoundError(part)
    match = re.fullmatch(r"\[(\w+)=(.*)\]", part)
    chosen = (
        (index for index, item in enumerate(holder) if isinstance(item, dict) and str(item.get(match[1])) == match[2])
        if match
        else (index for index, _ in enumerate(holder) if str(index) == part)
    )
    index = next(chosen, None)
    if index is None:
        raise NotFoundError(part)
    return index


def _line(content: bytes, parts: list[str]) -> int:
    """The line of the deepest node to which a pointer leads."""
    node, _ = _split(list(yaml.compose_all(content, Loader)), parts)
    found, parts = _split(load_all(content), parts)
    line = 0
    for part in parts:
        try:
            key = _key(found, part)
            found = found[key]
        except (NotFoundError, KeyError):
            break
        if isinstance(node, yaml.MappingNode):
            place, node = next(pair for pair in node.value if pair[0].value == part)
        else:
            place = node = node.value[key]
        line = place.start_mark.line
    return line + 1


def _edit(pointer: str, change: Callable[[Any, Any], None]) -> Edit:
    def edit(path: str, content: bytes | None) -> bytes:
        if content is None:
            raise NotFoundError(path)
        documents = copy.deepcopy(load_all(content))
        parts = _parts(pointer)
        try:
            holder = _find(documents, parts[:-1])
            change(holder, _key(holder, parts[-1]))
        except (NotFoundError, KeyError, IndexError, TypeError) as error:
            raise NotFoundError(pointer) from error
        if path.endswith(".json"):
            return json.dumps(documents[0], indent=2, ensure_ascii=False).encode() + b"\n"
        return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True).encode()

    return edit
