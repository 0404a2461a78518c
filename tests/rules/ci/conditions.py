"""Evaluates GitLab's conditions: https://docs.gitlab.com/ci/jobs/job_rules/#cicd-variable-expressions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_TOKEN = re.compile(
    r"""\s*(?:(?P<operator>==|!=|&&|\|\||\((?!\s*\))|\))|null\b|"(?P<text>[^"]*)"|'(?P<quoted>[^']*)'"""
    r"""|\$(?P<variable>[A-Za-z_]\w*)(?:\s*(?P<match>=~|!~)\s*/(?P<pattern>(?:[^/\\\n]|\\.)+)/(?P<flags>[ism]*))?)"""
)
_OPERATORS = {"&&": "and", "||": "or"}


class ConditionError(ValueError):
    """A condition that does not follow the syntax, or reads a variable that no pipeline has."""


def holds(condition: str, variables: Mapping[str, str], known: Collection[str]) -> bool:
    """Whether a condition is true; it may read the known variables, some of which may have no value.

    Raises:
        ConditionError: it cannot be evaluated.

    """
    words: list[str] = []
    values: dict[str, str | bool | None] = {}
    place = 0
    try:
        while condition[place:].strip():
            found = _TOKEN.match(condition, place)
            if not found:
                raise ConditionError(f"is no condition: {condition}")
            place = found.end()
            words.append(_OPERATORS.get(found["operator"], found["operator"]) or f"value{len(words)}")
            if found["variable"] and found["variable"] not in known:
                raise ConditionError(f"no pipeline sets {found['variable']}: {condition}")
            if not found["operator"]:
                values[words[-1]] = _value(found, variables)
        # Names and operators alone, with the precedence that GitLab's have.
        return bool(eval(" ".join(words), {"__builtins__": {}}, values))  # noqa: S307
    except (SyntaxError, TypeError, re.error) as error:
        raise ConditionError(f"is no condition: {condition}") from error


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str | bool | None:
    if not found["variable"]:
        return found["quoted"] if found["text"] is None else found["text"]
    value = variables.get(found["variable"])
    if not found["match"]:
        return value
    flags = f"(?{found['flags']})" if found["flags"] else ""
    return bool(re.search(flags + found["pattern"], value or "")) == (found["match"] == "=~")
