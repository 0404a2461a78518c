"""What a person typed stands unchanged in every format in which it lands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.render import ANSWERS_FILE, Renderer
from tests.space import AWKWARD
from tests.validators import yaml_files

TEXTS = [str(text) for text in AWKWARD["description"]]


def plain_text(markdown: str) -> list[str]:
    """The text of each heading and paragraph, as a reader sees it, if it is nothing but text."""
    found = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown):
        if token.type == "inline":
            children = token.children or []
            only_text = all(child.type in ("text", "text_special") for child in children)
            found.append(
                "".join(child.content for child in children) if only_text else f"not only text: {token.content}"
            )
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_reads_back_from_readme_pyproject_and_answers(renderer: Renderer, text: str) -> None:
    title = text[:60].strip()
    project = renderer.project({"project_name": title, "service_name": "shop", "description": text})
    seen = plain_text(project["README.md"].content.decode())
    assert seen[:2] == [title, text]
    assert tomllib.loads(project["pyproject.toml"].content.decode())["project"]["description"] == text
    stored = yaml.safe_load(project[ANSWERS_FILE].content)
    assert (stored["project_name"], stored["description"]) == (title, text)


def test_a_text_changes_only_where_it_stands(renderer: Renderer) -> None:
    """The lines around it, and every other file, are those of a plain text."""
    plain = renderer.project({"project_name": "Shop", "service_name": "shop", "description": "PLAIN"})
    for text in TEXTS:
        project = renderer.project({"project_name": "Shop", "service_name": "shop", "description": text})
        for path, file in project.items():
            before, after = plain[path].content.split(b"\n"), file.content.split(b"\n")
            assert len(before) == len(after), path
            assert {line for line in before if line not in after} <= {line for line in before if b"PLAIN" in line}, path


def test_names_and_numbers_read_back_from_every_file(renderer: Renderer) -> None:
    """Awkward but legal names are text, and numbers are numbers, to whoever reads the file."""
    for rendered in renderer.every("*.yml", "*.yaml", "*.toml"):
        answers, files = rendered.context, rendered.files
        if "kubernetes/base/deployment.yaml" in files:
            assert read(files, "kubernetes/base/deployment.yaml", "metadata", "name") == answers["service_name"]
            assert read(files, "docker-compose.yml", "name") == f"{answers['service_name']}-dev"
            assert read(files, "prod.yml", "name") == answers["service_name"]
            staging = read(files, "kubernetes/overlays/staging/kustomization.yaml", "namespace")
            assert staging == f"{answers['namespace']}-staging"
            assert (
                read(files, "kubernetes/base/horizontalpodautoscaler.yaml", "spec", "minReplicas")
                == answers["replicas"]
            )
            image = str(
                read(files, "kubernetes/base/deployment.yaml", "spec", "template", "spec", "containers", 0, "image")
            )
            assert image.rpartition(":")[0] == answers["image_repository"]
            assert str(read(files, "docker-compose.yml", "services", "app", "ports", 0)).endswith(f":{answers['port']}")
        if "kubernetes/base/ingress.yaml" in files:
            assert read(files, "kubernetes/base/ingress.yaml", "spec", "rules", 0, "host") == answers["ingress_host"]
        if "kubernetes/base/httproute.yaml" in files:
            parent = read(files, "kubernetes/base/httproute.yaml", "spec", "parentRefs", 0)
            assert f"{parent['namespace']}/{parent['name']}" == answers["gateway"]
        project = tomllib.loads(files["pyproject.toml"].decode())["project"]
        assert (project["name"], project["description"]) == (answers["service_name"], answers["description"])


def read(files: Mapping[str, bytes], path: str, *keys: str | int) -> Any:
    value = yaml_files.load(files[path])[0]
    for key in keys:
        value = value[key]
    return value


def test_labels_of_the_image_hold_the_service_s_name(renderer: Renderer) -> None:
    for rendered in renderer.each("Dockerfile"):
        labels = re.findall(r'^LABEL .*title="([^"]*)"', rendered.files["Dockerfile"].decode(), re.MULTILINE)
        assert labels == [rendered.context["service_name"]]
