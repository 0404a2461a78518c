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
        self,
        function: Callable[[Configuration], Problems],
        pattern: str,
        after: Sequence[ConfigurationRule],
    ) -> None:
        @functools.wraps(function)
        def check(path: str, content: bytes) -> Iterator[Problem]:
            if all(other.is_followed(content) for other in after):
                yield from (Problem(path, message, where) for where, message in function(load(content)))

        super().__init__(check, [pattern], unreadable=False)
        self.after = after

    @functools.cache  # noqa: B019
    def is_followed(self, content: bytes) -> bool:
        """Whether a file follows this rule and those before it."""
        return all(other.is_followed(content) for other in self.after) and not any(self.function("", content))


def configuration_rule(
    pattern: str, after: Sequence[ConfigurationRule] = ()
) -> Callable[[Callable[[Configuration], Problems]], ConfigurationRule]:
    """A rule about what the files of these names configure."""
    return lambda function: ConfigurationRule(function, pattern, after)
