"""Every invalid answer is refused with one sentence that names question and rule, before anything is written."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from tests.harness import ANSWERS_FILE, ROOT, Answers, Space, Template
from tests.harness.dialog import Dialog
from tests.toolchains import tool
from tests.tools.docs import condition
from tests.tools.release import questions

INVALID: dict[str, dict[str, list[Any]]] = yaml.safe_load((ROOT / "tests/questions/invalid.yml").read_text())
ROWS = [
    (name, answer, rule.replace("<answer>", str(answer)))
    for name, rules in INVALID.items()
    for rule, answers in rules.items()
    for answer in answers
]
QUESTIONS = questions((ROOT / "copier.yml").read_bytes())
CONDITIONAL = [name for name, details in QUESTIONS.items() if "when" in details]
NUMBERS = [name for name, details in QUESTIONS.items() if details["type"] == "int"]


@pytest.fixture(scope="module")
def dialog(space: Space) -> Dialog:
    return Dialog(space)


@pytest.mark.parametrize(("name", "answer", "rule"), ROWS, ids=[f"{row[0]}={str(row[1])[:30]!r}" for row in ROWS])
def test_invalid_answer_is_refused_with_its_rule(dialog: Dialog, name: str, answer: object, rule: str) -> None:
    # Of two that depend on each other, the earlier refuses.
    names = "|".join((name, *dialog.template.names_in(QUESTIONS[name]["validator"])))
    with pytest.raises(ValueError, match=f"question '({names})': {re.escape(rule)}$"):
        dialog.asked({"project_name": "Shop", **dialog.fewest(name), name: answer})


def test_every_question_with_a_rule_has_invalid_answers() -> None:
    assert [name for name, details in QUESTIONS.items() if "validator" in details and name not in INVALID] == []


def test_a_label_names_the_question_on_a_screen_of_80_columns(template: Template) -> None:
    for name in QUESTIONS:
        label, *lines = template.questions[name]["help"].splitlines()
        assert label.endswith(f" ({name})"), name
        assert len(label) <= 76, name
        assert [line for line in lines if len(line) > 79] == [], name


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("answer", ["http", "", "1e3", "0x50", 8080.5, True])
def test_invalid_whole_number_is_refused_before_conversion(dialog: Dialog, name: str, answer: object) -> None:
    assert dialog.refusal({**dialog.fewest(name), name: answer}) == f"{name} must be a whole number."


def test_of_several_invalid_numbers_the_first_is_named(dialog: Dialog) -> None:
    assert dialog.refusal(dict.fromkeys(NUMBERS, "two")) == f"{NUMBERS[0]} must be a whole number."


def test_the_ports_of_service_and_metrics_differ(dialog: Dialog) -> None:
    answers = {"customize": True, "port": 9999, "metrics_port": 9999}
    assert dialog.refusal(answers) == "must differ from metrics_port, which is 9999."


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_question_that_is_not_asked_takes_no_answer(dialog: Dialog, template: Template, name: str) -> None:
    """With every combination of the answers on which it depends; Copier would use the answer, and not store it."""
    needed = condition(QUESTIONS[name])
    words = f"{', '.join(needed[:-1])} and {needed[-1]}" if needed[1:] else needed[0]
    outcomes = set()
    for answers in dialog.combinations(name):
        worker = template.worker(answers)
        worker._ask()
        values = worker.answers.combined
        is_asked = name in dialog.asked(answers)
        assert is_asked == all(any(is_met(one, values) for one in part.split(" or ")) for part in needed), answers
        refusal = f"{name} is asked only with {words}: give that answer too, or leave {name} out."
        assert dialog.refusal({**answers, name: values[name]}) == ("" if is_asked else refusal), answers
        outcomes.add(is_asked)
    assert outcomes == {True, False}


def is_met(needed: str, values: Mapping[str, Any]) -> bool:
    name, value = re.split("=| other than ", needed.removeprefix("a "))
    found = str(values[name]).lower() if isinstance(values[name], bool) else values[name]
    return (found == value) == ("=" in needed)


def test_a_computed_value_and_a_mistyped_name_take_no_answer(dialog: Dialog, template: Template) -> None:
    for name in ("databse", *(template.questions.keys() - QUESTIONS.keys())):
        assert dialog.refusal({name: "postgres"}) == f"there is no question {name}."


def test_metadata_of_copier_is_accepted(dialog: Dialog) -> None:
    assert dialog.refusal({"_src_path": "gh:org/k8s-starter", "_commit": "v0.1.0"}) == ""


def run_copier(destination: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("copier"), "copy", "--defaults", *arguments, str(destination)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("invalid", "last_line"),
    [
        ("port=80", "Validation error for question 'port': must be a whole number from 1024 to 65535."),
        ("databse=postgres", "Validation error for question 'project_name': there is no question databse."),
        ("replicas=many", "Validation error for question 'project_name': replicas must be a whole number."),
        (
            "monitoring=true",
            (
                "Invalid choice for 'unasked': monitoring is asked only with customize=true: "
                "give that answer too, or leave monitoring out."
            ),
        ),
    ],
)
def test_the_command_line_ends_with_the_sentence_and_nothing_is_written(
    template: Template, tmp_path: Path, invalid: str, last_line: str
) -> None:
    done = run_copier(tmp_path / "project", f"--data={invalid}", str(template.folder))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"ValueError: {last_line}"
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("name", [name for name, details in QUESTIONS.items() if "choices" in details])
def test_nothing_is_written_after_an_unknown_choice(
    template: Template, dialog: Dialog, tmp_path: Path, name: str
) -> None:
    with pytest.raises(
        ValueError, match=f"^Invalid choice for '{name}': 'cobol' is not in \\['{dialog.options(name)[0]}'"
    ):
        copier.run_copy(
            str(template.folder),
            tmp_path / "project",
            data={**dialog.fewest(name), name: "cobol"},
            defaults=True,
            quiet=True,
            settings=copier.Settings(),
        )
    assert not (tmp_path / "project").exists()


def test_an_invalid_answer_in_a_data_file_is_refused(template: Template, tmp_path: Path) -> None:
    (tmp_path / "data.yml").write_text("port: 80\n")
    done = run_copier(tmp_path / "project", f"--data-file={tmp_path}/data.yml", str(template.folder))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("question 'port': must be a whole number from 1024 to 65535.")
    assert not (tmp_path / "project").exists()


def test_a_data_file_answers_every_question(template: Template, dialog: Dialog, tmp_path: Path) -> None:
    answers = {"project_name": "Shop", **dialog.profiles()[0]}
    (tmp_path / "data.yml").write_text(yaml.safe_dump(answers))
    done = run_copier(tmp_path / "project", f"--data-file={tmp_path}/data.yml", str(template.folder))
    assert done.returncode == 0, done.stderr
    assert stored(tmp_path / "project") == dialog.asked(answers)


def stored(project: Path) -> Answers:
    answers: Answers = yaml.safe_load((project / ANSWERS_FILE).read_text())
    return {name: value for name, value in answers.items() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("python", "there is no question python."),
        ("monitoring", "monitoring is asked only with customize=true: give that answer too, or leave monitoring out."),
    ],
)
def test_settings_that_a_project_would_not_store_are_refused(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    settings(tmp_path, monkeypatch, {name: "true"})
    done = run_copier(tmp_path / "project", str(template.folder))
    assert done.returncode == 1
    assert done.stderr.strip().endswith(sentence)
    assert not (tmp_path / "project").exists()


def test_settings_are_the_defaults_of_questions(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = {"ci_provider": "github", "image_repository": "ghcr.io/acme/{{ service_name }}", "port": 8000}
    settings(tmp_path, monkeypatch, company | {"of_another_template": "1"})
    done = run_copier(tmp_path / "project", "--data=project_name=Shop", str(template.folder))
    assert done.returncode == 0, done.stderr
    answers = stored(tmp_path / "project")
    assert {name: answers[name] for name in company} == company | {"image_repository": "ghcr.io/acme/shop"}
    assert "of_another_template" not in answers


def settings(folder: Path, monkeypatch: pytest.MonkeyPatch, defaults: Answers) -> None:
    (folder / "settings.yml").write_text(yaml.safe_dump({"defaults": defaults}))
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(folder / "settings.yml"))


def test_the_defaults_make_a_project_of_the_folder_s_name(template: Template, tmp_path: Path) -> None:
    done = run_copier(tmp_path / "My Shop!", str(template.folder))
    assert done.returncode == 0, done.stderr
    answers = stored(tmp_path / "My Shop!")
    assert (answers["project_name"], answers["service_name"]) == ("My Shop!", "my-shop")
    assert str(tmp_path / "My Shop!") in done.stderr, "the message after copying names the folder"
    assert "git init" in done.stderr
    assert "another repository" not in done.stderr


@pytest.mark.parametrize("git", ["HEAD", ""], ids=["a clone", "a worktree"])
def test_a_copy_into_a_folder_of_a_repository_says_what_ci_needs(template: Template, tmp_path: Path, git: str) -> None:
    file = tmp_path / ".git" / git
    file.parent.mkdir(exist_ok=True)
    file.touch()
    done = run_copier(tmp_path / "services/shop", str(template.folder))
    assert "Several services in one repository" in done.stderr
    assert "git init" not in done.stderr
    assert "\n## Several services in one repository\n" in (ROOT / "docs/platform-teams.md").read_text()


@pytest.mark.parametrize(
    ("project_name", "service_name"),
    [
        ("Shop", "shop"), ("My App 2", "my-app-2"), ("42", "app"), ("2nd Shop", "nd-shop"), ("שלום", "app"),
        ("É", "app"), ("a" * 60, "a" * 40), ("a" * 39 + "-b", "a" * 39), ("--x--", "x"), ("Yes", "app"),
    ],
)  # fmt: skip
def test_the_service_s_name_follows_from_the_project_s(dialog: Dialog, project_name: str, service_name: str) -> None:
    assert dialog.asked({"project_name": project_name})["service_name"] == service_name


GATEWAY = {"exposure": "gateway", "gateway": "infra/gate"}


@pytest.mark.parametrize(
    ("others", "name", "default"),
    [
        ({}, "image_repository", "docker.io/acme/shop"),
        ({}, "ingress_host", "shop.example.com"),
        ({}, "namespace", "shop"),
        ({}, "secret_store", "shop"),
        ({"replicas": 4}, "max_replicas", 12),
        ({"exposure": "ingress"}, "ingress_namespace", "traefik"),
        (GATEWAY, "ingress_namespace", "infra"),
        ({}, "storage_class", ""),
        ({"customize": True, "cluster": "kops"}, "storage_class", "gp3-encrypted"),
    ],
)
def test_a_default_follows_from_other_answers(
    template: Template, others: Mapping[str, object], name: str, default: object
) -> None:
    worker = template.worker({"project_name": "Shop", **others})
    worker._ask()
    assert worker._render_context()[name] == default


def test_invalid_answer_is_explained_and_asked_again(dialog: Dialog, space: Space, tmp_path: Path) -> None:
    def texts(name: str, typed: Answers) -> tuple[Any, Any]:
        default = dialog.asked(typed)[name]
        refused = (answer for answers in INVALID[name].values() for answer in answers if is_typed(answer))
        invalid = next((answer for answer in refused if dialog.refusal({**typed, name: answer})), None)
        assert invalid is not None, f"tests/questions/invalid.yml has no answer to {name} that a person can type"
        valid = (value for value in space.accepted(typed)[name] if is_typed(value) and value != default)
        return None if name in asked else invalid, next(valid, default)

    asked: set[str] = set()
    for number, profile in enumerate(dialog.profiles()):
        typed = dialog.hold(tmp_path / str(number), profile, texts)
        assert stored(tmp_path / str(number)) == typed
        asked |= typed.keys()
    assert asked == QUESTIONS.keys()


def is_typed(value: Any) -> bool:
    """Whether it can be typed with plain keys."""
    return re.fullmatch("[ -~]+", str(value)) is not None
