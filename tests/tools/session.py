"""Records `copier copy` at a terminal, as a picture for the README."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile

import pexpect
from rich.console import Console
from rich.text import Text

from tests.harness.dialog import ENTER, Dialog
from tests.harness.space import Space

COMMAND = "uvx copier copy gh:org/k8s-starter myapp"
COLUMNS = 90
FILES = re.compile(r"(?m)^(Copying from| +(create|identical) ).*\n")
# A question as it is shown first: later updates of the screen repeat it.
QUESTION = re.compile(r"(?s)\x1b\[J((?:\x1b\[[0-9;]*m)*🎤.*?)\x1b\[\d+D")


def record(space: Space) -> str:
    """Accept every default, and return the text on the screen, with its colors and without the list of files."""
    dialog, screens = Dialog(space), ""
    with tempfile.TemporaryDirectory() as folder:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "copier", "copy", str(space.template.folder), "myapp"],
            cwd=folder,
            encoding="utf-8",
            timeout=60,
            dimensions=(100, COLUMNS),
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )
        for name in dialog.asked({"project_name": "myapp"}):
            child.expect_exact(space.template.questions[name]["help"].splitlines()[0])
            screens += f"{child.before}{child.after}"
            child.send("n" if name == "customize" else ENTER)
        child.expect(pexpect.EOF)
        child.close()
    screens = re.sub(r"\r+\n", "\n", f"{screens}{child.before}")
    before, _, prompts = screens.partition("\x1b")
    # Each question is shown again with its answer.
    asked = {text.splitlines()[0]: text for text in reversed(QUESTION.findall(prompts))}
    after = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", prompts.rpartition("\x1b[?2004l")[2])
    return "\n".join([f"$ {COMMAND}", before.strip(), *reversed(asked.values()), "…", FILES.sub("", after).strip()])


def picture(space: Space) -> str:
    """Return the recorded session as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(record(space)))
    svg = console.export_svg(title="copier copy", unique_id="session")
    return re.sub(r"(?s)\s*@font-face \{.*?\}", "", svg)
