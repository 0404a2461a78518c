"""Lock the dependencies of every rendered application anew: `python tests/apps/lock.py`."""

import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import copier
from copier.errors import DirtyLocalWarning

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / "template" / "{{ python }}"
FOLDERS = {
    "none": "{{ no_database }}",
    "postgres": "{{ postgres }}",
    "mysql": "{{ mysql }}",
    "redis": "{{ redis }}",
}
LOCKS = ("requirements.txt", "requirements-dev.txt")


def main() -> None:
    """Render each variant, run its own `make lock`, and keep what that wrote."""
    warnings.simplefilter("ignore", DirtyLocalWarning)
    versions: dict[str, str] = {}
    for database, folder in FOLDERS.items():
        with tempfile.TemporaryDirectory() as project:
            answers = {"project_name": "app", "database": database}
            copier.run_copy(
                str(REPOSITORY),
                project,
                data=answers,
                defaults=True,
                quiet=True,
                settings=copier.Settings(),
                vcs_ref="HEAD",
            )
            # Its virtual environment would be made from the old locks: take uv from ours.
            ours = f"BIN={Path(sys.executable).parent}"
            subprocess.run(["make", "lock", "INSTALLED=", ours], cwd=project, check=True)
            for lock in LOCKS:
                text = (Path(project) / lock).read_text(encoding="utf-8")
                for name, version in re.findall(r"^(\S+)==(\S+)", text, re.MULTILINE):
                    if versions.setdefault(name, version) != version:
                        sys.exit(f"{name} would be {versions[name]} in one variant and {version} with {database}.")
                shutil.copy(Path(project) / lock, PYTHON / folder / lock)


if __name__ == "__main__":
    main()
