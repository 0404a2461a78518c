"""GitHub's workflows as text: the versions that they pin, and what linters say of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.harness import Files, Problem, Projects, file_rule, rejects, replace, tool_rule
from tests.rules.ci.github import RELEASE, SERVICE, UPDATES, WORKFLOWS
from tests.rules.linters import lint
from tests.rules.tables import table
from tests.toolchains import tool


@rejects("another commit of an action", SERVICE, replace("actions/checkout@3d", "actions/checkout@4d"))
@rejects("a comment of another version", RELEASE, replace("# v7.0.1", "# v7.0.0"))
@rejects(
    "an action at a tag", UPDATES, replace("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7.0.1"),
    also="actionlint_finds_nothing zizmor_finds_nothing",
)  # fmt: skip
@file_rule(WORKFLOWS)
def actions_are_pinned_to_a_commit(path: str, content: bytes) -> Iterator[Problem]:
    """Every action is at the commit of the table of versions, with its version beside it."""
    pins = table("versions", "github")["actions"]
    known = {f"{name}@{pin['commit']} # v{pin['version']}" for name, pin in pins.items()}
    for used in re.findall(r"\buses: *(.*)$", content.decode(), re.MULTILINE):
        if used not in known:
            yield Problem(path, f"{used} is no action of the table with its commit and version", used)


def test_every_pinned_action_is_used(projects: Projects) -> None:
    """The table of versions has no action that nothing uses."""
    texts = [projects.contents[number].decode() for _, number in projects.each(WORKFLOWS)]
    used = {name for text in texts for name in re.findall(r"uses: ([^@]+)@", text)}
    assert used == table("versions", "github")["actions"].keys()


@rejects("a missing step", SERVICE, replace("steps.image.outputs", "steps.x.outputs"), message="undefined-property")
@rejects("an unknown input", SERVICE, replace("if-no-files-found:", "if-no-files:"), message="unknown-action-input")
@rejects("a missing job", SERVICE, replace("      - publish\n", "      - publis\n"), message="undefined-job-needs")
@rejects("words that split", SERVICE, replace('echo "digest=$digest"', "echo digest=$digest"), message="SC2086")
@rejects(
    "a tag's name that the shell would run", RELEASE, replace('"$GITHUB_REF_NAME"', '"${{ github.ref_name }}"'),
    also="zizmor_finds_nothing", message="template-injection",
)  # fmt: skip
@rejects(
    "a pull request of a fork with secrets", SERVICE, replace("on:\n", "on:\n pull_request_target:\n"),
    also="zizmor_finds_nothing", message="dangerous-triggers",
)  # fmt: skip
@tool_rule(WORKFLOWS, sets="each")
def actionlint_finds_nothing(batch: Sequence[Files], scratch: Path) -> Iterable[Iterable[Problem]]:
    """Workflows are clean to jactionlint, and their scripts to shellcheck within it."""

    def read(item: dict[str, Any]) -> tuple[str, str, int]:
        return item["filepath"], f"{item['id']}: {item['message']}", item["line"]

    options = ("--profile=default", "--no-online", f"--shellcheck={tool('shellcheck')}", "--format=json")
    return lint(batch, scratch, "jactionlint", *options, read=read)


@rejects(
    "a permission without its reason", RELEASE, replace("packages: write # pushes the tag", "packages: write"),
    message="undocumented-permissions",
)  # fmt: skip
@tool_rule(WORKFLOWS, sets="each")
def zizmor_finds_nothing(batch: Sequence[Files], scratch: Path) -> Iterable[Iterable[Problem]]:
    """Workflows are clean to zizmor's pedantic persona."""

    def read(item: dict[str, Any]) -> tuple[str, str, int]:
        place = next(part for part in item["locations"] if part["symbolic"]["kind"] == "Primary")
        message = f"{item['ident']}: {item['desc']}: {place['symbolic']['annotation']}"
        line = place["concrete"]["location"]["start_point"]["row"] + 1
        return place["symbolic"]["key"]["Local"]["verbatim_path"], message, line

    options = ("--no-config", "--strict-collection", "--offline", "--persona=pedantic", "--no-exit-codes", "--quiet")
    return lint(batch, scratch, "zizmor", *options, "--format=json", read=read)
