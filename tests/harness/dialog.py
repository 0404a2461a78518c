"""Determines which questions a template asks after which answers, and answers them at a terminal."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect

from tests.harness.space import IS_EDGE_CASE, Answers, Space
from tests.harness.template import choices

Texts = Callable[[str, Answers], tuple[Any, Any]]
CLEAR_LINE, DOWN, ENTER = "\x15", "\x1b[B", "\r"


class Dialog:
    def __init__(self, space: Space) -> None:
        self.space = space
        self.template = space.template
        self.defaults = space.complete({})[1]

    def asked(self, answers: Answers) -> Answers:
        """What is asked after these answers, in that order, each with its answer or default."""
        return dict(self._asked(tuple(answers.items())))

    @functools.cache  # noqa: B019
    def _asked(self, answers: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
        worker = self.template.worker(dict(answers))
        worker._ask()
        return tuple(
            (name, worker.answers.combined[name]) for name in self.space.asked if name not in worker.answers.hidden
        )

    def refusal(self, answers: Answers) -> str:
        """The sentence that refuses these answers; nothing if they are accepted."""
        try:
            self.asked(answers)
        except ValueError as error:
            return str(error).partition(": ")[2]
        return ""

    def options(self, name: str) -> list[Any]:
        """The choices of a question; none for a text or number."""
        details = self.template.questions[name]
        return choices(details["choices"]) if "choices" in details else [False, True] * (details["type"] == "bool")

    def combinations(self, name: str) -> list[Answers]:
        """Every combination of the answers on which it depends whether a question is asked."""
        decisive = self.template.names_in(self.template.questions[name].get("when"))
        return [answers for answers, _ in self.space.walk(decisive)]

    @functools.cache  # noqa: B019
    def fewest(self, name: str) -> Answers:
        """The fewest answers after which a question is asked."""
        found = [answers for answers in self.combinations(name) if name in self.asked(answers)]
        changed = [{other: one[other] for other in one if one[other] != self.defaults[other]} for one in found]
        return min(changed, key=len)

    @functools.cache  # noqa: B019
    def profiles(self) -> list[Answers]:
        """A few sets of options with which every question is asked at least once."""
        rows = self.space.table.filter(IS_EDGE_CASE).iter_rows(named=True)  # which hold every answer
        candidates, found, missing = [self.space.given(row) for row in rows], [], {*self.space.asked}
        while missing:
            answers = max(candidates, key=lambda answers: len(missing & answers.keys()))
            found.append({name: value for name, value in answers.items() if self.options(name)})
            missing -= answers.keys()
        return found

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
