"""Finds out which questions a template asks after which answers, and answers them as a person at a terminal does."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect

from tests.harness.template import Template, choices

Answers = dict[str, Any]
Texts = Callable[[str, Answers], tuple[Any, Any]]
CLEAR_LINE, DOWN, ENTER = "\x15", "\x1b[B", "\r"


class Dialog:
    def __init__(self, template: Template) -> None:
        self.template = template

    def asked(self, answers: Answers) -> Answers:
        """What is asked after these answers, in that order, each with its answer or default."""
        return dict(self._asked(tuple(answers.items())))

    @functools.cache  # noqa: B019
    def _asked(self, answers: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
        worker = self.template.worker(dict(answers))
        worker._ask()
        return tuple(
            (name, worker.answers.combined[name]) for name in self.questions if name not in worker.answers.hidden
        )

    def refusal(self, answers: Answers) -> str:
        """The sentence that refuses these answers; nothing if they are accepted."""
        try:
            self.asked(answers)
        except ValueError as error:
            return str(error).partition(": ")[2]
        return ""

    @functools.cached_property
    def questions(self) -> list[str]:
        return [name for name, details in self.template.questions.items() if details.get("when") is not False]

    def options(self, name: str) -> list[Any]:
        """The answers among which a person chooses; none of a text or number."""
        details = self.template.questions[name]
        return choices(details["choices"]) if "choices" in details else [False, True] * (details["type"] == "bool")

    def combinations(self, name: str) -> Iterator[Answers]:
        """Every combination of options of the questions on which it depends whether this one is asked."""
        found: list[Answers] = [{}]
        for other in self.questions[: self.questions.index(name)]:
            if other in self._conditions(name) and self.options(other):
                found = [
                    {**answers, **given}
                    for answers in found
                    for given in (
                        [{other: value} for value in self.options(other)] if other in self.asked(answers) else [{}]
                    )
                ]
        yield from found

    def _conditions(self, name: str) -> set[str]:
        direct = self.template.names_in(self.template.questions[name].get("when"))
        return {*direct, *(other for one in direct for other in self._conditions(one))}

    @functools.cache  # noqa: B019
    def fewest(self, name: str) -> Answers:
        """A few answers after which a question is asked, each of which it needs."""
        needed = next(answers for answers in self.combinations(name) if name in self.asked(answers))
        for other in list(needed):
            fewer = {one: value for one, value in needed.items() if one != other}
            needed = fewer if name in self._if_accepted(fewer) else needed
        return needed

    def _if_accepted(self, answers: Answers) -> Answers:
        return {} if self.refusal(answers) else self.asked(answers)

    @functools.cache  # noqa: B019
    def profiles(self) -> list[Answers]:
        """A few sets of options with which every question is asked at least once, seldom the defaults."""
        found: list[Answers] = []
        while missing := [name for name in self.questions if not any(name in self.asked(answers) for answers in found)]:
            profile: Answers = {}
            for wanted in map(self.fewest, missing):
                profile = self._merged(profile, wanted) or profile
            for name, default in self.asked(profile).items():
                others = [value for value in reversed(self.options(name)) if value != default and name not in profile]
                profile = next(filter(None, (self._merged(profile, {name: value}) for value in others)), profile)
            found.append(profile)
        return found

    def _merged(self, profile: Answers, more: Answers) -> Answers:
        """Both, if nothing that is asked with the first is lost."""
        both = {**profile, **more}
        keeps = profile.items() <= both.items() and self.asked(profile).keys() <= self._if_accepted(both).keys()
        return both if keeps else {}

    def hold(self, destination: Path, profile: Answers, texts: Texts, seconds: int = 60) -> Answers:
        """Copy at a terminal, and return what was answered.

        Args:
            destination: of the copy.
            profile: the options to choose; others keep their defaults.
            texts: to a text or number, an invalid answer (or None), which is typed first, and a valid one.
            seconds: how long an expected text may take to appear.
        """
        command = ["-m", "copier", "copy", str(self.template.folder), str(destination)]
        environment = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        child = pexpect.spawn(
            sys.executable, command, encoding="utf-8", timeout=seconds, dimensions=(50, 200), env=environment
        )
        child.delaybeforesend = None
        typed: Answers = {}
        try:
            while name := next((name for name in self.asked(typed) if name not in typed), ""):
                options, default = self.options(name), self.asked(typed)[name]
                child.expect_exact(self.template.questions[name]["help"].splitlines()[0])
                if not options:
                    invalid, valid = texts(name, typed)
                    if invalid is not None:
                        child.send(f"{CLEAR_LINE}{invalid}{ENTER}")
                        child.expect_exact(self.refusal({**typed, name: invalid})[:60])
                    child.send(f"{CLEAR_LINE}{valid}{ENTER}")
                elif options == [False, True]:
                    child.send("y" if profile.get(name, default) else "n")
                else:
                    steps = options.index(profile.get(name, default)) - options.index(default)
                    child.send(DOWN * (steps % len(options)) + ENTER)
                typed[name] = profile.get(name, default) if options else valid
            child.expect(pexpect.EOF)
        except (pexpect.TIMEOUT, pexpect.EOF):
            screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", str(child.before))
            raise AssertionError(f"the dialog stops at {name or 'its end'}; the screen shows:\n{screen}") from None
        finally:
            child.close(force=True)
        assert child.exitstatus == 0, child.before
        return typed
