"""The documented additions to network policies in kubernetes/README.md work."""

from __future__ import annotations

import re

import pytest

from tests.harness import Answers, Projects, load
from tests.rules.kubernetes.network import Peer, _allows

SERVICE: Answers = {"project_name": "Shop", "service_name": "shop", "customize": True}
PAYMENTS = Peer("payments", "payments-production", frozenset({("app.kubernetes.io/name", "payments")}))
NETWORK = Peer("an API", address="10.20.0.7")


@pytest.mark.parametrize("egress", ["internet", "restricted"])
@pytest.mark.parametrize(("target", "port"), [(PAYMENTS, 8080), (NETWORK, 443)], ids=["service", "API"])
def test_documented_policy_entry_opens_one_connection(projects: Projects, egress: str, target: Peer, port: int) -> None:
    files = projects.render({**SERVICE, "egress": egress})
    entries = "".join(
        re.findall(r"```yaml\n(    - to:.*?)```", files["kubernetes/README.md"].content.decode(), re.DOTALL)
    )
    policy = files["kubernetes/base/egress-networkpolicy.yaml"].content

    def opens(content: bytes, target: Peer, port: int) -> bool:
        return _allows(load(content)["spec"], "Egress", "shop-production", target, target, (port, "TCP"))

    assert not opens(policy, target, port)
    extended = policy + entries.encode()
    assert opens(extended, target, port)
    assert not opens(extended, target, port + 1)
    assert not opens(extended, PAYMENTS._replace(namespace="others"), 8080)
