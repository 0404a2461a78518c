"""Copier without the work that it repeats from run to run, for tests that run it many times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import copier._main
import copier._subproject
import jinja2
import pytest
from copier._main import Worker
from copier._template import Template

from tests.harness.template import cache_compiled_templates

cleanup = Template._cleanup
new_env = vars(Worker)["jinja_env"].func
answers_file = vars(Worker)["answers_relpath"].fget
context = Worker._render_context
render_template = Worker._render_template


class FastCopier:
    """Clones and reads each version of a template once, and compiles each of its texts once, until it is closed.

    Meanwhile the versions must stay what they are.
    """

    def __init__(self) -> None:
        self._templates: dict[tuple[Any, ...], Template] = {}
        self._envs: dict[int, jinja2.Environment] = {}

    def close(self) -> None:
        """Remove the clones."""
        for template in self._templates.values():
            cleanup(template)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Let Copier's functions run fast."""
        frozen: dict[int, tuple[Any, Any]] = {}

        def render_with_what_is_known_by_then(self: Worker) -> None:
            """Copier works out the same answers anew for each part of each path."""
            frozen[id(self)] = answers_file(self), context(self)
            try:
                render_template(self)
            finally:
                del frozen[id(self)]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(copier._main, "Template", self._template)
            patch.setattr(copier._subproject, "Template", self._template)
            patch.setattr(Template, "_cleanup", lambda _: None)
            patch.setattr(Worker, "jinja_env", property(self._env))
            patch.setattr(Worker, "_render_template", render_with_what_is_known_by_then)
            patch.setattr(
                Worker,
                "answers_relpath",
                property(lambda self: frozen[id(self)][0] if id(self) in frozen else answers_file(self)),
            )
            patch.setattr(
                Worker,
                "_render_context",
                lambda self: dict(frozen[id(self)][1]) if id(self) in frozen else context(self),
            )
            # It asks git for core.fileMode, for each file, and does nothing where modes are those of the disk.
            patch.setattr(Worker, "_sync_git_index_executable_bit", lambda *_: None)
            yield

    def _template(self, url: str, ref: Any, use_prereleases: bool = False) -> Template:
        key = (url, ref, use_prereleases)
        if key not in self._templates:
            self._templates[key] = Template(url=url, ref=ref, use_prereleases=use_prereleases)
        return self._templates[key]

    def _env(self, worker: Worker) -> jinja2.Environment:
        key = id(worker.template)
        if key not in self._envs:
            self._envs[key] = new_env(worker)
            cache_compiled_templates(self._envs[key])
        return self._envs[key]
