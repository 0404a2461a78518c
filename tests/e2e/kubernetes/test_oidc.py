"""CI logs in to a cluster with the ID tokens of its jobs, as kubernetes/ci.md says, and nobody else does."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from tests.e2e.commands import wait_for
from tests.e2e.kubernetes.conftest import Maker
from tests.e2e.kubernetes.control_plane import ControlPlane
from tests.e2e.kubernetes.issuer import Issuer
from tests.e2e.kubernetes.project import Project
from tests.e2e.serving import serving
from tests.rules.ci.providers import jobs_of

TAG = "1" * 40

# What the page leaves to its readers.
IDENTITIES = {
    "<owner>/<repository>": "acme/shop",
    "<owner>": "acme",
    "<group>/<project>": "acme/shop",
    "<group>/": "acme/",
    "<organization ID>": "organization",
    "<project ID>": "project",
    "<context ID of kubernetes-staging>": "context-of-staging",
    "<context ID of kubernetes-production>": "context-of-production",
}


class Provider(NamedTuple):
    """The claims in the ID token of a job that deploys to staging, and those of others."""

    claims: dict[str, Any]
    audience: str
    strangers: tuple[dict[str, Any], ...]


PROJECT, CONTEXTS = "oidc.circleci.com/project-id", "oidc.circleci.com/context-ids"
PROVIDERS = {
    # https://docs.github.com/actions/reference/security/oidc
    "github": Provider(
        {"sub": "repo:acme/shop:environment:staging", "repository_owner": "acme"},
        "kubernetes",
        (
            {"sub": "repo:acme/shop:pull_request"},
            {"sub": "repo:acme/shop:environment:production"},
            {"sub": "repo:acme/other:environment:staging"},
        ),
    ),
    # https://docs.gitlab.com/ci/secrets/id_token_authentication/
    "gitlab": Provider(
        {
            "sub": "project_path:acme/shop:ref_type:branch:ref:main",
            "project_path": "acme/shop",
            "ref_protected": "true",
            "environment": "staging",
        },
        "kubernetes",
        ({"ref_protected": "false"}, {"environment": "production"}, {"project_path": "acme/other"}),
    ),
    # https://circleci.com/docs/openid-connect-tokens/
    "circleci": Provider(
        {
            "sub": "org/organization/project/project/user/user/vcs-origin/github.com/acme/shop/vcs-ref/refs/heads/main",
            PROJECT: "project",
            CONTEXTS: ["context-to-pull", "context-of-staging"],
        },
        "organization",
        ({CONTEXTS: []}, {CONTEXTS: ["context-of-production"]}, {PROJECT: "other"}),
    ),
}


class Pipeline:
    """A project in the hands of a provider of CI, whose ID tokens the cluster accepts."""

    def __init__(self, project: Project, provider: Provider, issuer: Issuer, folder: Path) -> None:
        self.project, self.provider, self.issuer = project, provider, issuer
        self.folder = folder  # with the kubeconfig
        self.kubeconfig = folder / "config"
        page = (project.path / "kubernetes/ci.md").read_text()
        for placeholder, value in IDENTITIES.items():
            page = page.replace(placeholder, value)
        blocks = re.findall(r"^   ```(\w+)\n(.*?)^   ```$", page, re.DOTALL | re.MULTILINE)
        ((_, configuration), *scripts) = blocks
        self.configuration = yaml.safe_load(configuration)
        self.bind, self.end_tokens = (script for _, script in scripts)

    def token(self, lifetime: int = 300, **changes: Any) -> str:
        """An ID token of the job that deploys to staging, or one that differs."""
        return self.issuer.token(lifetime, **{"aud": self.provider.audience, **self.provider.claims, **changes})

    def run(self, commands: str, **environment: str) -> str:
        """Run commands of the page as an administrator."""
        return self.project.run("bash", "-euc", commands, environment=environment).stdout

    def as_job(self, *command: str, check: bool = True) -> str:
        """Run a command with the kubeconfig of the job."""
        return self.project.run(*command, environment={"KUBECONFIG": str(self.kubeconfig)}, check=check).stdout

    def may(self, token: str, environment: str = "staging") -> str:
        """What the API server says to the holder of a token who asks to update Deployments."""
        (self.folder / "kubeconfig-token").write_text(token)
        namespace = f"--namespace={self.project.namespace(environment)}"
        return self.as_job("kubectl", "auth", "can-i", "update", "deployments", namespace, check=False).strip()


@pytest.fixture(scope="module")
def issuer(cluster: ControlPlane) -> Iterator[Issuer]:
    """A provider of ID tokens, with the certificate that the API server has."""
    with serving(Issuer(cluster.folder / "apiserver.crt", cluster.folder / "apiserver.key")) as issuer:
        yield issuer
        cluster.accept_id_tokens()


@pytest.fixture(scope="module", params=PROVIDERS)
def pipeline(
    request: pytest.FixtureRequest,
    cluster: ControlPlane,
    make_project: Maker,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Pipeline:
    """A project whose administrators have done what the page says."""
    project = make_project(database="none", ci_provider=request.param)
    for environment in ("staging", "production"):
        project.make("namespace", ENVIRONMENT=environment)
    folder = tmp_path_factory.mktemp(request.param) / ".kube"
    folder.mkdir()
    pipeline = Pipeline(project, PROVIDERS[request.param], issuer, folder)
    (entry,) = pipeline.configuration["jwt"]
    certificate = (cluster.folder / "apiserver.crt").read_text()
    entry["issuer"] |= {"url": issuer.url, "certificateAuthority": certificate}
    cluster.accept_id_tokens(entry)
    told = pipeline.run(pipeline.bind)
    assert told.count("reads the ID token") == 2
    shutil.copy(project.path / "kubeconfig-staging", pipeline.kubeconfig)
    wait_for(lambda: pipeline.may(pipeline.token()) == "yes", cluster.logs)
    return pipeline


def test_the_kubeconfig_holds_no_secret(pipeline: Pipeline) -> None:
    (user,) = yaml.safe_load(pipeline.kubeconfig.read_text())["users"]
    assert user["user"] == {"tokenFile": "kubeconfig-token"}


@pytest.mark.parametrize("is_lasting", [False, True])
def test_a_job_deploys(pipeline: Pipeline, cluster: ControlPlane, tmp_path: Path, is_lasting: bool) -> None:
    """With its ID token, or, as without it, with a kubeconfig that holds a token."""
    project, issuer = pipeline.project, pipeline.issuer
    home = tmp_path / ".kube"
    home.mkdir()
    kubeconfig = tmp_path / "variable/KUBECONFIG"  # a file of GitLab's
    kubeconfig.parent.mkdir()
    shutil.copy(project.as_deployer("staging").kubeconfig if is_lasting else pipeline.kubeconfig, kubeconfig)
    for program in ("apk", "sudo"):
        project.stub(program, "#!/bin/sh\n")
    (project.path / "scripts/install-deploy-tools.sh").write_text("#!/bin/sh\n")
    (project.path / "reports").mkdir(exist_ok=True)
    (project.path / "reports/digest.env").write_text(f"DIGEST={project.environment()['DIGEST']}\n")
    # Once the job renews its token, and not again.
    project.stub("sleep", f"#!/bin/sh\n[ ! -e {tmp_path}/renewed ] && touch {tmp_path}/renewed\n")
    issuer.job, issuer.requests = pipeline.provider.claims, 0
    token = "" if is_lasting else pipeline.token()
    files = {path.relative_to(project.path).as_posix(): path for path in project.path.rglob("*") if path.is_file()}
    (commands,) = [
        job.commands
        for job in jobs_of({name: path.read_bytes() for name, path in files.items()})
        if job.name == "deploy-staging"
    ]
    tag = TAG.replace("1", "2") if is_lasting else TAG
    project.run(
        "bash", "-eo", "pipefail", "-c", commands,
        environment={
            "HOME": str(tmp_path),
            "KUBECONFIG": str(kubeconfig) if project.answers["ci_provider"] == "gitlab" else "",
            "KUBECONFIG_BASE64": base64.b64encode(kubeconfig.read_bytes()).decode(),
            "TAG": tag,
            **dict.fromkeys(("DOCKER_HUB_USER_ID", "DOCKER_HUB_PWD", "DOCKER_HUB_EMAIL"), "x"),
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "" if is_lasting else "request-token",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}/token?api-version=2",
            "CURL_CA_BUNDLE": str(cluster.folder / "apiserver.crt"),
            "CIRCLE_OIDC_TOKEN_V2": token,
            "KUBERNETES_ID_TOKEN": token,
        },
    )  # fmt: skip
    assert project.tags("staging") == {tag}
    if project.answers["ci_provider"] == "github" and not is_lasting:
        wait_for(lambda: issuer.requests == 2)
        assert (home / "kubeconfig-token").stat().st_mode & 0o777 == 0o600


def test_a_job_sees_what_a_deploy_would_change(pipeline: Pipeline) -> None:
    (pipeline.folder / "kubeconfig-token").write_text(pipeline.token())
    assert TAG.replace("1", "3") in pipeline.as_job("make", "diff", "ENVIRONMENT=staging", f"TAG={'3' * 40}")


def test_others_are_refused(pipeline: Pipeline) -> None:
    refused = {
        "another audience": pipeline.token(aud="sts.amazonaws.com"),
        "expired": pipeline.token(lifetime=-60),
        "another issuer": pipeline.token(iss="https://127.0.0.1:1"),
    }
    for case, token in refused.items():
        assert "Unauthorized" in pipeline.may(token), case
    for claims in pipeline.provider.strangers:
        told = pipeline.may(pipeline.token(**claims))
        assert told.splitlines()[-1] == "no" or "Unauthorized" in told, (claims, told)
    assert pipeline.may(pipeline.token()) == "yes"
    assert pipeline.may(pipeline.token(), "production") == "no"


def test_a_refused_deploy_names_the_user(pipeline: Pipeline) -> None:
    (pipeline.folder / "kubeconfig-token").write_text(pipeline.token())
    found = re.search(r"ENVIRONMENT=staging OIDC_USER='(.*)'", pipeline.bind)
    assert found
    command = ("make", "diff", "ENVIRONMENT=production", f"TAG={TAG}")
    assert f'"{found[1]}" cannot' in pipeline.as_job(*command, check=False)


def test_lasting_tokens_end(pipeline: Pipeline, cluster: ControlPlane) -> None:
    lasting = pipeline.project.as_deployer("staging").kubeconfig
    (user,) = yaml.safe_load(lasting.read_text())["users"]

    def status() -> int:
        path = f"/api/v1/namespaces/{pipeline.project.namespace('staging')}/pods"
        with cluster.client_of(user["user"]["token"]) as client:
            return client.get(path).status_code

    assert status() == httpx.codes.OK
    pipeline.run(pipeline.end_tokens)
    wait_for(lambda: status() == httpx.codes.UNAUTHORIZED)
    assert pipeline.may(pipeline.token()) == "yes"
