"""What is known from earlier runs: a verdict holds for the same input, tools and tests, so that a re-run takes seconds.

`make clean`, or `--fresh` for one run, forgets it all.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from tests.template import ROOT

FILE = ROOT / ".cache/verdicts.sqlite"
DAYS = 30  # a verdict that no run asked for in this time is dropped
_BUSY = 60.0  # seconds that one process waits for another to write

_enabled = True


def forget() -> None:
    """Let this process neither read nor write what is known."""
    global _enabled  # noqa: PLW0603
    _enabled = False


def remember(check: str, tools: str, inputs: Sequence[Any], find: Callable[[list[int]], Iterable[Any]]) -> list[Any]:
    """What a check finds in each input, looked for only once for equal ones and only if no earlier run has found it.

    Args:
        check: its name; with it, the tests' own code below tests/validators decides the verdict.
        tools: the versions of programs that take part and are not among the locked requirements.
        inputs: of each thing that is checked, all that decides its verdict, as texts, bytes and sequences of them.
        find: takes the indices of the inputs to look at, and gives for each what JSON can hold.

    Returns:
        For each input what was found, as JSON gives it back.
    """
    version = _digest((check, tools, *code("tests/validators", "tests/verdicts.py", "requirements.txt")))
    keys = [_digest((version, item)) for item in inputs]
    first = {key: index for index, key in reversed(list(enumerate(keys)))}
    known = dict(_read(first))
    missing = sorted(index for key, index in first.items() if key not in known)
    if missing:
        found = {keys[index]: json.dumps(item) for index, item in zip(missing, find(missing), strict=True)}
        _write(found)
        known |= found
    decoded = {key: json.loads(text) for key, text in known.items()}
    return [decoded[key] for key in keys]


def known(keys: Iterable[str]) -> list[Any]:
    """What was noted of these keys, of those of which anything was."""
    return [json.loads(text) for _, text in _read(map(bytes.fromhex, keys))]


def note(found: Mapping[str, Any]) -> None:
    """Remember something of each of these keys."""
    _write({bytes.fromhex(key): json.dumps(value) for key, value in found.items()})


def passed(keys: Iterable[str]) -> set[str]:
    """The keys of tests that have passed."""
    return {key.hex() for key, _ in _read(map(bytes.fromhex, keys))}


def note_passed(keys: Iterable[str]) -> None:
    """Remember these keys of tests that have passed."""
    note(dict.fromkeys(keys, True))


def key_of(*parts: Any) -> str:
    """A key of whatever decides a verdict."""
    return _digest(parts).hex()


@functools.cache
def code(*names: str) -> tuple[bytes, ...]:
    """The interpreter, and the content of files and of all Python files in folders of this repository."""
    paths = [path for name in names for path in (sorted((ROOT / name).rglob("*.py")) or [ROOT / name])]
    return (sys.version.encode(), platform.machine().encode(), *(path.read_bytes() for path in paths))


def _digest(value: Any) -> bytes:
    hashed = hashlib.blake2b(digest_size=16)
    for part in _flat(value):
        hashed.update(part)
    return hashed.digest()


def _flat(value: Any) -> Iterator[bytes]:
    """Each part behind its kind and length, so that no two inputs look alike."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        yield b"%d:" % len(value)
        yield value
    elif isinstance(value, (tuple, list)):
        yield b"[%d:" % len(value)
        for item in value:
            yield from _flat(item)
    elif value is None:
        yield b"-"
    else:
        raise TypeError(f"a {type(value).__name__} decides a verdict: {value!r}")


def _open() -> sqlite3.Connection:
    FILE.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(FILE, timeout=_BUSY)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS verdict (key BLOB PRIMARY KEY, found TEXT, day INTEGER) WITHOUT ROWID"
    )
    return connection


def _read(keys: Iterable[bytes]) -> Iterator[tuple[bytes, str]]:
    if not _enabled:
        return
    today = int(time.time() // 86400)
    with closing(_open()) as connection, connection:
        for key in keys:
            for found, day in connection.execute("SELECT found, day FROM verdict WHERE key = ?", (key,)):
                yield key, found
                if day != today:
                    connection.execute("UPDATE verdict SET day = ? WHERE key = ?", (today, key))


def _write(found: dict[bytes, str]) -> None:
    if not _enabled or not found:
        return
    today = int(time.time() // 86400)
    with closing(_open()) as connection, connection:
        connection.executemany(
            "INSERT OR REPLACE INTO verdict VALUES (?, ?, ?)", ((key, text, today) for key, text in found.items())
        )
        connection.execute("DELETE FROM verdict WHERE day < ?", (today - DAYS,))
