"""The values of a company, in extensions/company.jinja, reach everything that a project downloads or deploys."""

from __future__ import annotations

import re

import pytest

from tests.harness import Projects, Template, load
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
"""But those of the template, which nobody can replace."""
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
    built = [path for path in files if re.fullmatch(r"kubernetes/(overlays/\w+|namespace)/kustomization.yaml", path)]
    assert len(built) == 4
    for path in built:
        kustomization = load(files[path].content)
        assert LABELS.items() <= kustomization["labels"][0]["pairs"].items(), path
        assert "nobody" not in kustomization["labels"][0]["pairs"].values(), path
        assert kustomization["commonAnnotations"] == ANNOTATIONS, path
