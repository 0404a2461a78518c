"""A Kubernetes control plane on loopback: etcd, API server, controllers, scheduler, and nodes that kwok simulates."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from tests.e2e.apps.servers import free_port
from tests.e2e.commands import TIMEOUT, run, wait_for
from tests.e2e.kubernetes import programs
from tests.toolchains import tool

START_TIMEOUT = 120
QUOTA_CONFLICT = "cannot be fulfilled on resourcequotas"
ATTEMPTS = 3
STORAGE_CLASS = "standard"
SERVICES = "10.0.0.0/16"  # their addresses
ZONES = ("a", "b", "c")
STAGES = Path(__file__).with_name("stages.yaml")

Object = dict[str, Any]

USERS = {
    "admin": ("admin", "system:masters"),
    "kwok": ("kwok", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
}
"""Users with a token: name and group."""


class PortTakenError(Exception):
    """Another process took the port meanwhile."""


class ControlPlane:
    """The programs, and a client with all rights."""

    host = "127.0.0.1"
    users = USERS

    def __init__(self, found: Mapping[str, Path]) -> None:
        self.programs = found
        self.folder = Path(tempfile.mkdtemp(prefix="control-plane-"))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._resources: dict[str, dict[str, Object]] = {}
        self.tokens = {name: secrets.token_urlsafe() for name in self.users}

    def __enter__(self) -> Self:
        try:
            self._start_api_server()
            self.kubeconfig = self.kubeconfig_of(self.tokens["admin"])
            self._install_definitions()
            self._start_controllers()
            self._add_nodes()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "client"):
            self.client.close()
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    def kubectl(
        self, *arguments: str, kubeconfig: Path | None = None, standard_input: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the locked kubectl, by default as an administrator."""
        environment = self.environment(kubeconfig)
        return run(
            tool("kubectl"),
            *arguments,
            environment=environment,
            timeout=TIMEOUT,
            standard_input=standard_input,
            check=check,
        )

    def apply(self, *objects: Object) -> None:
        """Apply objects in one go."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})

        def applied() -> bool:
            done = self.kubectl("apply", "--server-side", "--filename=-", standard_input=text, check=False)
            # Of many pods and jobs that a quota counts at once, the API server refuses some after three tries.
            assert done.returncode == 0 or QUOTA_CONFLICT in done.stderr, done.stdout[-4000:] + done.stderr[-4000:]
            return done.returncode == 0

        wait_for(applied)

    def prepare_for(self, objects: Iterable[Object]) -> None:
        """Label nodes for pods, and bind claims to volumes, like an administrator and a provisioner."""
        labels: dict[str, str] = {}
        volumes: list[Object] = []
        for item in objects:
            pod = item.get("spec", {}).get("template", {}).get("spec", {})
            labels |= pod.get("nodeSelector", {})
            claims = [item] if item["kind"] == "PersistentVolumeClaim" else []
            for claim in item.get("spec", {}).get("volumeClaimTemplates", []):
                name = f"{claim['metadata']['name']}-{item['metadata']['name']}-0"
                metadata = {"name": name, "namespace": item["metadata"]["namespace"]}
                claims.append({**claim, "metadata": metadata})
            volumes += [_volume(claim, self.place_of_volume(claim)) for claim in claims]
        if labels:
            self.kubectl("label", "nodes", "--all", "--overwrite", *(f"{key}={value}" for key, value in labels.items()))
        if volumes:
            self.apply(*volumes)

    def place_of_volume(self, claim: Object) -> Object:  # noqa: ARG002
        """Where the files of a claim are, as a part of a volume."""
        return {"hostPath": {"path": "/nowhere"}}

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Read an object or list."""
        response = self.client.get(path, params=parameters)
        assert response.status_code == httpx.codes.OK, response.text
        return response.json()

    def items(self, path: str, parameters: Mapping[str, str] | None = None) -> list[Object]:
        """Read the items of a list."""
        found: list[Object] = self.get(path, parameters)["items"]
        return found

    def path_of(self, item: Object) -> str:
        """Where the API has an object."""
        version, kind, metadata = item["apiVersion"], item["kind"], item["metadata"]
        top = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        if top not in self._resources:
            self._resources[top] = {
                resource["kind"]: resource for resource in self.get(top)["resources"] if "/" not in resource["name"]
            }
        resource = self._resources[top][kind]
        middle = f"/namespaces/{metadata['namespace']}" if resource["namespaced"] else ""
        return f"{top}{middle}/{resource['name']}/{metadata['name']}"

    def patch(self, path: str, change: Object) -> Object:
        """Change an object, and return it."""
        headers = {"Content-Type": "application/merge-patch+json"}
        response = self.client.patch(path, json=change, headers=headers)
        assert response.status_code == httpx.codes.OK, response.text
        changed: Object = response.json()
        return changed

    def events(self, path: str, parameters: Mapping[str, str], since: str) -> Iterator[tuple[str, Object]]:
        """Every step of what has happened to the objects of a list since a version of it, and then all that will."""
        watch = {"watch": "1", "resourceVersion": since}
        with self.client.stream("GET", path, params={**parameters, **watch}) as response:
            assert response.status_code == httpx.codes.OK
            for line in response.iter_lines():
                event = json.loads(line)
                assert event["type"] != "ERROR", event
                yield event["type"], event["object"]

    def kubeconfig_of(self, token: str, context: str = "test") -> Path:
        """A configuration of kubectl for the holder of this token."""
        path = self.folder / f"kubeconfig-{secrets.token_hex(8)}"
        authority = str(self.folder / "apiserver.crt")
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.address, "certificate-authority": authority}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": context, "context": {"cluster": "test", "user": "user"}}],
            "current-context": context,
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def accept_id_tokens(self, *issuers: Object) -> None:
        """Accept ID tokens of these issuers alone: the API server reads the file again when it changes."""
        content = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": issuers}
        part = self.folder / "authentication.yaml.part"
        part.write_text(json.dumps(content))
        part.rename(self.folder / "authentication.yaml")

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """The environment of kubectl and Helm, and of what calls them."""
        folders = [str(Path(tool("kubectl")).parent), str(self.programs["helm"].parent)]
        return {
            "HOME": str(self.folder),
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
        }

    def _start_api_server(self) -> None:
        tokens = [f'{self.tokens[name]},{user},{user},"{group}"\n' for name, (user, group) in self.users.items()]
        (self.folder / "tokens.csv").write_text("".join(tokens))
        self.accept_id_tokens()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._start_etcd_and_api_server()
            except PortTakenError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    def _start_etcd_and_api_server(self) -> None:
        etcd, peers, port = free_port(), free_port(), free_port()
        self.address = f"https://{self.host}:{port}"
        self._start(
            "etcd",
            f"--data-dir={self.folder}/etcd-{etcd}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
            "--unsafe-no-fsync",
        )
        self._start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            f"--bind-address={self.host}",
            f"--advertise-address={self.host}",
            f"--secure-port={port}",
            # It makes its certificate itself; the key signs the tokens of service accounts too.
            f"--cert-dir={self.folder}",
            f"--service-account-signing-key-file={self.folder}/apiserver.key",
            f"--service-account-key-file={self.folder}/apiserver.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICES}",
            f"--token-auth-file={self.folder}/tokens.csv",
            f"--authentication-config={self.folder}/authentication.yaml",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            *self._flags_for_nodes(),
        )
        self._wait_for_start(self._is_ready)
        self.client = self.client_of(self.tokens["admin"])

    def client_of(self, token: str) -> httpx.Client:
        """A client of the API for the holder of this token."""
        verify = ssl.create_default_context(cafile=str(self.folder / "apiserver.crt"))
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.address, headers=headers, verify=verify, trust_env=False, timeout=60)

    def _is_ready(self) -> bool:
        if not (self.folder / "apiserver.crt").exists():
            return False
        with self.client_of(self.tokens["admin"]) as client:
            try:
                return client.get("/readyz").status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

    def _install_definitions(self) -> None:
        files = [f"--filename={path}" for path in programs.definitions()]
        self.kubectl("apply", "--server-side", *files)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", f"--timeout={START_TIMEOUT}s")

    def _start_controllers(self) -> None:
        for name in ("kube-controller-manager", "kube-scheduler"):
            self._start(
                name,
                f"--kubeconfig={self.kubeconfig_of(self.tokens[name])}",
                "--secure-port=0",
                "--leader-elect=false",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
                *(
                    [
                        # One of them requires a certificate authority, unlike the self-signed certificate.
                        "--controllers=*,-kube-apiserver-serving-clustertrustbundle-publisher-controller",
                        "--use-service-account-credentials",
                        f"--service-account-private-key-file={self.folder}/apiserver.key",
                        f"--root-ca-file={self.folder}/apiserver.crt",
                        # What takes minutes elsewhere takes seconds here.
                        "--horizontal-pod-autoscaler-sync-period=1s",
                        "--horizontal-pod-autoscaler-downscale-stabilization=1s",
                        "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
                        "--horizontal-pod-autoscaler-cpu-initialization-period=0s",
                    ]
                    if name == "kube-controller-manager"
                    else []
                ),
            )
        storage = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "kubernetes.io/no-provisioner",
            "allowVolumeExpansion": True,
        }
        self.apply(storage)

    def _flags_for_nodes(self) -> Iterable[str]:
        """The API server's options for nodes: simulated ones never connect to it."""
        return ("--endpoint-reconciler-type=none",)

    def _add_nodes(self) -> None:
        """Let kwok simulate nodes."""
        self._start(
            "kwok",
            f"--kubeconfig={self.kubeconfig_of(self.tokens['kwok'])}",
            f"--config={STAGES}",
            "--manage-all-nodes",
            "--node-lease-duration-seconds=40",
        )
        self.apply(*(node(f"node-{zone}{number}", zone) for zone in ZONES for number in (1, 2)))
        self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={START_TIMEOUT}s")

    def _start(self, name: str, *arguments: str) -> None:
        self._run(name, str(self.programs[name]), *arguments)

    def _run(self, name: str, *command: str) -> None:
        with self._log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"HOME": str(self.folder), "PATH": os.defpath},
            )

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def logs(self) -> str:
        """The end of what each program wrote."""
        return "\n".join(
            f"--- {name}\n{self._log(name).read_text(errors='replace')[-3000:]}" for name in self.processes
        )

    def _wait_for_start(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                message = f"The control plane does not start ({dead or 'in time'}):\n{self.logs()}"
                for process in self.processes.values():
                    process.kill()
                    process.wait()
                self.processes.clear()
                raise PortTakenError(message) if "address already in use" in message else RuntimeError(message)
            time.sleep(0.1)


def node(name: str, zone: str) -> Object:
    """A node, which kwok simulates."""
    labels = {
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "topology.kubernetes.io/zone": f"zone-{zone}",
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def _volume(claim: Object, place: Object) -> Object:
    """A volume for one claim alone."""
    namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{name}"},
        "spec": {
            "storageClassName": claim["spec"].get("storageClassName", STORAGE_CLASS),
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": {"namespace": namespace, "name": name},
            **place,
        },
    }
