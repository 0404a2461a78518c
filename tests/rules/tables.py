"""The tables of extensions/, as the templates read them."""

from __future__ import annotations

import functools
from typing import Any

import jinja2

from tests.harness import ROOT


@functools.cache
def table(file: str, name: str) -> Any:
    """What a file of extensions/ sets under this name."""
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(ROOT), undefined=jinja2.StrictUndefined)  # noqa: S701
    return getattr(env.get_template(f"extensions/{file}.jinja").module, name)
