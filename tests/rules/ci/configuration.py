"""Rules about one configuration file of a provider of CI."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.harness import Problem, Rule, file_rule, load
from tests.harness.rules import FileRule

Configuration = dict[str, Any]
Problems = Iterator[tuple[str, str]]
"""Pointers into a configuration, and what is wrong there."""


def configuration_rule(
    pattern: str, after: Sequence[Rule] = ()
) -> Callable[[Callable[[Configuration], Problems]], FileRule]:
    """A rule about what a file of this name configures; `after` are rules without which it could not read the file."""

    def decorate(function: Callable[[Configuration], Problems]) -> FileRule:
        @functools.wraps(function)
        def check(path: str, content: bytes) -> Iterator[Problem]:
            if all(_holds(other, path, content) for other in after):
                for where, message in function(load(content)):
                    yield Problem(path, message, where)

        return file_rule(pattern)(check)

    return decorate


@functools.cache
def _holds(rule: Rule, path: str, content: bytes) -> bool:
    return not rule.check({path: content})
