"""Sets of files on the disk, for tools that read folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.harness import Files


def write_all(batch: Sequence[Files], folder: Path) -> None:
    """Write each set into a folder that has its number as a name."""
    for number, files in enumerate(batch):
        for path, content in files.items():
            target = folder / str(number) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
