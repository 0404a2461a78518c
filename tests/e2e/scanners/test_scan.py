"""What the field's scanners find in a pairwise sample is nothing but what docs/decisions/0022-scanners.md explains."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.harness import ROOT, Projects
from tests.rules.kubernetes.build import Resource, build_all

PAGE = ROOT / "docs/decisions/0022-scanners.md"


class Found(NamedTuple):
    rule: str
    where: str  # the kind and name of the resource, or the file's name


class Row(NamedTuple):
    """A line of the page's table."""

    tool: str
    rule: str
    where: str  # a regular expression for the whole of `Found.where`


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    cells = [
        [cell.strip(" `").replace("\\|", "|") for cell in line.strip("| ").split(" | ")]
        for line in PAGE.read_text().splitlines()
    ]
    return [Row(*line[:3]) for line in cells if len(line) == 4 and line[0] in TOOLS]


@pytest.fixture(scope="session")
def folder(projects: Projects, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each production environment with its namespace; cluster setup; Dockerfiles and CI files."""
    top = tmp_path_factory.mktemp("scanned")
    sets = []
    others: dict[str, bytes] = {}
    for answers, _ in projects.space.pairs(edge_cases=False):
        files = {path: file.content for path, file in projects.render(answers).items()}
        sets.append(
            {
                path: files[path]
                for path in files
                if path.startswith("kubernetes/") and path.endswith((".yaml", ".env", ".sh", ".json"))
            }
        )
        sets[-1].pop("kubernetes/kops.yaml", None)
        for path, content in files.items():
            if re.fullmatch(r"Dockerfile|\.gitlab-ci\.yml|\.(circleci|github)/.*[^/]", path):
                others[f"{abs(hash(content))}/{path}"] = content
    for path, content in others.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(content)
    seen: set[str] = set()
    for entries in build_all(sets):
        assert not [built for built in entries.values() if isinstance(built, ValueError)]
        built = [one.resource for resources in entries.values() for one in resources]  # type: ignore[union-attr]
        for namespace, resources in _by_namespace(built).items():
            text = yaml.safe_dump_all(resources)
            if text not in seen and not namespace.endswith(("-local", "-staging")):
                seen.add(text)
                Path(top, f"{len(seen)}-{namespace or 'cluster'}.yaml").write_text(text)
    return top


def _by_namespace(resources: list[Resource]) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = {}
    for resource in resources:
        metadata = resource["metadata"]
        namespace = metadata["name"] if resource["kind"] == "Namespace" else metadata.get("namespace", "")
        found.setdefault(namespace, []).append(resource)
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip(), done.stderr
    return done.stdout


def program(name: str) -> Path:
    """A scanner that `make test-scan` has installed."""
    return Path(os.environ["SCANNERS"], name)


def trivy(folder: Path) -> Iterator[Found]:
    options = ("--skip-check-update", "--skip-version-check", "--quiet", "--format=json")
    report = json.loads(run(program("trivy"), "config", *options, folder))
    assert report["Results"]
    for result in report["Results"]:
        for item in result.get("Misconfigurations", []):
            line = item["CauseMetadata"].get("StartLine")
            where = Path(result["Target"]).name
            if result["Type"] == "kubernetes":
                where = _resource_at(folder / result["Target"], line) if line else "something"
            yield Found(item["ID"], where)


def _resource_at(path: Path, line: int) -> str:
    """The kind and name of the document that holds the line."""
    text = path.read_text()
    start = text.rfind("\n---\n", 0, len("\n".join(text.split("\n")[:line])))
    resource = yaml.safe_load(text[max(start, 0) :].lstrip("-\n").split("\n---\n")[0])
    return f"{resource['kind']} {resource['metadata']['name']}"


def checkov(folder: Path) -> Iterator[Found]:
    options = ("--skip-download", "--compact", "--quiet", "--output=json")
    frameworks = ("--framework", "kubernetes", "dockerfile", "circleci_pipelines", "github_actions", "gitlab_ci")
    reports = json.loads(run(program("checkov"), *options, "--directory", folder, *frameworks))
    reports = reports if isinstance(reports, list) else [reports]
    assert sum(report["summary"]["passed"] for report in reports) > 1000
    for report in reports:
        assert not report["results"].get("parsing_errors")
        for item in report["results"]["failed_checks"]:
            kind, _, name = item["resource"].replace(".", " ", 1).partition(" ")
            yield Found(item["check_id"], f"{kind} {name.rsplit('.', 1)[-1]}")


def kube_score(folder: Path) -> Iterator[Found]:
    for path in sorted(folder.glob("*.yaml")):
        for item in json.loads(run(program("kube-score"), "score", "--output-format=json", path)) or []:
            for check in item["checks"] or []:
                if check["grade"] < 7 and not check["skipped"]:
                    for comment in check["comments"] or []:
                        yield Found(
                            f"{check['check']['id']}: {comment['summary']}",
                            f"{item['type_meta']['kind']} {item['object_meta']['name']}",
                        )


TOOLS: Mapping[str, Callable[[Path], Iterator[Found]]] = {"trivy": trivy, "checkov": checkov, "kube-score": kube_score}


@pytest.mark.parametrize("tool", TOOLS)
def test_every_finding_is_explained_and_every_explanation_is_needed(tool: str, folder: Path, rows: list[Row]) -> None:
    explained = {row: re.compile(row.where) for row in rows if row.tool == tool}
    found = sorted(set(TOOLS[tool](folder)))
    unexplained = [
        finding
        for finding in found
        if not any(row.rule == finding.rule and where.fullmatch(finding.where) for row, where in explained.items())
    ]
    assert not unexplained, f"explain or fix in {PAGE.name}:\n" + "\n".join(map(str, unexplained))
    needless = [
        row
        for row, where in explained.items()
        if not any(row.rule == finding.rule and where.fullmatch(finding.where) for finding in found)
    ]
    assert not needless, f"nothing of {PAGE.name} is like this any more:\n" + "\n".join(map(str, needless))
