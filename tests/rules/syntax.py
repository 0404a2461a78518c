"""Every file follows the syntax of its format. Only this rule reports a file that does not."""

from __future__ import annotations

import ast
import configparser
import functools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import sqlglot
import yaml
from sqlglot.errors import SqlglotError
from sqlglot.expressions import Alter, Create, Drop

from tests.harness import Problem, file_rule, rejects, replace, write
from tests.harness.documents import Loader

# Go's YAML readers, which kubectl, compose and the CI services use, disagree with each other on these.
_DISPUTED = re.compile(
    r"(?i:y|n|yes|no|on|off)|0o[0-7]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+|[-+]?[0-9]+\.?[0-9]*[eE][0-9]+"
)
CONFIG = "kubernetes/base/config.env"
MIGRATION = "migrations/0001.do.create-items.sql"
WORKFLOW = ".github/workflows/service.yml"
FORMATS = (
    "*.yml", "*.yaml", "*.py", "*.json", "*.jsonc", "*.toml", "*.ini", "*.cfg", "*.editorconfig", "*.npmrc", "*.env",
    "*.mako", "*.sql",
)  # fmt: skip


class _StrictLoader(Loader):
    """Refuses text without quotes that some readers take for something else."""

    def construct_scalar(self, node: Any) -> Any:
        is_plain = isinstance(node, yaml.ScalarNode) and not node.style
        # Every workflow of GitHub has the key `on`, which GitHub reads as text.
        is_trigger = node.value == "on" and not node.start_mark.column
        if is_plain and not is_trigger and _DISPUTED.fullmatch(str(node.value)):
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value!r} without quotes is not text to every reader", node.start_mark
            )
        return super().construct_scalar(node)


def is_readable(path: str, content: bytes) -> bool:
    """Whether a file follows the syntax of its format."""
    return not _problem(PurePosixPath(path).suffix or PurePosixPath(path).name, content)


@functools.cache
def _problem(suffix: str, content: bytes) -> tuple[str, str] | None:
    """The line and what is wrong there."""
    try:
        _read(suffix, content)
    except yaml.MarkedYAMLError as error:
        return str(error.problem_mark.line + 1) if error.problem_mark else "", error.problem or str(error)
    except (json.JSONDecodeError, SyntaxError) as error:
        return str(error.lineno or ""), str(error)
    except (ValueError, yaml.YAMLError, configparser.Error, SqlglotError) as error:
        line = re.search(r"line (\d+)", str(error))
        return line[1] if line else "", str(error)
    return None


def _read(suffix: str, content: bytes) -> None:
    match suffix:
        case ".yml" | ".yaml":
            list(yaml.load_all(content, _StrictLoader))
        case ".py":
            ast.parse(content)
        case ".json" | ".jsonc":
            json.loads(content)
        case ".toml":
            tomllib.loads(content.decode())
        case ".ini" | ".cfg":
            configparser.ConfigParser(strict=True).read_string(content.decode())
        case ".editorconfig" | ".npmrc":
            configparser.ConfigParser(strict=True).read_string(f"[top]\n{content.decode()}")
        case ".env":
            _read_env(content.decode())
        case ".mako":
            _read_mako(content.decode())
        case ".sql":
            _read_sql(content.decode())


def _read_env(text: str) -> None:
    seen = set()
    for number, line in enumerate(text.split("\n"), 1):
        name = line.partition("=")[0]
        if line and (not re.fullmatch(r"[A-Z_][A-Z0-9_]*=\S*", line) or name in seen):
            raise ValueError(f"line {number}, {line!r}, is no setting, or stands twice")
        seen.add(name)


def _read_mako(text: str) -> None:
    """Python, with expressions of Python between braces; each stands where a value or a statement can."""
    for expression in re.findall(r"\$\{(.*?)\}", text):
        ast.parse(expression, mode="eval")
    ast.parse(re.sub(r"\$\{.*?\}", "None", text))


def _read_sql(text: str) -> None:
    """Statements are standard SQL; the tests of the apps run them on the servers."""
    if others := [str(found) for found in sqlglot.parse(text) if not isinstance(found, (Create, Drop, Alter))]:
        raise ValueError(f"{others[0]} changes no schema")


@rejects("a duplicate key", "common.yml", replace("services:", "services: {}\nservices:"))
@rejects("a nested duplicate key", "docker-compose.yml", replace("      context: .\n", "      context: .\n" * 2))
@rejects("a broken indent", "common.yml", replace("    read_only: true", "   read_only: true"))
@rejects("a character that YAML does not allow", "common.yml", replace("services:\n", "# \x07\nservices:\n"))
@rejects("text that YAML 1.1 reads as a truth value", "docker-compose.yml", replace("name: shop-dev", "name: on"))
@rejects("another word that is a truth value to some", "prod.yml", replace("name: shop", "name: yes"))
@rejects("a branch that is a truth value to some", WORKFLOW, replace("      - main\n", "      - on\n"))
@rejects("an octal number of YAML 1.2", "prod.yml", replace("memory: 256M", "memory: 0o17"))
@rejects("a number of Go's YAML", "prod.yml", replace("name: shop", "name: 1.e5"))
@rejects("a setting without a name", CONFIG, write("=1\n"))
@rejects("a setting twice", CONFIG, replace("LOG_LEVEL=info", "PORT=1"))
@rejects("a comment among settings", CONFIG, replace("LOG_LEVEL=info", "# LOG_LEVEL=info"))
@rejects("TOML that does not parse", "pyproject.toml", replace("[project]", "[project"))
@rejects("settings of editors that do not parse", ".editorconfig", replace("[*]", "[*"))
@rejects("duplicate settings of npm", ".npmrc", replace("engine-strict=true", "engine-strict=true\nengine-strict=true"))
@rejects("an invalid template of migrations", "migrations/script.py.mako", replace("def upgrade()", "def upgrade("))
@rejects("an invalid expression", "migrations/script.py.mako", replace("${repr(up_revision)}", "${repr(up_revision}"))
@rejects("SQL that does not parse", MIGRATION, replace("CREATE TABLE", "CREATED TABLE"))
@rejects("SQL that changes no schema", MIGRATION, replace("CREATE TABLE", "SELECT 1; CREATE TABLE"))
@file_rule(*FORMATS)
def syntax(path: str, content: bytes) -> Iterator[Problem]:
    """Every file can be read by what reads its format, and YAML means the same to every reader."""
    if problem := _problem(PurePosixPath(path).suffix or PurePosixPath(path).name, content):
        yield Problem(path, problem[1], problem[0])


syntax.is_for_unreadable = True
