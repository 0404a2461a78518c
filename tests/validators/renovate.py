"""Renovate's configuration: its published schema, and that it finds what the project pins."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.rules.json_schema import schema, schema_errors
from tests.validators import Files, Finding

PATH = "renovate.json"
# What Renovate looks into unasked, of the files that name images: https://docs.renovatebot.com/modules/manager/
_UNASKED = re.compile(
    r"(.*/)?Dockerfile|(.*/)?(docker-)?compose[^/]*\.ya?ml|\.circleci/.+\.ya?ml|\.github/workflows/.+\.ya?ml|\.gitlab-ci\.yml"
)
_IMAGE = re.compile(r"(?<![\w./-])((?:[a-z0-9-]+\.)+[a-z]+/[\w./-]+):(v?\d[\w.-]*)")
_READ = re.compile(r".+\.(sh|mk|ya?ml)|Dockerfile|Makefile")


@functools.cache
def _options() -> set[str]:
    """Every name that the schema knows of, at any place."""
    found: set[str] = set()
    pending: list[Any] = [schema("renovate")]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            found |= part.get("properties", {}).keys()
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return found


def check(files: Files) -> Iterator[Finding]:
    config = json.loads(files[PATH])
    for where, message in schema_errors("renovate", config):
        yield Finding(PATH, where, "schema", message)
    # The schema allows any other key, and Renovate only warns of one.
    for where, part in _parts(config):
        for key in part.keys() - _options() - {"$schema"}:
            yield Finding(PATH, f"{where}.{key}", "keys", "is no option of Renovate")
    paths = [path for path in files if path[-1] != "/"]
    for where, part in _parts(config):
        for pattern in part.get("managerFilePatterns", []):
            if not any(_matches(pattern, path) for path in paths):
                yield Finding(PATH, where, "patterns", f"{pattern} is the name of no file")
    for path in paths:
        if _READ.fullmatch(path) and not _UNASKED.fullmatch(path):
            text = files[path].decode()
            for name, version in sorted(set(_IMAGE.findall(text)) - _found(config, path, text)):
                yield Finding(PATH, "", "images", f"does not find {name}:{version} in {path}")


def _parts(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", config
    for key, value in config.items():
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(item, dict):
                yield f"{key}.{index}", item


def _found(config: dict[str, Any], path: str, text: str) -> set[tuple[str, str]]:
    """The images of a file that is looked into because the configuration says so."""
    found: set[tuple[str, str]] = set()
    for where, part in _parts(config):
        if any(_matches(pattern, path) for pattern in part.get("managerFilePatterns", [])):
            if where.startswith(("docker-compose", "kubernetes")):
                found |= set(_IMAGE.findall(text))
            for pattern in part.get("matchStrings", []):
                matches = re.finditer(pattern.replace("(?<", "(?P<"), text)  # as RE2 writes names
                found |= {(match["depName"], match["currentValue"]) for match in matches}
    return found


def _matches(pattern: str, path: str) -> bool:
    """A regular expression between slashes: https://docs.renovatebot.com/string-pattern-matching/."""
    return bool(re.search(pattern[1:-1], path))
