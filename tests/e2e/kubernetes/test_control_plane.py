"""The control plane is the one that the template speaks of."""

from tests.e2e.kubernetes import programs
from tests.e2e.kubernetes.control_plane import ControlPlane
from tests.harness import Template


def test_the_newest_supported_kubernetes_is_tested(template: Template) -> None:
    minor = programs.kubernetes_version().rpartition(".")[0]
    assert minor == template.table("versions", "kubernetes")["newest"]


def test_image_is_the_deployed_one(cluster: ControlPlane) -> None:
    assert cluster.get("/version")["gitVersion"] == f"v{programs.kubernetes_version()}"


def test_helm_is_the_one_that_pipelines_install(template: Template) -> None:
    pinned = (programs.MODULES / "helm/go.mod").read_text()
    assert f"\thelm.sh/helm/v4 v{template.table('versions', 'helm')} // indirect\n" in pinned
