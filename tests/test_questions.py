"""Every wrong answer is refused with one sentence that names question and rule, before anything is written."""

# ruff: noqa: E501

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import copier
import pexpect
import pytest
import yaml
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from tests.render import ANSWERS_FILE
from tests.space import Space
from tests.template import Template
from tests.validators.kustomize import tool

PORTS = "must be a whole number from 1024 to 65535."
NAMES = "lower case letters, digits and hyphens, start with a letter and not end with a hyphen."
IMAGE = "must be a registry host and a lower case path such as docker.io/acme/shop, without a tag."
HOST = "must be a full host name in lower case such as shop.example.com, without a scheme, port or path."
INGRESS = {"exposure": "ingress"}
DETAILS = {"customize": True}
GATEWAY = {"exposure": "gateway"}
TLS = DETAILS | INGRESS
KOPS = DETAILS | {"cluster": "kops"}
EXTERNAL = DETAILS | {"database_hosting": "external"}
STORE = DETAILS | {"secrets": "external-secrets"}
LOGS = DETAILS | {"log_agent": True}
OBJECT = "at most 253 lower case letters, digits, hyphens and dots."
SELECTOR = "must be a label of nodes as key=value such as pool=web, or empty."
COLLECTOR = "must be a host name and a port such as opentelemetry-collector.monitoring:4318."

# The wrong answer, what else is answered, and the end of the sentence that refuses it.
REFUSED: list[tuple[str, object, Mapping[str, object], str]] = [
    ("project_name", "", {}, "must be one line of text that neither starts nor ends with white space."),
    ("project_name", " Shop", {}, "must be one line of text that neither starts nor ends with white space."),
    ("project_name", "Shop\n", {}, "must be one line of text that neither starts nor ends with white space."),
    ("project_name", "a\nb", {}, "must be one line of text without control characters."),
    ("project_name", "a\x00b", {}, "must be one line of text without control characters."),
    ("project_name", "a\u2028b", {}, "must be one line of text without control characters."),
    ("project_name", "x" * 61, {}, "must have at most 60 characters."),
    ("service_name", "My_App", {}, NAMES),
    ("service_name", "1st", {}, NAMES),
    ("service_name", "shop-", {}, NAMES),
    ("service_name", "-shop", {}, NAMES),
    ("service_name", "shop\n", {}, NAMES),
    ("service_name", "", {}, NAMES),
    ("service_name", "x" * 41, {}, NAMES),
    *(
        ("service_name", word, {}, f"must not be {word}, which YAML does not read as text.")
        for word in ("yes", "no", "on", "off", "y", "n", "true", "false", "null")
    ),
    ("description", "", {}, "must be one line of text that neither starts nor ends with white space."),
    ("description", "a\tb", {}, "must be one line of text without control characters."),
    ("description", "x" * 201, {}, "must have at most 200 characters."),
    ("port", 80, {}, PORTS),
    ("port", 65536, {}, PORTS),
    ("port", 9090, {}, "must differ from metrics_port, which is 9090."),
    ("port", 9999, DETAILS | {"metrics_port": 9999}, "must differ from metrics_port, which is 9999."),
    ("image_repository", "docker.io/Acme/shop", {}, IMAGE),
    ("image_repository", "docker.io/acme/shop:1", {}, IMAGE),
    ("image_repository", "acme/shop", {}, IMAGE),
    ("image_repository", "https://docker.io/acme/shop", {}, IMAGE),
    ("image_repository", "docker.io/acme/shop\n", {}, IMAGE),
    ("image_repository", "ghcr.io/" + "x" * 200, {}, IMAGE),
    ("image_repository", "registry.example.com:65536/acme/shop", {}, IMAGE),
    ("image_repository", "docker.io/shop", {}, "must name an account and a repository on Docker Hub, such as docker.io/acme/shop."),
    ("image_repository", "docker.io/a/b/c", {}, "must name an account and a repository on Docker Hub, such as docker.io/acme/shop."),
    ("replicas", 0, {}, "must be a whole number from 1 to 100."),
    ("replicas", 101, {}, "must be a whole number from 1 to 100."),
    ("ingress_host", "https://shop.example.com", INGRESS, HOST),
    ("ingress_host", "shop.example.com\n", INGRESS, HOST),
    ("ingress_host", "Shop.example.com", INGRESS, HOST),
    ("ingress_host", "shop", INGRESS, HOST),
    ("ingress_host", "shop.example.com:80", INGRESS, HOST),
    ("ingress_host", "shop.example.com/a", INGRESS, HOST),
    ("ingress_host", "10.0.0.1", INGRESS, HOST),
    ("ingress_host", "1.e5", INGRESS, HOST),
    ("ingress_host", ".".join(["x" * 61] * 4), INGRESS, HOST),
    ("ingress_host", "shop.example.com", {}, "is asked only with exposure=ingress or exposure=gateway: give that answer too, or leave ingress_host out."),
    ("namespace", "My_App", DETAILS, NAMES),
    ("namespace", "null", DETAILS, "must not be null, which YAML does not read as text."),
    ("namespace", "shop", {}, "is asked only with customize=true: give that answer too, or leave namespace out."),
    ("metrics_port", 1023, DETAILS, PORTS),
    ("metrics_port", 8080, DETAILS, "must differ from metrics_port, which is 8080."),
    ("metrics_port", 9091, {}, "is asked only with customize=true: give that answer too, or leave metrics_port out."),
    ("gateway", "gateway", GATEWAY, "must be a namespace and a name such as gateway-system/gateway."),
    ("gateway", "a/b\n", GATEWAY, "must be a namespace and a name such as gateway-system/gateway."),
    ("gateway", "a/b", DETAILS, "is asked only with exposure=gateway: give that answer too, or leave gateway out."),
    ("ingress_namespace", "A", INGRESS, "must be the name of a namespace: at most 63 lower case letters, digits and hyphens."),
    ("ingress_namespace", "a.b", GATEWAY, "must be the name of a namespace: at most 63 lower case letters, digits and hyphens."),
    ("ingress_namespace", "a", {}, "is asked only with exposure=ingress or exposure=gateway: give that answer too, or leave ingress_namespace out."),
    ("service_port", 0, DETAILS, "must be a whole number from 1 to 65535."),
    ("service_port", 80, {}, "is asked only with customize=true: give that answer too, or leave service_port out."),
    ("node_port", 8080, DETAILS | {"exposure": "nodeport"}, "must be a whole number from 30000 to 32767."),
    ("node_port", 32768, DETAILS | {"exposure": "nodeport"}, "must be a whole number from 30000 to 32767."),
    ("node_port", 30080, DETAILS, "is asked only with customize=true and exposure=nodeport: give that answer too, or leave node_port out."),
    ("tls", False, DETAILS, "is asked only with customize=true and exposure=ingress or exposure=gateway: give that answer too, or leave tls out."),
    ("tls", False, INGRESS, "is asked only with customize=true and exposure=ingress or exposure=gateway: give that answer too, or leave tls out."),
    ("cluster_issuer", "Let's Encrypt", TLS, f"must be the name of a ClusterIssuer, or empty: {OBJECT}"),
    ("cluster_issuer", "a", TLS | {"tls": False}, "is asked only with customize=true, exposure=ingress and tls=true: give that answer too, or leave cluster_issuer out."),
    ("ingress_class", "a_b", TLS, f"must be the name of an IngressClass, or empty: {OBJECT}"),
    ("ingress_class", "a", DETAILS, "is asked only with customize=true and exposure=ingress: give that answer too, or leave ingress_class out."),
    ("autoscaling", False, {}, "is asked only with customize=true: give that answer too, or leave autoscaling out."),
    ("max_replicas", 1, DETAILS, "must be a whole number from 2 to 300."),
    ("max_replicas", 301, DETAILS, "must be a whole number from 2 to 300."),
    ("max_replicas", 3, DETAILS | {"autoscaling": False}, "is asked only with customize=true and autoscaling=true: give that answer too, or leave max_replicas out."),
    ("cpu_target", 9, DETAILS, "must be a whole number from 10 to 100."),
    ("cpu_target", 101, DETAILS, "must be a whole number from 10 to 100."),
    ("cpu_target", 50, {}, "is asked only with customize=true and autoscaling=true: give that answer too, or leave cpu_target out."),
    ("cluster", "kops", {}, "is asked only with customize=true: give that answer too, or leave cluster out."),
    ("cluster_domain", "cluster", KOPS, "must be a full host name in lower case such as k8s.example.com, without a scheme, port or path."),
    ("cluster_domain", "k8s.example.com", DETAILS, "is asked only with customize=true and cluster=kops: give that answer too, or leave cluster_domain out."),
    ("cluster_domain", "x" * 45 + ".example", KOPS, "must be a full host name in lower case such as k8s.example.com, without a scheme, port or path."),
    ("aws_region", "Frankfurt", KOPS, "must be an AWS region such as eu-central-1."),
    ("aws_region", "eu-central-1a", KOPS, "must be an AWS region such as eu-central-1."),
    ("aws_region", "eu-central-1", DETAILS, "is asked only with customize=true and cluster=kops: give that answer too, or leave aws_region out."),
    ("node_selector", "pool", DETAILS, SELECTOR),
    ("node_selector", "pool=web=db", DETAILS, SELECTOR),
    ("node_selector", "a/b/c=d", DETAILS, SELECTOR),
    ("node_selector", "=web", DETAILS, SELECTOR),
    ("node_selector", "pool=web\n", DETAILS, SELECTOR),
    ("node_selector", "x" * 64 + "=web", DETAILS, SELECTOR),
    ("node_selector", ".".join(["x" * 63] * 4) + "/pool=web", DETAILS, SELECTOR),
    ("node_selector", "pool=web", {}, "is asked only with customize=true: give that answer too, or leave node_selector out."),
    ("database_hosting", "external", {}, "is asked only with customize=true and a database: give that answer too, or leave database_hosting out."),
    ("database_hosting", "external", DETAILS | {"database": "none"}, "is asked only with customize=true and a database: give that answer too, or leave database_hosting out."),
    ("database_host", "db", EXTERNAL, "must be a full host name in lower case such as database.example.com, without a scheme, port or path."),
    ("database_host", "10.0.0.1", EXTERNAL, "must be a full host name in lower case such as database.example.com, without a scheme, port or path."),
    ("database_host", "db.example.com", DETAILS, "is asked only with customize=true, a database and database_hosting=external: give that answer too, or leave database_host out."),
    ("storage_class", "Fast", DETAILS, f"must be the name of a StorageClass, or empty: {OBJECT}"),
    ("storage_class", "fast", KOPS, "is asked only with customize=true, a database, database_hosting=in-cluster and cluster=existing: give that answer too, or leave storage_class out."),
    ("storage_size", "10GB", DETAILS, "must be a size in Gi or Ti such as 10Gi."),
    ("storage_size", "0Gi", DETAILS, "must be a size in Gi or Ti such as 10Gi."),
    ("storage_size", "10Gi", EXTERNAL, "is asked only with customize=true, a database and database_hosting=in-cluster: give that answer too, or leave storage_size out."),
    ("secrets", "external-secrets", {}, "is asked only with customize=true: give that answer too, or leave secrets out."),
    ("secret_store", "", STORE, f"must be the name of a SecretStore: {OBJECT}"),
    ("secret_store", "vault", DETAILS, "is asked only with customize=true and secrets=external-secrets: give that answer too, or leave secret_store out."),
    ("monitoring", True, {}, "is asked only with customize=true: give that answer too, or leave monitoring out."),
    ("log_agent", True, {}, "is asked only with customize=true: give that answer too, or leave log_agent out."),
    ("log_collector", "http://otel:4318", LOGS, COLLECTOR),
    ("log_collector", "otel", LOGS, COLLECTOR),
    ("log_collector", "otel:0", LOGS, COLLECTOR),
    ("log_collector", "otel:65536", LOGS, COLLECTOR),
    ("log_collector", "otel:4318", DETAILS, "is asked only with customize=true and log_agent=true: give that answer too, or leave log_collector out."),
]  # fmt: skip
# Refused with the first question, before Copier makes a number of it.
NO_NUMBERS: list[tuple[str, object, Mapping[str, object], str]] = [
    ("port", "http", {}, "must be a whole number."),
    ("port", 8080.5, {}, "must be a whole number."),
    ("port", "", {"replicas": "two"}, "must be a whole number."),
]


@pytest.mark.parametrize(
    ("question", "answer", "others", "rule"),
    REFUSED + NO_NUMBERS,
    ids=[f"{row[0]}={str(row[1])[:30]!r}" for row in REFUSED + NO_NUMBERS],
)
def test_a_wrong_answer_is_refused_with_its_rule(
    template: Template, question: str, answer: object, others: Mapping[str, object], rule: str
) -> None:
    worker = template.worker({"project_name": "Shop", question: answer, **others})
    with pytest.raises(ValueError, match=r"^Validation error for question ") as refusal:
        worker._ask()
    sentence = str(refusal.value).partition(": ")[2]
    assert sentence.split()[0] in (question, "port")  # the earlier of two that must differ speaks
    assert sentence.endswith(rule)
    assert "\n" not in sentence


def test_every_question_with_a_rule_has_an_answer_that_it_refuses(space: Space) -> None:
    refused = {row[0] for row in REFUSED}
    for name in space.asked:
        assert name in refused or "validator" not in space.questions[name].details, name


def run_copier(destination: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("copier"), "copy", "--defaults", *arguments, str(destination)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("wrong", "last_line"),
    [
        ("port=80", f"ValueError: Validation error for question 'port': port {PORTS}"),
        ("databse=postgres", "ValueError: Validation error for question 'project_name': there is no question databse."),
    ],
)
def test_the_command_line_ends_with_the_sentence_and_nothing_is_written(
    template: Template, tmp_path: Path, wrong: str, last_line: str
) -> None:
    done = run_copier(tmp_path / "project", f"--data={wrong}", str(template.folder))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == last_line
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    ("question", "wrong", "sentence"),
    [
        ("language", "cobol", "Invalid choice for 'language': 'cobol' is not in ['python'"),
        ("database", "oracle", "Invalid choice for 'database': 'oracle' is not in ['none', 'postgres', 'mysql', 'redis'"),
        ("replicas", "many", "Validation error for question 'project_name': replicas must be a whole number."),
    ],
)  # fmt: skip
def test_nothing_is_written_after_a_wrong_answer(
    template: Template, tmp_path: Path, question: str, wrong: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(sentence)):
        copier.run_copy(
            str(template.folder),
            tmp_path / "project",
            data={question: wrong},
            defaults=True,
            quiet=True,
            settings=copier.Settings(),
        )
    assert not (tmp_path / "project").exists()


def test_a_wrong_answer_in_a_data_file_is_refused(template: Template, tmp_path: Path) -> None:
    (tmp_path / "data.yml").write_text("port: 80\n")
    done = run_copier(tmp_path / "project", f"--data-file={tmp_path}/data.yml", str(template.folder))
    assert done.returncode == 1
    assert done.stderr.strip().endswith(f"port {PORTS}")
    assert not (tmp_path / "project").exists()


def test_a_data_file_answers_every_question(template: Template, tmp_path: Path) -> None:
    answers = {
        "project_name": "Shop",
        "database": "redis",
        "exposure": "gateway",
        "customize": True,
        "gateway": "a/b",
        "tls": False,
    }
    (tmp_path / "data.yml").write_text(yaml.safe_dump(answers))
    done = run_copier(tmp_path / "project", f"--data-file={tmp_path}/data.yml", str(template.folder))
    assert done.returncode == 0, done.stderr
    stored = yaml.safe_load((tmp_path / "project" / ANSWERS_FILE).read_text())
    assert answers.items() <= stored.items()


def test_the_defaults_make_a_project_of_the_folder_s_name(template: Template, tmp_path: Path) -> None:
    done = run_copier(tmp_path / "My Shop!", str(template.folder))
    assert done.returncode == 0, done.stderr
    stored = yaml.safe_load((tmp_path / "My Shop!" / ANSWERS_FILE).read_text())
    assert (stored["project_name"], stored["service_name"]) == ("My Shop!", "my-shop")
    assert str(tmp_path / "My Shop!") in done.stderr, "the message after copying names the folder"


@pytest.mark.parametrize(
    ("project_name", "service_name"),
    [
        ("Shop", "shop"), ("My App 2", "my-app-2"), ("  ", None), ("42", "app"), ("2nd Shop", "nd-shop"), ("שלום", "app"),
        ("É", "app"), ("a" * 60, "a" * 40), ("a" * 39 + "-b", "a" * 39), ("--x--", "x"), ("Yes", "app"),
    ],
)  # fmt: skip
def test_the_service_s_name_follows_from_the_project_s(
    template: Template, project_name: str, service_name: str | None
) -> None:
    worker = template.worker({"project_name": project_name})
    if service_name is None:
        with pytest.raises(ValueError, match="must"):
            worker._ask()
    else:
        worker._ask()
        assert worker.answers.combined["service_name"] == service_name


@pytest.mark.parametrize(
    ("others", "question", "default"),
    [
        ({}, "image_repository", "docker.io/acme/shop"),
        ({}, "ingress_host", "shop.example.com"),
        ({}, "namespace", "shop"),
        ({}, "secret_store", "shop"),
        ({"replicas": 4}, "max_replicas", 12),
        (INGRESS, "ingress_namespace", "traefik"),
        (GATEWAY | {"gateway": "infra/gate"}, "ingress_namespace", "infra"),
        ({}, "storage_class", ""),
        (KOPS, "storage_class", "gp3-encrypted"),
    ],
)
def test_a_default_follows_from_other_answers(
    template: Template, others: Mapping[str, object], question: str, default: object
) -> None:
    worker = template.worker({"project_name": "Shop", **others})
    worker._ask()
    assert worker._render_context()[question] == default


class Terminal:
    """A person at a terminal, who reads questions and types answers."""

    def __init__(self, template: Path, destination: Path) -> None:
        self.child = pexpect.spawn(
            tool("copier"),
            ["copy", str(template), str(destination)],
            encoding="utf-8",
            timeout=30,
            dimensions=(50, 200),
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )

    def reads(self, text: str) -> None:
        self.child.expect_exact(text)

    def types(self, text: str) -> None:
        self.child.send("\x15" + text + "\r")  # Ctrl-U clears the line

    def presses_enter(self) -> None:
        self.child.send("\r")

    def chooses(self, steps: int) -> None:
        self.child.send("\x1b[B" * steps + "\r")

    def is_done(self) -> None:
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_person_who_answers_wrongly_is_told_the_rule_and_asked_again(template: Template, tmp_path: Path) -> None:
    person = Terminal(template.folder, tmp_path / "project")

    def answers(question: str, wrong: str, rule: str, right: str) -> None:
        person.reads(template.questions[question]["help"].splitlines()[0])
        person.types(wrong)
        person.reads(rule[:60])
        person.types(right)

    def is_asked(question: str) -> None:
        person.reads(template.questions[question]["help"].splitlines()[0])

    answers("project_name", " Shop", "must be one line of text that neither starts", "Shop")
    answers("service_name", "My_App", "service_name must have at most 40", "shop")
    answers("description", " ", "must be one line of text that neither starts", "Sells things.")
    is_asked("language")
    person.presses_enter()
    answers("port", "80", "port must be a whole number from 1024 to 65535", "3000")
    is_asked("database")
    person.presses_enter()
    is_asked("ci_provider")
    person.presses_enter()
    answers("image_repository", "Docker.io/x", "image_repository must be a registry host", "ghcr.io/acme/shop")
    answers("replicas", "0", "replicas must be a whole number from 1 to 100", "3")
    is_asked("exposure")
    person.chooses(4)
    answers("ingress_host", "https://x.y", "ingress_host must be a full host name", "shop.example.com")
    answers("gateway", "x", "gateway must be a namespace and a name", "infra/gate")
    answers("ingress_namespace", "a.b", "ingress_namespace must be the name of a namespace", "infra")
    is_asked("customize")
    person.child.send("y")
    answers("namespace", "My_App", "namespace must have at most 40", "team")
    answers("service_port", "0", "service_port must be a whole number from 1 to 65535", "8000")
    answers("metrics_port", "3000", "metrics_port must differ from port, which is 3000", "9191")
    is_asked("tls")
    person.child.send("n")
    is_asked("autoscaling")
    person.child.send("y")
    answers("max_replicas", "2", "max_replicas must be a whole number from 3 to 300", "5")
    answers("cpu_target", "5", "cpu_target must be a whole number from 10 to 100", "60")
    is_asked("cluster")
    person.chooses(1)
    answers("cluster_domain", "k8s", "cluster_domain must be a full host name", "k8s.example.org")
    answers("aws_region", "x", "aws_region must be an AWS region", "eu-west-1")
    answers("node_selector", "web", "node_selector must be a label of nodes", "pool=web")
    is_asked("database_hosting")
    person.chooses(1)
    answers("database_host", "db", "database_host must be a full host name", "db.example.org")
    is_asked("secrets")
    person.chooses(1)
    answers("secret_store", "A", "secret_store must be the name of a SecretStore", "vault")
    is_asked("monitoring")
    person.child.send("y")
    is_asked("log_agent")
    person.child.send("y")
    answers("log_collector", "otel", "log_collector must be a host name and a port", "otel.logs:4318")
    person.is_done()

    stored = yaml.safe_load((tmp_path / "project" / ANSWERS_FILE).read_text())
    assert {name: value for name, value in stored.items() if not name.startswith("_")} == {
        "project_name": "Shop", "service_name": "shop", "description": "Sells things.", "language": "python",
        "port": 3000, "database": "postgres", "ci_provider": "circleci", "image_repository": "ghcr.io/acme/shop",
        "replicas": 3, "exposure": "gateway", "ingress_host": "shop.example.com", "customize": True,
        "namespace": "team", "metrics_port": 9191, "gateway": "infra/gate", "ingress_namespace": "infra",
        "service_port": 8000, "tls": False, "autoscaling": True, "max_replicas": 5, "cpu_target": 60, "cluster": "kops",
        "cluster_domain": "k8s.example.org", "aws_region": "eu-west-1", "node_selector": "pool=web",
        "database_hosting": "external", "database_host": "db.example.org", "secrets": "external-secrets",
        "secret_store": "vault", "monitoring": True, "log_agent": True, "log_collector": "otel.logs:4318",
    }  # fmt: skip


# Together, they are asked every open question.
PEOPLE: list[dict[str, Any]] = [
    {
        "exposure": "ingress", "tls": True, "autoscaling": True, "cluster": "existing", "database_hosting": "in-cluster",
        "secrets": "external-secrets", "monitoring": False, "log_agent": True,
    },
    {
        "exposure": "gateway", "tls": True, "autoscaling": True, "cluster": "kops", "database_hosting": "external",
        "secrets": "kubernetes", "monitoring": False, "log_agent": False,
    },
    {
        "exposure": "nodeport", "autoscaling": False, "cluster": "existing", "database_hosting": "external",
        "secrets": "kubernetes", "monitoring": False, "log_agent": False,
    },
]  # fmt: skip


def typed_wrongly(name: str) -> str:
    """A wrong answer that a person can type; were it taken, the right one would answer the next question."""
    return next(
        str(answer)
        for question, answer, _, rule in REFUSED
        if question == name and str(answer).isprintable() and not rule.startswith("is asked only")
    )


def test_every_open_question_is_asked_again_after_a_wrong_answer(template: Template, space: Space) -> None:
    """Copier's own prompts, in this process: what is typed is wrong first, then right."""
    asked_again: set[str] = set()
    for person in PEOPLE:
        choices = {"language": "python", "database": "postgres", "ci_provider": "none", **DETAILS, **person}
        plain = template.worker(choices)
        plain._ask()
        right = {
            name: plain.answers.combined[name]
            for name in space.asked
            if space.questions[name].kind in ("str", "int") and name not in plain.answers.hidden
        }
        right |= {"project_name": "Shop", "service_name": "till", "port": 3000}
        wrong = {name: typed_wrongly(name) for name in right}
        worker = dataclasses.replace(template.worker(choices), defaults=False)
        vars(worker).update(template=plain.template, jinja_env=template.env)
        with create_pipe_input() as keys, create_app_session(keys, DummyOutput()):
            keys.send_text("".join(f"\x15{wrong[name]}\r\x15{right[name]}\r" for name in right))
            worker._ask()
        assert {name: worker.answers.combined[name] for name in right} == right
        asked_again |= right.keys()
    assert asked_again == {name for name in space.asked if space.questions[name].kind in ("str", "int")}
