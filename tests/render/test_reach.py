"""NetworkPolicies as Kubernetes documents them, one sentence each."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.render.reach import Connection, End, allowed

WEB = End("web", "here", (("app", "web"),))
DATABASE = End("database", "here", (("app", "database"),))
STRANGER = End("stranger", "there", (("app", "web"),))
OUTSIDE = End("outside", address="203.0.113.10")
INSIDE = End("inside", address="10.1.2.3")


def policy(pods: dict[str, Any], types: list[str], **rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"metadata": {"namespace": "here"}, "spec": {"podSelector": pods, "policyTypes": types, **rules}}


def of(app: str) -> dict[str, Any]:
    return {"matchLabels": {"app": app}}


DENY = policy({}, ["Ingress", "Egress"])
IN = policy(of("database"), ["Ingress"], ingress=[{"from": [{"podSelector": of("web")}], "ports": [{"port": 5432}]}])
OUT = policy(of("web"), ["Egress"], egress=[{"to": [{"podSelector": of("database")}], "ports": [{"port": 5432}]}])
ANYWHERE = policy(of("web"), ["Egress"], egress=[{}])
WORLD = policy(of("web"), ["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}])
NAMED = policy(
    of("web"),
    ["Ingress"],
    ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "there"}}}]}],
)
NAMED_PODS = policy(
    of("web"),
    ["Ingress"],
    ingress=[
        {
            "from": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "there"}},
                    "podSelector": of("db"),
                }
            ]
        }
    ],
)
EVERY_NAMESPACE = policy(of("web"), ["Ingress"], ingress=[{"from": [{"namespaceSelector": {}}]}])
RANGE = policy(of("web"), ["Ingress"], ingress=[{"ports": [{"port": 8000, "endPort": 8010}]}])
NOT_WEB = policy({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, ["Ingress"])

CASES = {
    "without a policy all is open": ([], STRANGER, WEB, "TCP", 80, True),
    "deny all closes both ways in": ([DENY], STRANGER, WEB, "TCP", 80, False),
    "deny all closes the way out": ([DENY], WEB, OUTSIDE, "TCP", 443, False),
    "both ends have to allow": ([DENY, IN, OUT], WEB, DATABASE, "TCP", 5432, True),
    "one end is not enough": ([DENY, IN], WEB, DATABASE, "TCP", 5432, False),
    "another port stays closed": ([DENY, IN, OUT], WEB, DATABASE, "TCP", 22, False),
    "a port is TCP unless it says otherwise": ([DENY, IN, OUT], WEB, DATABASE, "UDP", 5432, False),
    "a pod selector alone means this namespace": ([IN], STRANGER, DATABASE, "TCP", 5432, False),
    "an empty rule allows everything": ([ANYWHERE], WEB, OUTSIDE, "TCP", 443, True),
    "an address of the block": ([WORLD], WEB, OUTSIDE, "TCP", 443, True),
    "an address that the block leaves out": ([WORLD], WEB, INSIDE, "TCP", 443, False),
    "a block is no pod": ([WORLD], WEB, DATABASE, "TCP", 5432, False),
    "a namespace by its name": ([NAMED], STRANGER, WEB, "TCP", 80, True),
    "a namespace does not mean addresses": ([NAMED], OUTSIDE, WEB, "TCP", 80, False),
    "namespace and pods together are both wanted": ([NAMED_PODS], STRANGER, WEB, "TCP", 80, False),
    "every namespace is not the internet": ([EVERY_NAMESPACE], OUTSIDE, WEB, "TCP", 80, False),
    "a port of a range": ([RANGE], STRANGER, WEB, "TCP", 8005, True),
    "a port beyond a range": ([RANGE], STRANGER, WEB, "TCP", 8011, False),
    "an expression selects": ([NOT_WEB], STRANGER, DATABASE, "TCP", 80, False),
    "an expression that does not select": ([NOT_WEB], STRANGER, WEB, "TCP", 80, True),
    "a direction that is not named stays open": ([IN], WEB, OUTSIDE, "TCP", 443, True),
}


@pytest.mark.parametrize(("policies", "source", "target", "protocol", "port", "open_"), CASES.values(), ids=CASES)
def test_allowed(
    policies: list[dict[str, Any]], source: End, target: End, protocol: str, port: int, open_: bool
) -> None:
    assert allowed(policies, Connection(source, target, protocol, port)) is open_
