"""YAML that every reader understands alike: no duplicate key, nothing that YAML 1.1 and 1.2 read differently."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.validators import Files, Finding

# Go's YAML readers, which kubectl, compose and the CI services use, disagree with each other on these.
_DISPUTED = re.compile(
    r"(?i:y|n|yes|no|on|off)|0o[0-7]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+|[-+]?[0-9]+\.?[0-9]*[eE][0-9]+"
)


class _Loader(yaml.CSafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# As in YAML 1.2: a workflow of GitHub has the key `on`. Who means a truth value by another word is refused below.
_TRUTH = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    letter: [resolver for resolver in resolvers if resolver[0] != _TRUTH]
    for letter, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TRUTH, re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))


class _StrictLoader(_Loader):
    def construct_scalar(self, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode) and not node.style and _DISPUTED.fullmatch(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} without quotes is not text to every reader", node.start_mark
            )
        return super().construct_scalar(node)


@functools.cache
def load(content: bytes) -> list[Any]:
    """The documents of a file."""
    return list(yaml.load_all(content, _Loader))


class _WorkflowLoader(_StrictLoader):
    """For GitHub, which has the key `on` at the top of every workflow, and reads it as text."""

    def construct_scalar(self, node: Any) -> Any:
        if node.value == "on" and node.start_mark.column == 0:
            return node.value
        return super().construct_scalar(node)


def check(files: Files) -> Iterator[Finding]:
    for path, content in files.items():
        try:
            list(yaml.load_all(content, _WorkflowLoader if path.startswith(".github/workflows/") else _StrictLoader))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            yield Finding(path, str(mark.line + 1) if mark else "1", "yaml", error.problem or str(error))
        except yaml.YAMLError as error:
            yield Finding(path, "1", "yaml", str(error))
