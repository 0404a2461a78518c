"""Shell scripts, as shellcheck reads them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.harness import Files, Problem, file_rule, rejects, replace, tool_rule
from tests.toolchains import tool

_PROCESSES = 2
_LONG_OPTION = re.compile(
    r"(?:^|[|;&(!{]|\b(?:if|then|do|else|until|while)\b)\s*"
    r"(base64|cmp|comm|cp|cut|date|grep|head|ls|mkdir|mktemp|mv|paste|rm|sed|sort|tail|tee|tr|uniq|wc|xargs)"
    r"(?: -\S+)* --[a-z]"
)


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


@rejects("an option that Alpine lacks", "scripts/deploy.sh", replace("cmp -s ", "cmp --quiet "))
@rejects("an option of base64", "scripts/rotate.sh", replace("base64 -d ", "base64 --decode "))
@file_rule("*.sh")
def scripts_run_on_alpine(path: str, content: bytes) -> Iterator[Problem]:
    """Jobs of GitLab and restic's image have BusyBox, most of whose commands know short options only."""
    for number, line in enumerate(content.decode().splitlines(), 1):
        if found := _LONG_OPTION.search(line):
            yield Problem(path, f"uses a long option of {found[1]}", str(number))


def shellcheck(scripts: Sequence[str], scratch: Path, *excluded: str) -> list[list[Remark]]:
    """shellcheck's findings in each script, without excluded ones."""
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
