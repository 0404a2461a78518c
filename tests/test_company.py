"""The values of a company, in extensions/company.jinja, reach everything that a project downloads or deploys."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.harness import ROOT, Projects, Template, load
from tests.harness.template import copy_working_tree
from tests.options import space_of

COMPANY = "tests/company.jinja"
HOSTS = re.compile(
    r"(?<![\w.-])(docker\.io|gcr\.io|ghcr\.io|quay\.io|registry\.k8s\.io|registry\.npmjs\.org|pypi\.org"
    r"|files\.pythonhosted\.org|proxy\.golang\.org|dl\.k8s\.io|get\.helm\.sh|raw\.githubusercontent\.com)/"
)
"""Where images, packages and programs come from, unless a company has a copy."""
TEXTS = (".md",)
LABELS = {"example.com/cost-center": "1700", "team": "yes"}
"""Except the template's, which cannot be replaced."""
ANNOTATIONS = {"example.com/owner": 'Shop & "Co": #1'}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Projects:
    """Renders projects of that company."""
    template = Template(copy_working_tree(tmp_path_factory.mktemp("company"), company=COMPANY))
    return Projects(template, space_of(template))


ANSWERS = [
    {"language": language, "ci_provider": ci_provider, "database": database, **more}
    for language, ci_provider, database in (
        ("python", "github", "postgres"),
        ("typescript", "gitlab", "mysql"),
        ("go", "circleci", "redis"),
    )
    for more in ({}, {"customize": True, "exposure": "gateway", "log_agent": True, "cluster": "kops"})
]


@pytest.mark.parametrize("answers", ANSWERS, ids=str)
def test_nothing_is_downloaded_past_the_mirrors(projects: Projects, answers: dict[str, str | bool]) -> None:
    files = projects.render({"project_name": "Shop", "image_repository": "images.example.com/shop", **answers})
    found = [
        f"{path}: {line.strip()}"
        for path, file in files.items()
        if not path.endswith(TEXTS)
        for line in file.content.decode().splitlines()
        if HOSTS.search(line)
    ]
    assert not found
    texts = b"".join(file.content for file in files.values())
    index = {"python": b"pypi/simple", "typescript": b"registry=https", "go": b"packages.example.com/go"}
    assert texts.count(index[str(answers["language"])]) >= 1
    assert texts.count(b"mirror.example.com:5000/") >= 3
    runs = re.findall(r"^RUN (?:.*\\\n)*.*$", files["Dockerfile"].content.decode(), re.MULTILINE)
    downloads = [run for run in runs if re.search("pip --python|npm ci|go mod download|go -C tools", run)]
    assert len(downloads) == 2
    assert all("--mount=type=secret,id=index,target=/root/." in run for run in downloads)
    composed = load(files["docker-compose.yml"].content)
    builds = [service["build"] for service in composed["services"].values() if "build" in service]
    assert {str(build["secrets"]) for build in builds} == {"['index']"}
    assert "--secret=id=index,src=$(INDEX_LOGIN)" in files[f"{answers['language']}.mk"].content.decode()
    assert load(files["renovate.json"].content)["extends"][1:] == ["local>platform/renovate-config"]
    dockerfile = files["Dockerfile"].content.decode()
    assert dockerfile.count("-----BEGIN CERTIFICATE-----") == 1
    # What downloads, and what runs.
    assert dockerfile.count("COPY --from=authority /company.crt ") == {"typescript": 3}.get(str(answers["language"]), 2)
    built = [path for path in files if re.fullmatch(r"kubernetes/(overlays/\w+|namespace)/kustomization.yaml", path)]
    assert len(built) == 4
    for path in built:
        kustomization = load(files[path].content)
        assert LABELS.items() <= kustomization["labels"][0]["pairs"].items(), path
        assert "nobody" not in kustomization["labels"][0]["pairs"].values(), path
        assert kustomization["commonAnnotations"] == ANNOTATIONS, path


def test_hidden_choices_are_neither_offered_nor_defaults_but_taken_from_data(tmp_path: Path) -> None:
    folder = copy_working_tree(tmp_path)
    shutil.copy(ROOT / COMPANY, folder / "extensions/company.jinja")
    template = Template(folder)
    accepted = space_of(template).accepted({})
    assert accepted["language"] == ["python", "go"]
    assert accepted["database"] == ["none", "postgres", "redis"]
    assert accepted["ci_provider"] == ["github", "gitlab", "none"]
    hidden = {"language": "typescript", "database": "mysql", "ci_provider": "circleci"}
    for given, wanted in (({}, {"ci_provider": "github"}), (hidden, hidden)):
        worker = template.worker(given)
        worker._ask()
        assert wanted.items() <= worker.answers.combined.items()
