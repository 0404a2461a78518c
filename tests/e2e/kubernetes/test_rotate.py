"""`make rotate`: the database, its Secret and the pods get a new password, also when a step fails and it runs again."""

from __future__ import annotations

import base64
import json
import re
import subprocess

import pytest

from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import Object
from tests.e2e.kubernetes.project import Project
from tests.harness.space import Value
from tests.toolchains import tool

STAGING = "staging"
OLD, NEW = "old 'pass\\word\" $x", "new 'pass\\word\" `id`"
# Simulated nodes run nothing, so kubectl's exec leads to a script in the place of the database's: it takes the old
# password, or the new one if it has it already. Each call of kubectl is counted, and that of FAILS fails, before or
# after its work. Another change in the file `race` comes before the first of its own. With the file `operator`,
# External Secrets reads the store when it is told to.
KUBECTL = f"""\
#!/bin/bash
cd "${{0%/*}}"
calls=$(($(cat calls 2> /dev/null || echo 0) + 1))
echo "$calls" > calls
[[ $(cat fails 2> /dev/null) != "before $calls" ]] || exit 1
if [[ " $* " == *" patch "* && -f race ]]; then
  {tool("kubectl")} "${{@:1:4}}" --patch-file=race > /dev/null
  rm race
fi
case " $* " in
  *" exec "*)
    IFS= read -r old
    IFS= read -r new
    has=$(cat database)
    [[ $has == "$old" || $has == "$new" ]] || exit 1
    echo "$new" > database ;;
  *" annotate externalsecret "*)
    {tool("kubectl")} "$@" || exit
    [[ -f operator ]] || exit 0
    # A year for each time, because a time of the API has no fractions of seconds.
    echo >> times
    printf '{{"status":{{"refreshTime":"%s-01-01T00:00:00Z"}}}}' "$((2000 + $(wc -l < times)))" \\
      | {tool("kubectl")} "$1" patch externalsecret "$4" --subresource=status --type=merge --patch-file=/dev/stdin \\
        > /dev/null ;;
  *) (cd "$OLDPWD" && exec {tool("kubectl")} "$@") || exit ;;
esac
[[ $(cat fails 2> /dev/null) != "after $calls" ]] || exit 1
"""


class Rotation:
    """A project whose database and store are files beside a kubectl that counts its calls."""

    def __init__(self, project: Project) -> None:
        self.project = project
        project.stub("kubectl", KUBECTL)
        self.folder = project.stubs

    @property
    def in_database(self) -> str:
        """The password that the database has."""
        return (self.folder / "database").read_text().removesuffix("\n")

    @in_database.setter
    def in_database(self, password: str) -> None:
        (self.folder / "database").write_text(f"{password}\n")

    @property
    def secret(self) -> dict[str, str]:
        """What the Secret holds."""
        data = self.project.cluster.get(self._path)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    @secret.setter
    def secret(self, data: dict[str, str]) -> None:
        path, name = self._path.rsplit("/", 1)
        self.project.cluster.client.delete(self._path)
        body = {"metadata": {"name": name}, "stringData": data}
        assert self.project.cluster.client.post(path, json=body).status_code == 201

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.project.namespace(STAGING)}/secrets/{self.project.service}-database"

    def run(self, given: str = "", fails: str = "") -> subprocess.CompletedProcess[str]:
        """Rotate with this input; the output never has a password."""
        (self.folder / "fails").write_text(fails)
        (self.folder / "calls").unlink(missing_ok=True)
        command = ("make", "--trace", "rotate", f"ENVIRONMENT={STAGING}")
        done = self.project.run(*command, check=False, standard_input=given)
        for password in {OLD, NEW, self.in_database, *self.secret.values()}:
            assert not password.strip() or password not in done.stdout
        return done

    def calls(self) -> int:
        """The number of kubectl's calls of the last run."""
        return int((self.folder / "calls").read_text())

    def annotated(self) -> set[str]:
        """The names of the annotated pods, without their random part."""
        pods: list[Object] = self.project.cluster.items(f"/api/v1/namespaces/{self.project.namespace(STAGING)}/pods")
        return {
            pod["metadata"]["labels"]["app.kubernetes.io/name"]
            for pod in pods
            if "password-rotated" in pod["metadata"].get("annotations", {})
        }


def begin(make_project: Maker, **answers: Value) -> Rotation:
    """A deployed service whose database has the old password."""
    project = make_project(database="mysql", customize=True, replicas=2, **answers)
    project.prepare(STAGING)
    rotation = Rotation(project)
    rotation.secret = {"password": OLD}
    rotation.in_database = OLD
    project.make("deploy", ENVIRONMENT=STAGING, TAG="1" * 40)
    return rotation


@pytest.fixture(scope="module")
def rotation(make_project: Maker) -> Rotation:
    """One of a database in the cluster and Secrets of Kubernetes."""
    return begin(make_project)


def test_random_password_is_in_secret_and_database(rotation: Rotation) -> None:
    rotation.secret = {"password": OLD}
    rotation.in_database = OLD
    done = rotation.run()
    assert done.returncode == 0, done.stdout
    new = rotation.secret["password"]
    assert rotation.secret == {"password": new}
    assert rotation.in_database == new
    assert (len(new), new.isalnum()) == (32, True)
    assert rotation.annotated() == {rotation.project.service, f"{rotation.project.service}-database"}


def test_rotation_continues_after_each_failed_step(rotation: Rotation) -> None:
    rotation.secret = {"password": OLD}
    rotation.in_database = OLD
    assert rotation.run().returncode == 0
    steps = rotation.calls()
    assert steps >= 5
    for step in range(1, steps + 1):
        for when in ("before", "after"):
            rotation.secret = {"password": OLD}
            rotation.in_database = OLD
            done = rotation.run(fails=f"{when} {step}")
            assert done.returncode != 0, (when, step)
            assert "has a new password" not in done.stdout
            assert rotation.in_database in rotation.secret.values(), (when, step)
            assert rotation.run().returncode == 0, (when, step)
            assert rotation.secret == {"password": rotation.in_database}
            assert rotation.in_database != OLD


def test_a_secret_that_changes_meanwhile_is_not_overwritten(rotation: Rotation) -> None:
    """Another rotation has chosen a password between the reading and the writing of this one."""
    rotation.secret = {"password": OLD}
    rotation.in_database = OLD
    (rotation.folder / "race").write_text(json.dumps({"stringData": {"next": NEW}}))
    done = rotation.run()
    assert done.returncode != 0
    assert rotation.in_database == OLD
    assert rotation.secret == {"password": OLD, "next": NEW}
    assert rotation.run().returncode == 0
    assert rotation.secret == {"password": NEW}
    assert rotation.in_database == NEW


def test_external_database_is_not_changed(make_project: Maker) -> None:
    rotation = begin(make_project, database_hosting="external")
    done = rotation.run(NEW)
    assert done.returncode == 0, done.stdout
    assert rotation.secret == {"password": NEW}
    assert rotation.in_database == OLD  # the script does not change it
    assert rotation.annotated() == {rotation.project.service}
    assert rotation.run("").returncode != 0
    assert rotation.secret == {"password": NEW}


def test_a_line_break_at_the_end_is_not_part_of_a_password(rotation: Rotation) -> None:
    """The file of a Secret ended in a line break, which the service ignores."""
    rotation.secret = {"password": f"{OLD}\n"}
    rotation.in_database = OLD
    done = rotation.run()
    assert done.returncode == 0, done.stdout
    assert rotation.in_database == rotation.secret["password"] != OLD


@pytest.mark.parametrize(
    "data", [{"other": "of-another"}, {"password": ""}, {"password": "\n"}, {"password": "first\nsecond"}]
)
def test_a_secret_without_a_password_is_refused(rotation: Rotation, data: dict[str, str]) -> None:
    rotation.secret = data
    rotation.in_database = OLD
    done = rotation.run()
    assert done.returncode != 0
    assert re.search(r"has no password|is empty, or has several lines", done.stdout)
    assert rotation.in_database == OLD


@pytest.fixture(scope="module")
def stored(make_project: Maker) -> Rotation:
    """One whose password a store provides."""
    rotation = begin(make_project, secrets="external-secrets")
    rotation.project.stub("sleep", "#!/bin/sh\n")
    return rotation


def test_a_store_provides_the_password(stored: Rotation) -> None:
    (stored.folder / "operator").touch()
    stored.in_database = OLD
    stored.secret = {"password": NEW}  # as the operator writes it
    done = stored.run(OLD)
    assert done.returncode == 0, done.stdout
    assert stored.in_database == NEW
    assert stored.annotated() == {stored.project.service, f"{stored.project.service}-database"}


@pytest.mark.parametrize(
    ("operator", "typed", "message"),
    [
        (True, OLD, "still has the previous password"),
        (False, OLD, "has not read the store"),
        (False, "another", "has not read the store"),
    ],
)
def test_store_with_the_previous_password_is_reported(
    stored: Rotation, operator: bool, typed: str, message: str
) -> None:
    (stored.folder / "operator").unlink(missing_ok=True)
    if operator:
        (stored.folder / "operator").touch()
    stored.secret = {"password": OLD}
    stored.in_database = OLD
    done = stored.run(typed)
    assert done.returncode != 0
    assert message in done.stdout
    assert stored.in_database == OLD
