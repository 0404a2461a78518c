"""Lock the dependencies of every rendered application anew: `python tests/tools/lock.py`."""

import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import copier
from copier.errors import DirtyLocalWarning

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from tests.e2e.apps.project import DATABASES, LANGUAGES, clean_environment  # noqa: E402

DATABASE_FOLDERS = {"none": "{{ stateless }}"}
"""The folder of a language that holds what is another in each variant; a database's has its name."""

LOCKS = {
    "requirements*.txt": r"^(\S+)==(\S+)",
    "package-lock.json": r'^    "(node_modules/\S+)": \{\n      "version": "(\S+)"',
    "go.mod": r"^\t(\S+) (v\S+)$",  # others are chosen for each variant
    "go.sum": r"(?!)",  # go.mod has told
}
"""How the files of each kind tell a dependency and its version."""

# Its virtual environment would be made from the old locks: take uv from ours.
ARGUMENTS = {"python": ["INSTALLED=", f"BIN={Path(sys.executable).parent}"]}


def main() -> None:
    """Render each variant, run its own `make lock`, and keep what that wrote."""
    warnings.simplefilter("ignore", DirtyLocalWarning)
    for language in LANGUAGES:
        versions: dict[str, str] = {}
        for database in DATABASES:
            print(f"Locking {language} with {database}", flush=True)
            with tempfile.TemporaryDirectory() as project:
                lock(language, database, Path(project), versions)


def lock(language: str, database: str, project: Path, versions: dict[str, str]) -> None:
    """Lock one variant, whose dependencies have to have the versions that they have in the earlier ones."""
    copier.run_copy(
        str(REPOSITORY),
        project,
        data={"project_name": "app", "language": language, "database": database},
        defaults=True,
        quiet=True,
        settings=copier.Settings(),
        vcs_ref="HEAD",
    )
    subprocess.run(["make", "lock", *ARGUMENTS.get(language, [])], cwd=project, env=clean_environment(), check=True)
    folder = REPOSITORY / "template" / f"{{{{ {language} }}}}"
    for kept in (folder, folder / DATABASE_FOLDERS.get(database, f"{{{{ {database} }}}}")):
        for pattern, versioned in LOCKS.items():
            for path in (*kept.glob(pattern), *kept.glob(f"[a-z]*/{pattern}")):
                text = (project / path.relative_to(kept)).read_text(encoding="utf-8")
                path.write_text(text, encoding="utf-8")
                for name, version in re.findall(versioned, text, re.MULTILINE):
                    before = versions.setdefault(f"{path.parent.name if path.parent != kept else ''} {name}", version)
                    if version != before:
                        sys.exit(f"{name} would be {before} in one variant and {version} with {database}.")


if __name__ == "__main__":
    main()
