"""The ends that NetworkPolicies are tried with: our pods, those that we know by name, and strangers of every sort."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from fairlead.render import names, pods
from fairlead.render.flows import GATEWAY_LABEL, INTERNET, Addresses, Elsewhere, Flow, Peer, Pods, Proxies
from fairlead.render.reach import Connection, End
from fairlead.render.workloads import Workload

STRANGERS = (
    End("a pod of another namespace", "stranger", (("app", "stranger"),)),
    End("an address of the internet", address="203.0.113.10"),  # RFC 5737, for documentation
    End("another private address", address="192.168.255.77"),
    End("the clouds' metadata server", address="169.254.169.254"),
)
ODD_PORTS = (("TCP", 22), ("TCP", 443), ("TCP", 31337), ("UDP", 31337))


def our_ends(workloads: Iterable[Workload]) -> list[End]:
    """Our pods, those with equal labels once."""
    found = {}
    for each in workloads:
        labels = tuple(sorted(each.labels.items()))
        name = pods.component_of(each.labels) or each.document.title
        model = each.labels.get(names.MODEL, "")
        found[each.namespace, labels] = End(f"{name} {model}".strip(), each.namespace, labels)
    return sorted(found.values(), key=lambda end: (end.name, end.labels))


def known_ends(flows: Iterable[Flow], namespace: str) -> list[End]:
    """The ends of flows that are not pods of a component; proxies of a Gateway are in our `namespace`."""
    peers = dict.fromkeys(peer for flow in flows for peer in (flow.source, flow.target))
    return [end_of(peer, namespace) for peer in peers if not isinstance(peer, Pods)]


def end_of(peer: Proxies | Elsewhere | Addresses, namespace: str) -> End:
    """A pod of that Gateway or namespace, or an address of that network."""
    if isinstance(peer, Proxies):
        return End(f"proxies of {peer.gateway}", namespace, ((GATEWAY_LABEL, peer.gateway),))
    if isinstance(peer, Elsewhere):
        return End(f"namespace {peer.namespace}", peer.namespace, (peer.label,) if peer.label else ())
    if peer.network == INTERNET:
        return STRANGERS[1]
    network = ipaddress.ip_network(peer.network)
    return End(f"network {peer.network}", address=str(network[min(10, network.num_addresses - 1)]))


def needs(flow: Flow, ours: Sequence[End], namespace: str) -> Iterator[Connection]:
    """The connections that a flow stands for, between the ends that there are; where all ports are meant, odd ones."""
    for source in _ends(flow.source, ours, namespace):
        for target in _ends(flow.target, ours, namespace):
            for protocol, port in flow.ports or ODD_PORTS:
                yield Connection(source, target, protocol, port)


def covers(flow: Flow, connection: Connection) -> bool:
    """Whether a flow asks for a connection."""
    at_port = not flow.ports or (connection.protocol, connection.port) in flow.ports
    return at_port and _is(flow.source, connection.source) and _is(flow.target, connection.target)


def _ends(peer: Peer, ours: Sequence[End], namespace: str) -> list[End]:
    return [end for end in ours if _is(peer, end)] if isinstance(peer, Pods) else [end_of(peer, namespace)]


def _is(peer: Peer, end: End) -> bool:
    labels = dict(end.labels)
    if isinstance(peer, Pods):
        return pods.component_of(labels) == peer.component
    if isinstance(peer, Proxies):
        return labels.get(GATEWAY_LABEL) == peer.gateway
    if isinstance(peer, Elsewhere):
        return end.namespace == peer.namespace and (peer.label is None or peer.label in end.labels)
    return bool(end.address) and _within(end.address, peer)


def _within(address: str, peer: Addresses) -> bool:
    here = ipaddress.ip_address(address)
    without = any(here in ipaddress.ip_network(network) for network in peer.without)
    return here in ipaddress.ip_network(peer.network) and not without
