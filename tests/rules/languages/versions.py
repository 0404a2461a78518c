"""What holds for every language: which versions projects require."""

from __future__ import annotations

from collections.abc import Iterator

from tests.harness import Problem, file_rule, replace, write
from tests.harness.projects import matches
from tests.languages import LANGUAGES
from tests.rules.tables import table


@file_rule(*(language.manifest for language in LANGUAGES.values()))
def projects_require_the_oldest_version(path: str, content: bytes) -> Iterator[Problem]:
    """A project requires the oldest version of its language that the template promises, and no newer one."""
    language = next(language for language in LANGUAGES.values() if matches(path, (language.manifest,)))
    required = language.requires.format(table("versions", "languages")[language.name]["oldest"])
    if required not in content.decode():
        yield Problem(path, f"does not say {required.strip()}", required.partition(">")[0].split("{")[0].strip())


projects_require_the_oldest_version.rejects(
    "a newer Python", "pyproject.toml", replace('requires-python = ">=3', 'requires-python = ">=4')
)
projects_require_the_oldest_version.rejects("a newer Node.js", "package.json", replace('"node": ">=', '"node": ">=9'))
projects_require_the_oldest_version.rejects("a newer Go", "go.mod", replace("\ngo 1.", "\ngo 1.9"))
projects_require_the_oldest_version.rejects("a newer Go of the tools", "tools/go.mod", replace("\ngo 1.", "\ngo 1.9"))


@file_rule(".nvmrc")
def version_managers_install_the_version_of_the_image(path: str, content: bytes) -> Iterator[Problem]:
    """The file names the Node.js of the image."""
    version = table("versions", "languages")["typescript"]["version"]
    if content.decode() != f"{version}\n":
        yield Problem(path, f"does not name {version}")


version_managers_install_the_version_of_the_image.rejects("another Node.js", ".nvmrc", write("20\n"))
