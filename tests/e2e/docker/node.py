"""A control plane with one real node: containerd, a kubelet, kube-proxy, a DNS, and a firewall for NetworkPolicies.

The node's programs have namespaces of their own, as those of another machine would. Its network hangs on a pair of
virtual interfaces; its /run, /var/lib and /var/log are empty at first. Everything goes when its first process does.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import secrets
import signal
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.e2e.apps.servers import MissingError, children, find
from tests.e2e.commands import run, wait_for
from tests.e2e.kubernetes.control_plane import SERVICES, START_TIMEOUT, USERS, ControlPlane, Object

NAME = "node"
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "ip": "iproute2",
    "ipset": "ipset",
    "iptables": "iptables",
    "nft": "nftables",
    "openssl": "openssl",
    "runc": "runc",
    "setpriv": "util-linux",
    "socat": "socat",
}
"""Programs that Debian has, each with its package."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLUGINS = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")
PAUSE = "k8s-starter.test/pause:1"
DNS_IMAGE = "k8s-starter.test/dns:1"
DNS_ADDRESS = "10.0.0.10"
MANIFESTS = Path(__file__).with_name("dns.yaml")
PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}

MACHINE = """
# The processes of the namespace; and kubelets do not read a list with mounts of an empty source, as pasta makes here.
umount --lazy /proc
mount --types proc proc /proc
mount --make-rshared /
mount --types tmpfs tmpfs /run
for name in lib log; do
  mkdir --parents "$1/var/$name"
  mount --bind "$1/var/$name" "/var/$name"
done
# A kubelet sets these for the whole machine. This one sets copies.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
  kernel/keys/root_maxbytes; do
  mkdir --parents "$1/sys/${setting%/*}"
  cat "/proc/sys/$setting" > "$1/sys/$setting"
  mount --bind "$1/sys/$setting" "/proc/sys/$setting"
done
echo 1 > /proc/sys/net/ipv4/ip_forward
ip link set lo up
touch "$1/machine"
# As the first process it takes in whatever others leave behind.
sleep infinity &
wait
"""


class Node(ControlPlane):
    """The node, the control plane to which it belongs, and their clients."""

    users = USERS | {
        "kubelet": (f"system:node:{NAME}", "system:nodes"),
        "kube-proxy": ("system:kube-proxy", ""),
        "firewall": ("firewall", "system:masters"),
    }

    def __init__(self, found: Mapping[str, Path]) -> None:
        require()
        super().__init__(found)
        network = secrets.randbelow(256)
        self.link = f"node-{network}"
        # Of the networks that are set aside for tests of network devices; pods reach this machine as `host`.
        self.host, self.address_of_node = f"198.18.{network}.1", f"198.18.{network}.2"
        self.pods = f"198.19.{network}.0/24"
        self.cgroup = self.folder.name
        self.machine: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start_machine()
            self._make_credentials()
        except BaseException:
            self.__exit__()
            raise
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        if self.machine:
            with suppress(ProcessLookupError, FileNotFoundError):
                for first in children(self.machine.pid):
                    os.kill(first, signal.SIGKILL)
            self.machine.wait()
        if server := self.processes.get("kube-apiserver"):
            server.kill()  # it would wait for those on the node, who went without a word
        super().__exit__()
        for parent in cgroups():
            for group in [*sorted((parent / self.cgroup).rglob("*/"), reverse=True), parent / self.cgroup]:
                with suppress(FileNotFoundError):
                    group.rmdir()

    def exec_in(self, *command: str) -> list[str]:
        """Return what runs a command on the node."""
        assert self.machine
        (first,) = children(self.machine.pid)
        return ["nsenter", f"--target={first}", "--mount", "--net", "--pid", "env", f"PATH={PATH}", *command]

    def run(self, *command: str) -> str:
        """Run a command on the node."""
        return execute(*self.exec_in(*command))

    def import_image(self, archive: Path) -> None:
        """Give the node the images of an archive as `docker save` writes them."""
        self.run("ctr", "--namespace=k8s.io", "images", "import", str(archive))

    def use_registry(self, name: str, port: int) -> None:
        """Let images of a registry come, without TLS, from a port of this machine's loopback."""
        folder = self._registries / name
        if not folder.exists():
            address = f"TCP4-LISTEN:{port},bind={self.host},fork,reuseaddr"
            self._run(f"registry-{port}", "socat", address, f"TCP4:127.0.0.1:{port}")
            folder.mkdir(parents=True)
            (folder / "hosts.toml").write_text(f'server = "http://{self.host}:{port}"\n')

    @property
    def _registries(self) -> Path:
        return self.folder / "registries"

    def _start_machine(self) -> None:
        # Without this process and its parent, it does not stay either.
        bound = ["setpriv", "--pdeathsig=KILL", "unshare", "--kill-child"]
        namespaces = ["--mount", "--net", "--pid", "--fork"]
        with self._log("machine").open("wb") as log:
            self.machine = subprocess.Popen(
                [*bound, *namespaces, "sh", "-euc", MACHINE, "sh", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        started = self.folder / "machine"
        wait_for(lambda: started.exists() or self.machine is None or self.machine.poll() is not None)
        if not started.exists():
            raise MissingError(f"Namespaces are refused here: {self._log('machine').read_text().strip()}")
        (first,) = children(self.machine.pid)
        execute("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", str(first))
        execute("ip", "address", "add", f"{self.host}/30", "dev", self.link)
        execute("ip", "link", "set", self.link, "up")
        self.run("ip", "address", "add", f"{self.address_of_node}/30", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", self.host)
        for parent in cgroups():
            (parent / self.cgroup).mkdir()

    def _make_credentials(self) -> None:
        """Create a self-signed certificate, by which the kubelet trusts the API server."""
        files = ["-keyout", f"{self.folder}/kubelet-client.key", "-out", f"{self.folder}/kubelet-client.crt"]
        execute("openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days=2", "-subj=/CN=api-server", *files)

    def _flags_for_nodes(self) -> Iterable[str]:
        return (
            f"--kubelet-client-certificate={self.folder}/kubelet-client.crt",
            f"--kubelet-client-key={self.folder}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
        )

    def place_of_volume(self, claim: Object) -> Object:
        """Of the kinds of volumes that need no provider, this one honours fsGroup."""
        path = self.folder / "volumes" / claim["metadata"]["namespace"] / claim["metadata"]["name"]
        path.mkdir(parents=True)
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}
        affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
        return {"local": {"path": str(path)}, "nodeAffinity": affinity}

    def _add_nodes(self) -> None:
        timeout = f"--timeout={START_TIMEOUT}s"
        try:
            self._start_containerd()
            self._start_kubelet()
            self._start_proxy()
            self.kubectl("wait", "--for=create", f"node/{NAME}", timeout)
            self._start_firewall()
            self._start_dns()
            self.kubectl("wait", "--for=condition=Ready", f"node/{NAME}", timeout)
            self.kubectl("rollout", "status", "deployment/coredns", "--namespace=kube-system", timeout)
        except AssertionError as error:
            states = self.kubectl("describe", "nodes,pods", "--all-namespaces", check=False).stdout
            raise RuntimeError(f"{error}\n{states}{self.logs()}") from error

    def _start_inside(self, name: str, *arguments: str) -> None:
        self._run(name, *self.exec_in(str(self.programs.get(name, name)), *arguments))

    def _write(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    def _start_containerd(self) -> None:
        addresses = {"type": "host-local", "ranges": [[{"subnet": self.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
        plugins = [
            {"type": "ptp", "ipMasq": True, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]
        network = self._write("network/pods.conflist", {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins})
        configuration = self.folder / "containerd.toml"
        # Few machines for tests may lower a score, as the kubelet asks for what matters more than others.
        configuration.write_text(f"""
version = 3
[plugins.'io.containerd.cri.v1.images']
pinned_images = {{ sandbox = '{PAUSE}' }}
registry = {{ config_path = '{self._registries}' }}
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
cni = {{ bin_dirs = ['{PLUGINS}'], conf_dir = '{network.parent}' }}
""")
        self._start_inside("containerd", f"--config={configuration}")
        answers = self.exec_in("ctr", "version")
        self._wait_for_start(lambda: subprocess.run(answers, capture_output=True, check=False).returncode == 0)
        self.import_image(write_image(self.folder / "pause.tar", PAUSE, self.programs["pod"]))

    def _start_kubelet(self) -> None:
        resolver = self.folder / "resolv.conf"
        resolver.touch()
        configuration = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address_of_node,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": f"{self.folder}/kubelet-client.crt"},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            # Ignore full disks and swap of the machine, and never remove images, because they cannot be pulled again.
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "oomScoreAdj": 0,
            "resolvConf": str(resolver),
        }
        self._start_inside(
            "kubelet",
            f"--config={self._write('kubelet.yaml', configuration)}",
            f"--kubeconfig={self.kubeconfig_of(self.tokens['kubelet'])}",
            f"--hostname-override={NAME}",
            f"--node-ip={self.address_of_node}",
            "--node-labels=topology.kubernetes.io/zone=zone-a",
        )

    def _start_proxy(self) -> None:
        configuration = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.kubeconfig_of(self.tokens["kube-proxy"]))},
            "clusterCIDR": self.pods,
            # Zero keeps the machine's limits.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "hostnameOverride": NAME,
            "mode": "nftables",
            "oomScoreAdj": 0,
        }
        self._start_inside("kube-proxy", f"--config={self._write('kube-proxy.yaml', configuration)}")

    def _start_firewall(self) -> None:
        access = self.kubeconfig_of(self.tokens["firewall"])
        services = f"--service-cluster-ip-range={SERVICES}"
        self._start_inside("firewall", f"--kubeconfig={access}", f"--hostname-override={NAME}", services)

    def _start_dns(self) -> None:
        self.import_image(write_image(self.folder / "dns.tar", DNS_IMAGE, self.programs["dns"]))
        self.kubectl("apply", "--server-side", f"--filename={MANIFESTS}")


def require() -> None:
    """Refuse a machine on which no node can run."""
    if os.geteuid() != 0:
        raise MissingError("A node of Kubernetes needs root")
    for program, package in PACKAGES.items():
        find(program, package)
    if not (PLUGINS / "ptp").exists():
        raise MissingError("CNI plugins are missing: apt-get install containernetworking-plugins")
    version = execute("containerd", "--version")
    if int(re.findall(r" v?(\d+)\.\d", version)[0]) < 2:
        raise MissingError(f"containerd 2 or newer is missing, which Debian has since forky: here is {version}")
    if not cgroups():
        raise MissingError(f"{CGROUPS} has no cgroups: a root folder without /sys needs it mounted")
    if platform.machine() not in PROCESSORS:
        raise MissingError(f"A node of Kubernetes was only thought of for {' and '.join(PROCESSORS)}")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if not any(mount.split()[4] == "/" for mount in mounts):
        raise MissingError("Containers cannot start in a chroot: enter the folder with pivot_root")


def leftovers(node: Node) -> list[str]:
    """What is still there of a node."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(node.folder) in line]
    groups = [str(path) for path in CGROUPS.glob(f"**/{node.cgroup}")]
    links = [link for link in os.listdir("/sys/class/net") if link == node.link]
    processes = [
        command
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(node.folder) in (command := path.read_bytes().decode(errors="replace"))
    ]
    return mounts + groups + links + processes + [str(node.folder)] * node.folder.exists()


def cgroups() -> list[Path]:
    """Where the machine has its cgroups: in one folder, or with version 1 in one for each controller."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted({folder.resolve() for folder in CGROUPS.glob("*/") if (folder / "cgroup.procs").exists()})


def execute(*command: str) -> str:
    """Run a command on this machine."""
    return run(*command, environment={"PATH": PATH}, timeout=START_TIMEOUT).stdout


def write_image(archive: Path, name: str, program: Path, *arguments: str) -> Path:
    """Write an image of one static program as `docker save` does: what a pod needs, with no engine to build it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        _add(files, program.name, program.read_bytes())
    content = layer.getvalue()
    configuration = {
        "os": "linux",
        "architecture": PROCESSORS[platform.machine()],
        "config": {"Entrypoint": [f"/{program.name}"], "Cmd": arguments, "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as image:
        _add(image, "layer.tar", content)
        _add(image, "config.json", json.dumps(configuration).encode())
        _add(image, "manifest.json", json.dumps(manifest).encode())
    return archive


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    archive.addfile(member, io.BytesIO(content))
