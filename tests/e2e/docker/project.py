"""A rendered project, and what its users type to build its images and run them with Docker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.e2e import workspace
from tests.e2e.apps.servers import free_port
from tests.e2e.commands import wait_for
from tests.e2e.docker.engine import TIMEOUT, Engine
from tests.harness import Answers, Projects
from tests.rules.ci.providers import jobs_of

GIT_USER = ("-c", "user.name=A person", "-c", "user.email=person@example.com", "-c", "core.hooksPath=/dev/null")
USER, PASSWORD = "shop", "p@s/w:o?r#d $HOME '\"\\"
HASHED_PASSWORD = "$2b$05$37jouXXWhZj.Ed0kFWlluOJPlQqX1ugWiwIjJHAge6ePs8E/PNIwe"  # noqa: S105
"""The login of the registry, which stores a bcrypt hash."""

APP, DATABASE = "65532:65532", "999:999"
"""Users and groups of the containers."""

PROVIDERS = {"none": "gitlab", "postgres": "circleci", "mysql": "github", "redis": "gitlab"}
"""Every one with some database: what they run of a project is the same."""
CI = {"CI": "true", "GITHUB_OUTPUT": "/dev/null"}
# The image of trivy cannot be pulled without a registry; tests/e2e/scanners runs the real one.
TRIVY = """\
#!/bin/bash
for word in "$@"; do
  case $word in
    --input=*) tar --list --file="${word#*=}" | grep -q manifest.json ;;
    --output=*) echo '{}' > "${word#*=}" ;;
  esac || exit
done
"""


class Project(workspace.Project):
    """A rendered project of one language and database, in a git repository, whose users have Docker."""

    TIMEOUT = TIMEOUT

    def __init__(self, engine: Engine, projects: Projects, path: Path, name: str, variant: str, registry: str) -> None:
        self.engine = engine
        self.language, _, self.database = variant.partition("-")
        self.port, self.metrics_port = free_port(), free_port()
        answers: Answers = {
            "project_name": "Shop",
            "service_name": f"{name}-{variant}",
            "language": self.language,
            "database": self.database,
            "port": self.port,
            "ci_provider": PROVIDERS[self.database],
            "image_repository": f"{registry}/acme/{name}-{variant}",
            "customize": True,
            "metrics_port": self.metrics_port,
        }
        self.files = projects.render(answers)
        super().__init__(self.files, path, answers)
        self.stub("trivy", TRIVY)
        self.stub("apk", "#!/bin/sh\n")  # Alpine's, whose packages this machine has
        self.context = projects.context(answers)
        self.image = str(answers["image_repository"])
        self.git("init", "--quiet")
        self.commit()

    def environment(self) -> dict[str, str]:
        """The variables of Docker and the registry."""
        return self.engine.environment() | {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD}

    def git(self, *arguments: str) -> str:
        """Run git."""
        return self.run("git", *GIT_USER, *arguments).stdout.strip()

    def commit(self) -> str:
        """Commit everything, and return the hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=Work")
        return self.git("rev-parse", "HEAD")

    def ci(self, job: str, **variables: str) -> str:
        """Do what the rendered CI does in a job, as it does it."""
        jobs = jobs_of({path: file.content for path, file in self.files.items()})
        (commands,) = [found.commands for found in jobs if found.name == job]
        return self.run("bash", "-euo", "pipefail", "-c", commands, environment={**CI, **variables}).stdout

    def compose(self, *arguments: str, tag: str = "") -> str:
        """Run docker compose for development, or for production when there is a tag."""
        files = ("--file=prod.yml",) if tag else ()
        command = ("docker", "compose", *files, "--progress=quiet", *arguments)
        return self.run(*command, environment={"TAG": tag} if tag else {}).stdout.strip()

    def up(self, tag: str = "") -> None:
        """Start everything, or report the logs."""
        command = ["make", "up"] if not tag else ["docker", "compose", "--file=prod.yml", "up", "--wait", "--detach"]
        done = self.run(*command, check=False, environment={"TAG": tag} if tag else {})
        assert done.returncode == 0, done.stdout[-4000:] + self.compose("logs", "--tail=20", tag=tag)

    def containers(self, tag: str = "") -> dict[str, dict[str, Any]]:
        """The container of each service, inspected."""
        names = self.compose("ps", "--all", "--quiet", tag=tag).split()
        found = self.engine.inspect(*names) if names else []
        return {container["Config"]["Labels"]["com.docker.compose.service"]: container for container in found}

    def parsed(self, name: str) -> dict[str, Any]:
        """A YAML file, parsed."""
        parsed: dict[str, Any] = yaml.safe_load((self.path / name).read_text())
        return parsed

    def client(self) -> Client:
        """An HTTP client of the published port."""
        return Client(f"http://127.0.0.1:{self.port}")


class Client(httpx.Client):
    """Speaks to a service as its clients do."""

    def __init__(self, address: str) -> None:
        super().__init__(base_url=address, timeout=30, trust_env=False)

    def add(self, name: str) -> int:
        """Store an item, and return its id."""
        response = self.post("/items", json={"name": name})
        assert response.status_code == httpx.codes.CREATED, response.text
        number: int = response.json()["id"]
        return number

    def names(self) -> dict[int, str]:
        """Every item by id."""
        found: dict[int, str] = {}
        after: int | None = 0
        while after is not None:
            response = self.get("/items", params={"limit": 100} | ({"after": after} if after else {}))
            assert response.status_code == httpx.codes.OK, response.text
            found |= {item["id"]: item["name"] for item in response.json()["items"]}
            after = response.json()["next"]
        return found

    def wait_for_status(self, status: int, path: str = "/readyz") -> None:
        """Wait until a path answers with a status, through restarts."""
        wait_for(lambda: status_of(self, path) == status, lambda: f"{path} answers {status_of(self, path)}")


def status_of(client: httpx.Client, address: str) -> int:
    """The status of what is answered there, or 0 where nothing answers."""
    try:
        return client.get(address).status_code
    except httpx.TransportError:
        return 0


def wait_for_answer(address: str) -> None:
    """Wait for any response from an address."""
    with httpx.Client(trust_env=False) as client:
        wait_for(lambda: status_of(client, address), lambda: f"{address} does not answer")


def assert_contract(client: Client, project: Project, version: str, metrics: str | None = None) -> None:
    """Ask what docs/contract.md promises; its details are tested by tests/e2e/apps, of the program alone."""
    assert client.get("/").json() == {"name": project.service, "version": version}
    assert client.get("/livez").json() == {"status": "ok"}
    # A busy machine can take longer than the second that a ping has.
    wait_for(lambda: status_of(client, "/readyz") == httpx.codes.OK)
    missing = client.get("/nothing")
    assert missing.status_code == httpx.codes.NOT_FOUND
    assert missing.headers["Content-Type"].partition(";")[0] == "application/problem+json"
    if project.database == "none":
        assert client.get("/items").status_code == httpx.codes.NOT_FOUND
    else:
        number = client.add("Ünïcödé 'quoted'")
        assert client.get(f"/items/{number}").json()["name"] == client.names()[number] == "Ünïcödé 'quoted'"
        assert client.delete(f"/items/{number}").status_code == httpx.codes.NO_CONTENT
        assert number not in client.names()
        assert client.post("/items", json={"name": ""}).status_code == httpx.codes.UNPROCESSABLE_ENTITY
    if metrics:
        reported = httpx.get(f"{metrics}/metrics", trust_env=False).text
        assert 'http_request_duration_seconds_count{method="GET",route="/",status="200"}' in reported


def assert_hardened(engine: Engine, service: str, container: Mapping[str, Any]) -> None:
    """Look at how the engine runs a container, and as whom its processes run."""
    user = DATABASE if service == "database" else APP
    host = container["HostConfig"]
    assert container["Config"]["User"] == user
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    if container["State"]["Running"]:
        listed = engine.docker("top", container["Id"], "-eo", "uid,pid").stdout.splitlines()
        assert {line.split()[0] for line in listed[1:]} == {user.partition(":")[0]}


def kill(engine: Engine, helper: str, container: Mapping[str, Any]) -> None:
    """Kill a container's first process from outside, so that the engine sees it die; `helper` has Python."""
    script = f"import os; os.kill({container['State']['Pid']}, 9)"
    engine.docker("run", "--rm", "--pid=host", helper, "python", "-c", script)


def exec_in(engine: Engine, helper: str, container: Mapping[str, Any], script: str) -> str:
    """Run Python as a container's user on its processes and files, and return its error.

    The image of the container need not have Python, nor a shell: `helper` is one that has.
    """
    name = f"container:{container['Id']}"
    bounds = ("--cap-drop=ALL", "--memory=512m", f"--user={container['Config']['User']}")
    done = engine.docker(
        "run", "--rm", f"--pid={name}", f"--network={name}", *bounds, helper, "python", "-c",
        "root = '/proc/1/root'\n" + script, check=False,
    )  # fmt: skip
    return done.stderr
