"""kOps takes the specification of the cluster: its own code decodes it strictly, fills it in and validates it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.kubernetes import programs
from tests.harness import Projects

PATH = "kubernetes/kops.yaml"


def check(*paths: Path) -> subprocess.CompletedProcess[str]:
    """kOps' output for these specifications."""
    return subprocess.run([programs.find(["kops"])["kops"], *paths], capture_output=True, text=True, check=False)


def test_kops_accepts_every_specification(projects: Projects, tmp_path: Path) -> None:
    paths = []
    for index, rendered in enumerate(projects.distinct(PATH)):
        paths.append(tmp_path / f"{index}.yaml")
        paths[-1].write_bytes(rendered.files[PATH])
    done = check(*paths)
    assert done.returncode == 0, done.stderr
    assert f"{len(paths)} passed" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("httpTokens", "httpToken", "unknown field"),
        ("cilium: {}", "celium: {}", "unknown field"),
        ("instanceGroup: control-plane-c", "instanceGroup: control-plane-d", "etcd"),
        ("172.20.32.0/19", "172.21.32.0/19", "not a subnet"),
        ("role: Node", "role: Worker", "Unsupported value"),
        ("  certManager:\n    enabled: true\n", "", "cert manager"),
    ],
)
def test_kops_rejects_an_invalid_specification(
    projects: Projects, tmp_path: Path, old: str, new: str, reason: str
) -> None:
    text = projects.render({"customize": True, "cluster": "kops"})[PATH].content.decode()
    assert old in text
    (tmp_path / "kops.yaml").write_text(text.replace(old, new, 1))
    done = check(tmp_path / "kops.yaml")
    assert done.returncode == 1
    assert reason in done.stderr
