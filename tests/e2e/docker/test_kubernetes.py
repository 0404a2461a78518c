"""The rendered manifests on a real node: the pushed image is pulled and runs, and requests are answered throughout."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.commands import wait_for
from tests.e2e.docker.engine import Engine
from tests.e2e.docker.load import Load, command, is_answered
from tests.e2e.docker.node import Node
from tests.e2e.docker.project import Client, Project, assert_contract, wait_for_answer
from tests.e2e.kubernetes import project as cluster
from tests.harness import Projects, Template
from tests.harness.plugin import Count

STAGING = "staging"

# Over the network, as the service does: some servers trust their own machine.
LOG_IN = {
    "postgres": 'PGPASSWORD=$(cat) psql --host="$(hostname -i)" --username=app --dbname=app --command="SELECT 1"',
    "mysql": 'MYSQL_PWD=$(cat) mysql --host="$(hostname -i)" --user=app --execute="SELECT 1"',
    "redis": 'REDISCLI_AUTH=$(cat) redis-cli -h "$(hostname -i)" PING | grep PONG',
}

ADD_NOTE = {
    "python": (
        "migrations/versions/0002_add_note.py",
        """import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("items", sa.Column("note", sa.String(100)))
""",
    ),
    "typescript": ("migrations/0002.do.add-note.sql", "ALTER TABLE items ADD COLUMN note varchar(100);\n"),
}
"""A migration of each language: its file and content."""

COLUMN = "SELECT column_name FROM information_schema.columns WHERE table_name = 'items' AND column_name = 'note'"

with_database = pytest.mark.databases("postgres", "mysql", "redis")


def bring(node: Node, engine: Engine, image: str, folder: Path) -> None:
    """Give the node an image of the engine."""
    archive = folder / "image.tar"
    engine.docker("save", f"--output={archive}", image)
    node.import_image(archive)
    archive.unlink()


@pytest.fixture(scope="session")
def helper_on_node(node: Node, engine: Engine, helper: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image with Python, which the node has too."""
    bring(node, engine, helper, tmp_path_factory.mktemp("images"))
    return helper


class Shop(cluster.Project):
    """A project with a login to the registry."""

    def __init__(self, node: Node, projects: Projects, project: Project) -> None:
        folder = project.path.with_name("in-cluster")
        super().__init__(node, projects.render(project.answers), folder, project.answers)
        self.docker = {
            name: value for name, value in project.environment().items() if name.startswith(("REGISTRY_", "DOCKER_"))
        }

    def environment(self) -> dict[str, str]:
        """What kubectl, `make registry-secret` and `make digest` need."""
        return super().environment() | self.docker | {"DIGEST": ""}


@pytest.fixture(scope="module")
def deployed(
    node: Node, projects: Projects, project: Project, engine: Engine, template: Template, tag: str
) -> Iterator[Shop]:
    """A project whose first version runs in staging."""
    host = project.image.partition("/")[0]
    node.use_registry(host, int(host.rpartition(":")[2]))
    shop = Shop(node, projects, project)
    if project.database != "none":
        for image in (template.table("versions", "images")[project.database], template.table("versions", "restic")):
            bring(node, engine, image, project.path.parent)
    shop.prepare(STAGING)
    shop.make("registry-secret", ENVIRONMENT=STAGING)
    shop.make("deploy", ENVIRONMENT=STAGING, TAG=tag)
    yield shop
    node.kubectl("delete", "namespace", shop.namespace(STAGING), "--wait=false", "--ignore-not-found")


@contextmanager
def forwarded(shop: Shop, environment: str = STAGING) -> Iterator[Client]:
    """A client of the port that `make forward` opens here, until the pod goes that answers there."""
    address = f"http://127.0.0.1:{shop.answers['port']}"
    command = ["make", "forward", f"ENVIRONMENT={environment}"]
    with subprocess.Popen(
        command, cwd=shop.path, env=shop.environment(), stdout=subprocess.DEVNULL, process_group=0
    ) as forward:
        try:
            wait_for_answer(address)
            with Client(address) as client:
                yield client
        finally:
            os.killpg(forward.pid, signal.SIGTERM)


@pytest.fixture
def client(deployed: Shop) -> Iterator[Client]:
    """A client of one of the pods."""
    with forwarded(deployed) as client:
        yield client


@pytest.fixture(scope="module")
def load(node: Node, projects: Projects, deployed: Shop, helper_on_node: str) -> Iterator[Load]:
    """A load on the service's name from a pod of another namespace."""
    namespace = f"{deployed.service}-clients"
    host = f"{deployed.service}.{deployed.namespace(STAGING)}.svc.cluster.local"
    port = int(projects.context(deployed.answers)["service_port"])
    container = {
        "name": "load",
        "image": helper_on_node,
        "command": command(host, port, str(deployed.answers["database"])),
    }
    metadata = {"name": "load", "namespace": namespace}
    spec = {"containers": [container], "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    node.kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={namespace}", "--timeout=200s")
    node.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    node.kubectl("wait", "--for=condition=Ready", "pod/load", f"--namespace={namespace}", "--timeout=200s")
    load = Load(lambda: node.kubectl("logs", "load", f"--namespace={namespace}").stdout)
    load.wait_for(1)
    yield load
    node.kubectl("delete", "namespace", namespace, "--wait=false")


def test_pushed_image_implements_the_contract(project: Project, client: Client, tag: str) -> None:
    assert_contract(client, project, version=tag)


def test_every_pod_runs_as_its_manifest_specifies(project: Project, deployed: Shop, tag: str) -> None:
    pods = deployed.pods(STAGING)
    assert len(pods) == deployed.answers.get("replicas", 2)
    assert deployed.tags(STAGING) == {tag}
    digest = project.make("digest", TAG=tag).stdout.strip()
    for pod in pods:
        assert pod["spec"]["containers"][0]["image"] == f"{project.image}:{tag}@{digest}"
        for status in pod["status"]["containerStatuses"]:
            assert status["user"]["linux"] == {"uid": 65532, "gid": 65532, "supplementalGroups": [65532]}
            assert status["restartCount"] == 0


def test_a_new_version_replaces_the_old_without_a_failed_request(
    project: Project, deployed: Shop, load: Load, count: Count
) -> None:
    second = project.commit()
    project.ci("publish")
    deployed.make("deploy", ENVIRONMENT=STAGING, TAG=second)
    wait_for(lambda: deployed.tags(STAGING) == {second})
    load.wait_for(50)
    count(f"requests during a rolling update on Kubernetes, {project.database}", load.told())
    assert not load.failed(), load.failed()[:3]


@pytest.mark.databases("postgres", "mysql")
def test_rollback_over_a_migration_fails_no_request(
    node: Node, project: Project, deployed: Shop, load: Load, count: Count
) -> None:
    """The older version serves with the newer schema, also in pods that start later."""
    (before,) = deployed.tags(STAGING)
    path, migration = ADD_NOTE[project.language]
    (project.path / path).write_text(migration)
    migrated = project.commit()
    project.ci("publish")
    began, failed = len(load.requests()), len(load.failed())
    deployed.make("deploy", ENVIRONMENT=STAGING, TAG=migrated)
    wait_for(lambda: deployed.tags(STAGING) == {migrated})
    deployed.make("rollback", ENVIRONMENT=STAGING)
    wait_for(lambda: deployed.tags(STAGING) == {before})
    namespace = f"--namespace={deployed.namespace(STAGING)}"
    query = LOG_IN[project.database].replace("SELECT 1", COLUMN)
    secret = node.get(f"/api/v1/namespaces/{deployed.namespace(STAGING)}/secrets/{deployed.service}-database")
    command = ("exec", "--stdin", f"{deployed.service}-database-0", namespace, "--", "sh", "-c", query)
    password = base64.b64decode(secret["data"]["password"]).decode()
    assert "note" in node.kubectl(*command, standard_input=password).stdout
    node.kubectl("delete", f"pod/{deployed.pods(STAGING)[0]['metadata']['name']}", namespace)
    node.kubectl("rollout", "status", f"deployment/{deployed.service}", namespace, "--timeout=300s")
    load.wait_for(50)
    count(
        f"requests during a rollback over a migration on Kubernetes, {project.database}",
        f"{len(load.requests()) - began:,}, {len(load.failed()) - failed} failed",
    )
    assert load.failed()[failed:] == []


def test_rollback_of_a_broken_version_fails_no_request(project: Project, deployed: Shop, load: Load) -> None:
    (before,) = deployed.tags(STAGING)
    broken = f"{project.image}:broken"
    recipe = f'FROM {project.image}:{before}\nENTRYPOINT ["/nothing"]\n'
    project.engine.docker("build", f"--tag={broken}", "-", standard_input=recipe)
    project.engine.docker("push", broken)
    deployed.edit("kubernetes/base/deployment.yaml", "progressDeadlineSeconds: 600", "progressDeadlineSeconds: 15")
    failed = len(load.failed())
    done = deployed.make("deploy", check=False, ENVIRONMENT=STAGING, TAG="broken")
    assert done.returncode != 0
    is_migrated = project.database in ("postgres", "mysql")
    assert ("Job Failed" if is_migrated else "Progress deadline exceeded") in done.stdout
    wait_for(lambda: deployed.tags(STAGING) == {before})
    load.wait_for(50)
    assert load.failed()[failed:] == []


def test_pod_with_a_full_tmp_keeps_serving(node: Node, deployed: Shop, helper_on_node: str, client: Client) -> None:
    """A debugging container shares the processes of the pod, and so has access to its files."""
    name = deployed.pods(STAGING)[0]["metadata"]["name"]
    script = "file = open('/proc/1/root/tmp/full', 'wb', 0)\nwhile True: file.write(bytes(2**20))"
    node.kubectl(
        "debug", name, f"--namespace={deployed.namespace(STAGING)}", "--profile=restricted", "--container=fill",
        f"--image={helper_on_node}", f"--target={deployed.service}", "--", "python", "-c", script,
    )  # fmt: skip
    path = f"/api/v1/namespaces/{deployed.namespace(STAGING)}/pods/{name}"

    def ended() -> bool:
        statuses = node.get(path)["status"].get("ephemeralContainerStatuses", [])
        return any("terminated" in status["state"] for status in statuses)

    wait_for(ended, lambda: str(node.get(path)["status"]))
    told = node.kubectl("logs", f"--namespace={deployed.namespace(STAGING)}", name, "--container=fill").stdout
    assert "No space left on device" in told
    assert cluster.is_ready(node.get(path))
    assert client.get("/readyz").status_code == httpx.codes.OK


@with_database
def test_only_the_service_reaches_its_database(node: Node, template: Template, deployed: Shop, load: Load) -> None:
    load.wait_for(1)  # which needs the database
    script = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    host = f"{deployed.service}-database.{deployed.namespace(STAGING)}.svc.cluster.local"
    port = template.table("databases", "databases")[deployed.answers["database"]]["port"]
    pod = (f"--namespace={deployed.service}-clients", "load", "--", "python", "-c", script)
    told = node.kubectl("exec", *pod, host, str(port), check=False)
    assert "ConnectionRefusedError" in told.stderr, told  # the firewall rejects what policies do not admit


@with_database
def test_the_service_outlives_its_database(node: Node, deployed: Shop, client: Client) -> None:
    number = client.add("kept")
    namespace = f"--namespace={deployed.namespace(STAGING)}"
    node.kubectl("delete", f"pod/{deployed.service}-database-0", namespace, "--grace-period=1")
    assert client.get("/livez").status_code == httpx.codes.OK
    client.wait_for_status(httpx.codes.OK)
    assert client.names()[number] == "kept"
    assert {pod["status"]["containerStatuses"][0]["restartCount"] for pod in deployed.pods(STAGING)} == {0}


@with_database
def test_rotation_loses_no_request_and_restarts_nothing(node: Node, deployed: Shop, load: Load, count: Count) -> None:
    namespace = f"--namespace={deployed.namespace(STAGING)}"
    database = f"{deployed.service}-database-0"

    def password() -> str:
        secret = node.get(f"/api/v1/namespaces/{deployed.namespace(STAGING)}/secrets/{deployed.service}-database")
        return base64.b64decode(secret["data"]["password"]).decode()

    kind = str(deployed.answers["database"])

    def is_accepted(password: str) -> bool:
        command = ("exec", "--stdin", database, namespace, "--", "sh", "-c", LOG_IN[kind])
        return node.kubectl(*command, standard_input=password, check=False).returncode == 0

    old, pods, before = password(), {pod["metadata"]["name"] for pod in deployed.pods(STAGING)}, len(load.requests())
    assert is_accepted(old)
    deployed.make("rotate", ENVIRONMENT=STAGING)
    load.wait_for(200)
    during = load.requests()[before:]
    failed = [request for request in during if not is_answered(request)]
    count(f"requests during a rotation on Kubernetes, {kind}", f"{len(during):,}, {len(failed)} failed")
    assert {request.get("status") for request in failed} <= {httpx.codes.SERVICE_UNAVAILABLE}
    assert (is_accepted(password()), is_accepted(old)) == (True, False)
    # Every connection is a new one afterwards.
    node.kubectl("delete", f"pod/{database}", namespace, "--grace-period=1")
    with forwarded(deployed) as client:
        client.wait_for_status(httpx.codes.OK)
        names = set(client.names().values())
    assert {request["name"] for request in during if is_answered(request)} <= names
    assert {pod["metadata"]["name"] for pod in deployed.pods(STAGING)} == pods
    assert {pod["status"]["containerStatuses"][0]["restartCount"] for pod in deployed.pods(STAGING)} == {0}


@with_database
def test_restore_recovers_lost_data_and_removes_later_data(node: Node, deployed: Shop) -> None:
    with forwarded(deployed) as client:
        number = client.add("kept")
        deployed.make("backup", ENVIRONMENT=STAGING)
        assert "The restored database has " in deployed.make("verify-backup", ENVIRONMENT=STAGING).stdout
        client.delete(f"/items/{number}")
        late = client.add("late")
    deployed.make("restore", ENVIRONMENT=STAGING, CONFIRM=deployed.namespace(STAGING))
    service = (f"deployment/{deployed.service}", f"--namespace={deployed.namespace(STAGING)}")
    node.kubectl("rollout", "status", *service)
    with forwarded(deployed) as client:
        names = client.names()
    assert names[number] == "kept"
    assert names.get(late) != "late"
