"""Renovate's configuration: it fits the published schema, and finds every image that a project pins."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.harness import Fact, Problem, add, change, file_rule, load, rejects, replace, rule
from tests.rules.json_schema import schema, schema_errors
from tests.rules.presence import Need, need_rule

PATH = "renovate.json"
# The files that Renovate looks into by default: https://docs.renovatebot.com/modules/manager/
_BY_DEFAULT = re.compile(
    r"(.*/)?Dockerfile|(.*/)?(docker-)?compose[^/]*\.ya?ml|\.circleci/.+\.ya?ml|\.github/workflows/.+\.ya?ml"
    r"|\.gitlab-ci\.yml"
)
_IMAGE = re.compile(r"(?<![\w./-])((?:[a-z0-9-]+\.)+[a-z]+(?::\d+)?/[\w./-]+):(v?\d[\w.-]*)")


@functools.cache
def _options() -> set[str]:
    """Every name in the schema, at any place."""
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


def _parts(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The configuration, and the objects in it, each with its pointer."""
    yield "", config
    for key, value in config.items():
        if isinstance(value, dict):
            yield key, value
        elif isinstance(value, list):
            yield from ((f"{key}.{index}", item) for index, item in enumerate(value) if isinstance(item, dict))


def _matches(pattern: str, path: str) -> bool:
    """A regular expression between slashes: https://docs.renovatebot.com/string-pattern-matching/."""
    return bool(re.search(pattern[1:-1], path))


@rejects("a switch that is none", PATH, change("copier.enabled", "no"))
@file_rule(PATH)
def the_configuration_fits_the_schema(path: str, content: bytes) -> Iterator[Problem]:
    """The configuration fits the JSON schema that Renovate publishes."""
    for where, message in schema_errors("renovate", json.loads(content)):
        yield Problem(path, message, where)


@rejects("an unknown key", PATH, add("extend", ["config:best-practices"]))
@rejects("an unknown key of a manager", PATH, add("customManagers.0.datasourceTemplates", "docker"))
@file_rule(PATH)
def every_key_is_an_option(path: str, content: bytes) -> Iterator[Problem]:
    """Every key is an option of Renovate: the schema allows any other, and Renovate only warns of one."""
    for where, part in _parts(json.loads(content)):
        for key in part.keys() - _options() - {"$schema"}:
            yield Problem(path, f"{key} is no option of Renovate", f"{where}.{key}".lstrip("."))


@rejects("a pattern that is the name of no file", PATH, add("docker-compose.managerFilePatterns", "/^compose/"))
@need_rule(PATH)
def every_pattern_matches_a_file(path: str, content: bytes) -> Iterator[Need]:
    """Each pattern of managerFilePatterns is that of a file which the project has."""
    for where, part in _parts(json.loads(content)):
        for pattern in part.get("managerFilePatterns", []):
            yield Need(
                pattern[1:-1], Problem(path, f"{pattern} is the name of no file", f"{where}.managerFilePatterns")
            )


def _lines_with_images(content: bytes) -> tuple[str, ...] | None:
    return tuple(line for line in content.decode().split("\n") if _IMAGE.search(line)) or None


@rejects("compose files that are not looked into", PATH, replace("common|docker-compose|prod", "prod"))
@rejects("manifests left out", PATH, change("kubernetes.managerFilePatterns", [r"/^kubernetes/base/.+\.yaml$/"]))
@rejects("the image of a tool in a file that is not looked into", PATH, replace("scripts/.+", "scripts/c.+"))
@rule(
    config=Fact(PATH, load),
    **{name: Fact(f"*.{name}", _lines_with_images) for name in ("sh", "mk", "yml", "yaml")},
    makefile=Fact("Makefile", _lines_with_images),
)
def every_image_is_found(
    config: dict[str, Any], makefile: tuple[str, ...] | None, **others: Mapping[str, tuple[str, ...]]
) -> Iterator[Problem]:
    """Renovate finds each image with a version, in the files it looks into by default or because of a pattern."""
    files = {path: lines for found in others.values() for path, lines in found.items()}
    for path, lines in {**files, "Makefile": makefile or ()}.items():
        text = "\n".join(lines)
        for image, version in sorted(set(_IMAGE.findall(text)) - _found(config, path, text)):
            yield Problem(path, f"Renovate does not find {image}:{version}", f"{image}:{version}")


def _found(config: dict[str, Any], path: str, text: str) -> set[tuple[str, str]]:
    """The images that Renovate finds in a file."""
    found = set(_IMAGE.findall(text)) if _BY_DEFAULT.fullmatch(path) else set()
    for where, part in _parts(config):
        if any(_matches(pattern, path) for pattern in part.get("managerFilePatterns", [])):
            if where in ("docker-compose", "kubernetes"):
                found |= set(_IMAGE.findall(text))
            for pattern in part.get("matchStrings", []):
                matches = re.finditer(pattern.replace("(?<", "(?P<"), text)  # as RE2 writes names
                found |= {(match["depName"], match["currentValue"]) for match in matches}
    return found


def _images(content: bytes) -> tuple[str, ...] | None:
    return tuple(image for image, _ in _IMAGE.findall(content.decode())) or None


def _package_rules(config: dict[str, Any], name: str, update: str) -> list[dict[str, Any]]:
    """The package rules for this type of update of an image."""
    return [
        found
        for found in config["packageRules"]
        if found["matchUpdateTypes"] == [update]
        and any(_matches(pattern, name) for pattern in found["matchPackageNames"])
    ]


@rejects("major versions of databases", PATH, change("packageRules", []))
@rejects("a rule for other names", PATH, replace("mysql|postgres", "mysql|postgresql"))
@rule(config=Fact(PATH, load), image=Fact("kubernetes/database/statefulset.yaml", _images))
def no_major_version_of_a_database_is_proposed(
    config: dict[str, Any], image: tuple[str, ...] | None
) -> Iterator[Problem]:
    """Renovate proposes no major version of the database, which requires `make upgrade-database`."""
    for name in image or ():
        if all(found.get("enabled", True) for found in _package_rules(config, name, "major")):
            yield Problem(PATH, f"proposes major versions of {name}", "packageRules")


@rejects("minor versions", PATH, change("packageRules.1.dependencyDashboardApproval", False), project="gateway")
@rejects("minor versions of one database", PATH, replace("(mysql|redis)", "(redis)"), project="gitlab")
@rule(config=Fact(PATH, load), image=Fact("kubernetes/database/statefulset.yaml", _images))
def minor_versions_without_a_rollback_require_approval(
    config: dict[str, Any], image: tuple[str, ...] | None
) -> Iterator[Problem]:
    """Renovate proposes a minor version of MySQL and Redis on approval: there is no rollback over it."""
    for name in image or ():
        has_no_rollback = name.rpartition("/")[2] in ("mysql", "redis")
        rules = _package_rules(config, name, "minor")
        if has_no_rollback and not any(found.get("dependencyDashboardApproval") for found in rules):
            yield Problem(PATH, f"proposes minor versions of {name} without approval", "packageRules")
