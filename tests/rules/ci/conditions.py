"""Evaluates GitLab's conditions: https://docs.gitlab.com/ci/jobs/job_rules/#cicd-variable-expressions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:(?P<operator>==|!=|=~|!~|&&|\|\||\(|\))|\$(?P<variable>[A-Za-z_]\w*)|(?P<null>null)\b"""
    r"""|"(?P<text>[^"]*)"|'(?P<quoted>[^']*)'|/(?P<pattern>(?:[^/\\\n]|\\.)+)/(?P<flags>[ism]*))"""
)


class ConditionError(ValueError):
    """A condition that does not follow the syntax, or reads a variable that no pipeline has."""


def holds(condition: str, variables: Mapping[str, str], known: Collection[str]) -> bool:
    """Whether a condition is true; it may read the known variables, some of which may have no value.

    Raises:
        ConditionError: it cannot be evaluated.

    """
    return _Condition(condition, variables, known).holds()


class _Condition:
    def __init__(self, text: str, variables: Mapping[str, str], known: Collection[str]) -> None:
        self._text = text
        self._variables = variables
        self._known = known
        self._tokens: list[tuple[str, str | re.Pattern[str] | None]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._syntax_error()
            place = found.end()
            self._tokens.append(self._token(found))
        self._tokens.append(("end", ""))

    def holds(self) -> bool:
        value = self._either()
        self._take("end")
        return bool(value)

    def _syntax_error(self) -> ConditionError:
        return ConditionError(f"is no condition: {self._text}")

    def _token(self, found: re.Match[str]) -> tuple[str, str | re.Pattern[str] | None]:
        kind = str(found.lastgroup)
        if kind == "operator":
            return found["operator"], ""
        if kind == "variable":
            if found["variable"] not in self._known:
                raise ConditionError(f"no pipeline sets {found['variable']}: {self._text}")
            return "value", self._variables.get(found["variable"])
        if kind in ("pattern", "flags"):
            try:
                return "pattern", re.compile(f"(?{found['flags']})" * bool(found["flags"]) + found["pattern"])
            except re.error as error:
                raise self._syntax_error() from error
        return "value", None if kind == "null" else found[kind]

    def _take(self, kind: str) -> Any:
        if self._tokens[0][0] != kind:
            raise self._syntax_error()
        return self._tokens.pop(0)[1]

    def _take_one_of(self, *operators: str) -> str:
        return self._tokens.pop(0)[0] if self._tokens[0][0] in operators else ""

    def _either(self) -> bool:
        value = self._both()
        while self._take_one_of("||"):
            value = self._both() or value
        return value

    def _both(self) -> bool:
        value = self._comparison()
        while self._take_one_of("&&"):
            value = self._comparison() and value
        return value

    def _comparison(self) -> bool:
        if self._take_one_of("("):
            value = self._either()
            self._take(")")
            return value
        one = self._take("value")
        if operator := self._take_one_of("==", "!="):
            return bool((one == self._take("value")) == (operator == "=="))
        if operator := self._take_one_of("=~", "!~"):
            found = self._take("pattern").search(one or "")
            return bool(found) == (operator == "=~")
        return bool(one)
