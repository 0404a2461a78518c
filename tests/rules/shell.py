"""Shell scripts, as shellcheck reads them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.harness import Files, Problem, rejects, replace, tool_rule
from tests.toolchains import tool

_PROCESSES = 2


class Remark(NamedTuple):
    line: int
    message: str


@rejects("a word that splits", "scripts/check.sh", replace('kustomize "$folder"', "kustomize $folder"))
@tool_rule("*.sh")
def scripts_are_sound(batch: Sequence[Files], scratch: Path) -> Iterator[list[Problem]]:
    """Shellcheck finds nothing in a script."""
    remarks = shellcheck([content.decode() for files in batch for content in files.values()], scratch, "SC1091")
    for (path,), found in zip(batch, remarks, strict=True):
        yield [Problem(path, remark.message, str(remark.line)) for remark in found]


def shellcheck(scripts: Sequence[str], scratch: Path, *excluded: str) -> list[list[Remark]]:
    """What shellcheck says of each script, besides what is excluded."""
    for index, script in enumerate(scripts):
        Path(scratch, f"{index}.sh").write_text(script)
    names = [f"{index}.sh" for index in range(len(scripts))]
    shares = [names[start::_PROCESSES] for start in range(min(_PROCESSES, len(names)))]
    found: list[list[Remark]] = [[] for _ in scripts]
    with ThreadPoolExecutor(_PROCESSES) as pool:
        for said in pool.map(lambda share: _shellcheck(share, scratch, excluded), shares):
            for item in json.loads(said):
                index = int(item["file"].removesuffix(".sh"))
                text = [*scripts[index].splitlines(), ""][item["line"] - 1].strip()
                found[index].append(Remark(item["line"], f"SC{item['code']}: {item['message']} In: {text}"))
    return found


def _shellcheck(names: Sequence[str], scratch: Path, excluded: Sequence[str]) -> str:
    command = [tool("shellcheck"), "--shell=bash", "--format=json", f"--exclude={','.join(excluded)}", *names]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr)
    return done.stdout
