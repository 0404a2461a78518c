"""What workers do one after the other, or when no other is left."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from tests.harness import ROOT


@contextmanager
def exclusive_lock(name: str) -> Iterator[None]:
    """Let no other worker in that asks for the same name."""
    with _lock(name) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def shared_lock(name: str) -> Iterator[Callable[[], None]]:
    """Let in all workers that ask for the same name; calling what is given waits until the others have left."""
    with _lock(name) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield lambda: fcntl.flock(lock, fcntl.LOCK_EX)


def _lock(name: str) -> IO[str]:
    folder = ROOT / ".cache/locks"
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / name).open("w")
