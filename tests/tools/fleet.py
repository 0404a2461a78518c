"""Lists services, the versions of their template and its proposals: `make fleet FILE=services.txt`.

FILE has the address of a repository on each line. Git reads it with your own credentials. GITHUB_TOKEN and GITLAB_TOKEN
may read requests; each is sent to GITHUB_API_URL or GITLAB_API_URL only.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml
from copier._template import Template
from packaging.version import InvalidVersion, Version

from tests.harness import ANSWERS_FILE

COLUMNS = ("repository", "folder", "service", "version", "behind", "language", "database", "ci", "proposal")
UNKNOWN = "unknown"
WORKERS = 16
CONFLICTS = re.compile(r"^`(.+)`\n\n~~~~~~\n<<<<<<< ", re.MULTILINE)

Row = dict[str, str]


def read(address: str) -> list[Row]:
    """A row for each project of a repository."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            _git("clone", "--quiet", "--bare", "--depth=1", "--filter=blob:none", address, folder)
            paths = _git("-C", folder, "ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0")
            texts = {path: _git("-C", folder, "show", f"HEAD:{path}") for path in paths if _is_answers_file(path)}
        except subprocess.CalledProcessError as error:
            return [
                _row(repository=address, version=f"cannot be read: {_public(error.stderr.strip().splitlines()[-1])}")
            ]
    rows = [_describe(address, Path(path).parent, yaml.safe_load(text)) for path, text in texts.items()]
    return rows or [_row(repository=address, version="has no template")]


def table(rows: list[Row]) -> str:
    """Rows as a table of Markdown."""
    cells = [list(COLUMNS), ["---"] * len(COLUMNS), *([row[name] for name in COLUMNS] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in cells)


def main(file: str = "", style: str = "table") -> None:
    if not file or style not in ("table", "json"):
        sys.exit("FILE must have the address of a repository on each line, and FORMAT be table or json.")
    lines = (line.partition("#")[0].strip() for line in Path(file).read_text().splitlines())
    with ThreadPoolExecutor(WORKERS) as pool:
        rows = [row for found in pool.map(read, filter(None, lines)) for row in found]
    print(json.dumps(rows, indent=2) if style == "json" else table(rows))


def _is_answers_file(path: str) -> bool:
    return Path(path).name == ANSWERS_FILE


def _row(repository: str, **values: str) -> Row:
    return dict.fromkeys(COLUMNS, "") | {"repository": _public(repository), **values}


def _public(text: str) -> str:
    """A text whose addresses have no password."""
    return re.sub(r"(?<=://)[^@/\s]+@", "", text)


def _describe(address: str, folder: Path, answers: dict[str, Any]) -> Row:
    return _row(
        repository=address,
        folder=str(folder),
        service=str(answers.get("service_name", "")),
        version=str(answers.get("_commit", UNKNOWN)),
        behind=_behind(str(answers.get("_src_path", "")), str(answers.get("_commit", ""))),
        language=str(answers.get("language", "")),
        database=str(answers.get("database", "")),
        ci=str(answers.get("ci_provider", "")),
        proposal=_proposal(address, folder, is_gitlab=answers.get("ci_provider") == "gitlab"),
    )


def _behind(source: str, commit: str) -> str:
    """How many releases of the template are newer."""
    try:
        own = Version(re.sub(r"-\d+-g[0-9a-f]+$", "", commit))
        return str(sum(version > own for version in _releases(source)))
    except (InvalidVersion, subprocess.CalledProcessError, ValueError):
        return UNKNOWN


@functools.cache
def _releases(source: str) -> tuple[Version, ...]:
    refs = _git("ls-remote", "--tags", Template(source).url_expanded)
    return tuple(Version(tag) for tag in re.findall(r"refs/tags/(v?\d+(?:\.\d+)+(?:\.post\d+)?)$", refs, re.MULTILINE))


def _proposal(address: str, folder: Path, *, is_gitlab: bool) -> str:
    """The version that is proposed, and the files with conflicts, as scripts/propose_update.py writes them."""
    kind, default = ("GITLAB", "https://gitlab.com/api/v4") if is_gitlab else ("GITHUB", "https://api.github.com")
    api, token = os.environ.get(f"{kind}_API_URL", default), os.environ.get(f"{kind}_TOKEN", "")
    parts = urlsplit(address if "://" in address else f"ssh://{address.replace(':', '/', 1)}")
    slug = parts.path.strip("/").removesuffix(".git")
    if not token or parts.netloc.rpartition("@")[2] != urlsplit(api).netloc.removeprefix("api."):
        return UNKNOWN
    if is_gitlab:
        url, headers = f"{api}/projects/{quote(slug, safe='')}/merge_requests?state=opened", {"PRIVATE-TOKEN": token}
    else:
        url, headers = f"{api}/repos/{slug}/pulls?state=open", {"Authorization": f"Bearer {token}"}
    try:
        request = urllib.request.Request(f"{url}&per_page=100", headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            requests = json.load(response)
    except OSError as error:
        return f"{UNKNOWN}: {error}"
    return next(_summaries(requests, folder), "none")


def _summaries(requests: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    prefix = re.sub(r"[^\w./-]", "-", str(folder / "template-"))
    for request in requests:
        branch = request.get("source_branch") or request["head"]["ref"]
        if branch.startswith(prefix):
            conflicts = CONFLICTS.findall(request.get("description") or request.get("body") or "")
            yield branch.removeprefix(prefix) + (f", conflicts in {', '.join(conflicts)}" if conflicts else "")


def _git(*arguments: str) -> str:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(["git", *arguments], env=environment, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
