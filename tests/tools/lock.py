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

from tests.databases import VARIANTS  # noqa: E402
from tests.e2e.apps.project import clean_environment  # noqa: E402
from tests.languages import LANGUAGES, Language  # noqa: E402

DATABASE_FOLDERS = {"none": "{{ stateless }}"}
"""The folder of a language that holds what is another in each variant; a database's has its name."""

# Its virtual environment would be made from the old locks: take uv from ours.
ARGUMENTS = {"python": ["INSTALLED=", f"BIN={Path(sys.executable).parent}"]}


def main() -> None:
    """Render each variant, run its own `make upgrade`, and keep what that wrote."""
    warnings.simplefilter("ignore", DirtyLocalWarning)
    lock_copier()
    for language in LANGUAGES.values():
        versions: dict[str, str] = {}
        for database in VARIANTS:
            print(f"Locking {language.name} with {database}", flush=True)
            with tempfile.TemporaryDirectory() as project:
                lock(language, database, Path(project), versions)


def lock_copier() -> None:
    """Lock Copier itself, which the job that proposes updates installs."""
    command = f"{Path(sys.executable).parent / 'uv'} pip compile - --upgrade --universal --python-version=3.11"
    options = "--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet"
    path = REPOSITORY / "template/{{ has_ci }}/scripts/copier.txt"
    subprocess.run([*command.split(), *options.split(), f"--output-file={path}"], input=b"copier", check=True)


def lock(language: Language, database: str, project: Path, versions: dict[str, str]) -> None:
    """Lock one variant, whose dependencies have to have the versions that they have in the earlier ones."""
    copier.run_copy(
        str(REPOSITORY),
        project,
        data={"project_name": "app", "language": language.name, "database": database},
        defaults=True,
        quiet=True,
        settings=copier.Settings(),
        vcs_ref="HEAD",
    )
    subprocess.run(
        ["make", "upgrade", *ARGUMENTS.get(language.name, [])], cwd=project, env=clean_environment(), check=True
    )
    folder = REPOSITORY / "template" / f"{{{{ {language.name} }}}}"
    for kept in (folder, folder / DATABASE_FOLDERS.get(database, f"{{{{ {database} }}}}")):
        for pattern, versioned in language.locks.items():
            for path in (*kept.glob(pattern), *kept.glob(f"[a-z]*/{pattern}")):
                text = (project / path.relative_to(kept)).read_text(encoding="utf-8")
                path.write_text(text, encoding="utf-8")
                for name, version in re.findall(versioned, text, re.MULTILINE):
                    before = versions.setdefault(f"{path.parent.name if path.parent != kept else ''} {name}", version)
                    if version != before:
                        sys.exit(f"{name} would be {before} in one variant and {version} with {database}.")


if __name__ == "__main__":
    main()
