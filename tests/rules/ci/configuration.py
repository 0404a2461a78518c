"""Rules about one configuration file of a provider of CI."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.harness import Problem, load
from tests.harness.rules import FileRule

Configuration = dict[str, Any]
Problems = Iterator[tuple[str, str]]
"""Pointers into a configuration, and what is wrong there."""


class ConfigurationRule(FileRule):
    """A rule about a configuration that follows the rules `after` which it comes, without which it cannot be read."""

    def __init__(
        self, function: Callable[[Configuration], Problems], pattern: str, after: Sequence[ConfigurationRule]
    ) -> None:
        check = functools.partial(_problems, function, after)
        super().__init__(functools.update_wrapper(check, function), [pattern])
        self.after = after

    def is_followed(self, content: bytes) -> bool:
        """Whether a file follows this rule and those before it."""
        return _is_followed(self, content)


def configuration_rule(
    pattern: str, after: Sequence[ConfigurationRule] = ()
) -> Callable[[Callable[[Configuration], Problems]], ConfigurationRule]:
    """A rule about what the files of these names configure."""
    return lambda function: ConfigurationRule(function, pattern, after)


def _problems(
    function: Callable[[Configuration], Problems], after: Sequence[ConfigurationRule], path: str, content: bytes
) -> Iterator[Problem]:
    if all(rule.is_followed(content) for rule in after):
        for where, message in function(load(content)):
            yield Problem(path, message, where)


@functools.cache
def _is_followed(rule: ConfigurationRule, content: bytes) -> bool:
    return all(other.is_followed(content) for other in rule.after) and not any(rule.function("", content))
