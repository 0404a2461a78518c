"""The OpenAPI document that every language serves, but for what each names and describes in its own way."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

EXACT = 2**53
"""Greater integers mean another number to half of the languages that read JSON."""
WORDS = {"title", "description", "summary", "operationId", "tags", "format"}
"""What says nothing that a program could check."""


def expected(name: str, version: str, *, items: bool) -> Document:
    """The document of a service, in its normal form."""
    paths = {
        "/": {"get": answer("200", object_of(name=STRING, version=STRING))},
        "/livez": {"get": answer("200", object_of(status=STRING))},
        "/readyz": {"get": answer("200", object_of(status=STRING))},
    }
    if items:
        item = object_of(id={"type": "integer"}, name=STRING, created_at=STRING)
        page = object_of(
            items={"type": "array", "items": item}, next={"anyOf": [{"type": "integer"}, {"type": "null"}]}
        )
        rule = {"minLength": 1, "maxLength": 200, "pattern": r"^[^\x00]*[^\x00\p{White_Space}][^\x00]*$"}
        new = object_of(name=STRING | rule) | {"additionalProperties": False}
        after = {"name": "after", "in": "query", "schema": ID}
        limit = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
        one = {"parameters": [{"name": "id", "in": "path", "required": True, "schema": ID}]}
        paths["/items"] = {
            "get": answer("200", page) | {"parameters": [after, {"name": "limit", "in": "query", "schema": limit}]},
            "post": answer("201", item) | {"requestBody": {"required": True} | content("application/json", new)},
        }
        paths["/items/{id}"] = {"get": answer("200", item) | one, "delete": answer("204", None) | one}
    return {"openapi": "3.1", "info": {"title": name, "version": version}, "paths": paths}


STRING = {"type": "string"}
ID = {"type": "integer", "minimum": 1}


def object_of(**properties: Document) -> Document:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def content(media_type: str, schema: Document) -> Document:
    """A body."""
    return {"content": {media_type: {"schema": schema}}}


def answer(status: str, schema: Document | None) -> Document:
    """The good answer of an operation, and the problem that any other is."""
    error = object_of(location=STRING, detail=STRING)
    problem = object_of(type=STRING, title=STRING, status={"type": "integer"}, detail=STRING)
    problem["properties"]["errors"] = {"type": "array", "items": error}
    good = {} if schema is None else content("application/json", schema)
    return {"responses": {status: good, "default": content("application/problem+json", problem)}}


def normal(document: Document) -> Document:
    """Its normal form: references resolved, words dropped, and each thing said in one of the ways to say it."""
    return {
        "openapi": document["openapi"].rpartition(".")[0],
        "info": {key: document["info"][key] for key in ("title", "version")},
        "paths": {path: _of(item, document) for path, item in document["paths"].items()},
    }


def _of(node: Any, document: Document) -> Any:
    if isinstance(node, list):
        return [_of(item, document) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _of(target, document)
    found = {
        key: {name: _of(schema, document) for name, schema in value.items()}
        if key == "properties"
        else _of(value, document)
        for key, value in node.items()
        if key not in WORDS and not (key == "maximum" and value > EXACT)
    }
    if isinstance(found.get("required"), list):
        found["required"] = sorted(found["required"])
    if isinstance(found.get("type"), list):
        return {"anyOf": [found | {"type": kind} for kind in found["type"]]}
    if "parameters" in found:
        found["parameters"] = sorted(map(_parameter, found["parameters"]), key=lambda parameter: str(parameter["name"]))
    return found


def _parameter(parameter: Document) -> Document:
    """A parameter of a query is never null, and not required unless it says so."""
    schema = parameter["schema"]
    if schema.get("anyOf", [])[1:] == [{"type": "null"}]:
        parameter["schema"] = schema["anyOf"][0]
    if not parameter.get("required"):
        parameter.pop("required", None)
    return parameter
