"""NetworkPolicies as a cluster's network reads them: who may connect to whom, at which port.

Kubernetes' rules ("Network Policies"): a pod that a policy of a direction selects is closed in that direction but for
what such policies list together; one that none selects is open. A connection needs both ends to allow it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.render.build import Object
from fairlead.render.flows import NAMESPACE_LABEL


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection: pods of a namespace with their labels, or an address outside."""

    name: str
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    address: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """From one end to another at a port."""

    source: End
    target: End
    protocol: str
    port: int


def allowed(policies: Sequence[Object], connection: Connection) -> bool:
    """Whether both ends let the connection through."""
    return _open(policies, connection, "Egress") and _open(policies, connection, "Ingress")


def listed_ports(policies: Iterable[Object]) -> set[tuple[str, int]]:
    """Every port that a policy opens by its number."""
    return {
        (port.get("protocol", "TCP"), port["port"])
        for policy in policies
        for direction in ("ingress", "egress")
        for rule in policy["spec"].get(direction) or ()
        for port in rule.get("ports") or ()
        if isinstance(port.get("port"), int)
    }


def _open(policies: Sequence[Object], connection: Connection, direction: str) -> bool:
    """Whether one end lets it through; an end outside has no policies."""
    ours, other = (
        (connection.source, connection.target) if direction == "Egress" else (connection.target, connection.source)
    )
    if not ours.namespace:
        return True
    selecting = [policy for policy in policies if _selects(policy, ours, direction)]
    if not selecting:
        return True
    return any(
        _rule_allows(policy, rule, other, connection) for policy in selecting for rule in _rules(policy, direction)
    )


def _selects(policy: Object, end: End, direction: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    same = policy["metadata"].get("namespace") == end.namespace
    return same and direction in types and matches(spec.get("podSelector") or {}, dict(end.labels))


def _rules(policy: Object, direction: str) -> list[Object]:
    return policy["spec"].get(direction.lower()) or []


def _rule_allows(policy: Object, rule: Object, other: End, connection: Connection) -> bool:
    """No peers are all peers, no ports all ports."""
    peers = rule.get("to") or rule.get("from")
    if peers and not any(_is_peer(policy, peer, other) for peer in peers):
        return False
    ports = rule.get("ports")
    return not ports or any(_is_port(port, connection) for port in ports)


def _is_peer(policy: Object, peer: Object, other: End) -> bool:
    block = peer.get("ipBlock")
    if block is not None:
        return bool(other.address) and _in_block(block, other.address)
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        if not matches(peer["namespaceSelector"] or {}, {NAMESPACE_LABEL: other.namespace}):
            return False
    elif other.namespace != policy["metadata"].get("namespace"):
        return False
    return matches(peer.get("podSelector") or {}, dict(other.labels))


def _in_block(block: Mapping[str, Any], address: str) -> bool:
    here = ipaddress.ip_address(address)
    without = block.get("except") or ()
    return here in ipaddress.ip_network(block["cidr"]) and not any(
        here in ipaddress.ip_network(each) for each in without
    )


def _is_port(port: Object, connection: Connection) -> bool:
    if port.get("protocol", "TCP") != connection.protocol:
        return False
    if "port" not in port:
        return True
    first = int(port["port"])
    return first <= connection.port <= int(port.get("endPort", first))


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A label selector; an empty one takes everything."""
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        _expression(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _expression(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }[expression["operator"]]


def between(sources: Iterable[End], targets: Iterable[End], ports: Iterable[tuple[str, int]]) -> Iterator[Connection]:
    """Every connection; an end to itself is one of its pods to another."""
    every, listed = list(targets), sorted(ports)
    for source in sources:
        for target in every:
            yield from (Connection(source, target, protocol, port) for protocol, port in listed)
