"""A newcomer, who types the commands of documents in their order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import yaml

from tests.e2e.commands import wait_for
from tests.harness.plugin import notes

NOT_RUN, RUN_AS = "not run: ", "run as: "


def commands(document: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a document's blocks of shell code, after the heading of its section."""
    section = ""
    for heading, block in re.findall(r"(?ms)^#+ ([^\n]+)$|^```sh\n(.*?)^```$", document):
        section = heading or section
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if command := re.sub(r"(^|\s+)#( .*|$)", "", line).strip():
                yield section, command


class Newcomer:
    """Follows documents, except for the commands that a table changes or leaves out.

    Args:
        machine: its description, for the exceptions that are printed.
        table: a YAML file with the exceptions of each document and section.
        values: the values of names in braces in that file.
        run: runs a command, which has to succeed.

    """

    def __init__(self, machine: str, table: Path, values: Mapping[str, object], run: Callable[[str], None]) -> None:
        self.machine, self.values, self.run = machine, values, run
        self.exceptions: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(table.read_text(encoding="utf-8"))

    def follow(self, name: str, document: str) -> None:
        """Run the commands of a document, and fail if it lacks one of its exceptions."""
        exceptions = {
            (section, self._filled(command)): exception
            for section, listed in self.exceptions.get(name, {}).items()
            for command, exception in listed.items()
        }
        left = {*exceptions}
        for place in commands(document):
            left.discard(place)
            section, command = place
            if exception := exceptions.get(place, ""):
                notes.add(f"First hour {self.machine}: {name}, {section}: `{command}` {exception}")
            if not exception.startswith(NOT_RUN):
                self.run(self._filled(exception.removeprefix(RUN_AS)) or command)
        assert not left, f"{name} has no commands {left}"

    def _filled(self, text: str) -> str:
        for name, value in self.values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text


def curl(command: str, explain: Callable[[], str] = str) -> None:
    """Send the request of a curl command, because not every machine has curl, as soon as the service is ready."""
    *options, url = sorted(shlex.split(command)[1:], key=lambda word: word.startswith("localhost"))
    given = dict(zip(options[::2], options[1::2], strict=True))
    headers = dict([given["-H"].split(": ")]) if "-H" in given else {}
    wait_for_text(f"http://{url.partition('/')[0]}/readyz", "ok", explain)
    response = httpx.request(
        given.get("-X", "GET"), f"http://{url}", headers=headers, content=given.get("-d"), trust_env=False
    )
    assert response.is_success, response.text


def wait_for_text(url: str, text: str, explain: Callable[[], str] = str) -> None:
    """Wait until a response has a text."""

    def has_text() -> bool:
        try:
            return text in httpx.get(url, trust_env=False).text
        except httpx.TransportError:
            return False

    wait_for(has_text, explain)
