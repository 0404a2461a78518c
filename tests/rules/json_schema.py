"""The schemas that the providers of CI and Renovate publish, in the copies that check-jsonschema brings along."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import jsonschema_rs


@functools.cache
def schema(name: str) -> dict[str, Any]:
    """A schema by the name of its file."""
    text = resources.files("check_jsonschema.builtin_schemas").joinpath(f"vendor/{name}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


@functools.cache
def _validator(name: str) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(schema(name))


def schema_errors(name: str, document: Any) -> Iterator[tuple[str, str]]:
    """Where a document does not fit a schema, as a pointer, and why."""
    for error in _validator(name).iter_errors(document):
        yield ".".join(map(str, error.instance_path)), error.message
