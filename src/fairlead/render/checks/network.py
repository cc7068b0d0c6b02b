"""The rendered NetworkPolicies against the table of flows: what is needed is open, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import names, pods
from fairlead.render.build import Object
from fairlead.render.checks.frame import Fault, Rendering, dig
from fairlead.render.ends import ODD_PORTS, STRANGERS, covers, known_ends, needs, our_ends
from fairlead.render.flows import Flow, Pods
from fairlead.render.reach import Connection, End, allowed, between, listed_ports


def default_deny(rendering: Rendering) -> Iterator[Fault]:
    """A pod that no policy selects is open to everybody: one policy selects all, in both directions."""
    if not any(_closes_all(policy) for policy in policies(rendering)):
        namespace = names.namespace(rendering.build.spec)
        yield Fault(None, f"nothing closes the namespace {namespace!r}", "add a policy that denies all by default")


def needed_is_open(rendering: Rendering) -> Iterator[Fault]:
    """Each flow of the table gets through, from every pod of its source to every pod of its target."""
    listed, ours = policies(rendering), our_ends(rendering.workloads)
    for flow in rendering.flows:
        for connection in needs(flow, ours, names.namespace(rendering.build.spec)):
            if not allowed(listed, connection):
                message = f"blocked: {shown(connection)}, for {flow.why} ({flow.name})"
                yield Fault(None, message, "a policy has to allow it at both ends")
        for component in _missing(flow, {pods.component_of(dict(end.labels)) for end in ours}):
            yield Fault(None, f"the flow {flow.name} is for pods {component!r}, and there are none", "leave it out")


def open_is_needed(rendering: Rendering) -> Iterator[Fault]:
    """What no flow asks for is closed, to strangers of every sort as well."""
    for connection in open_connections(rendering):
        if not any(covers(flow, connection) for flow in rendering.flows):
            yield Fault(None, f"open for nobody: {shown(connection)}", "no flow needs it: close it")


def known_pods(rendering: Rendering) -> Iterator[Fault]:
    """A policy that selects no pod is a mistyped one."""
    ours = [dict(end.labels) for end in every_end(rendering)]
    for document in rendering.of_kind("NetworkPolicy"):
        wanted = dig(document.object, "spec", "podSelector", "matchLabels") or {}
        if not any(wanted.items() <= each.items() for each in ours):
            yield Fault(document, "is for no pods", "its selector has to be labels of the pods")


def open_connections(rendering: Rendering) -> Iterator[Connection]:
    """Every connection with an end of ours that gets through, at each port that a policy or a flow names."""
    listed, ours = policies(rendering), our_ends(rendering.workloads)
    others = [end for end in every_end(rendering) if end not in ours]
    ports = {*ODD_PORTS, *listed_ports(listed), *(port for flow in rendering.flows for port in flow.ports)}
    tried = (*between(ours, [*ours, *others], ports), *between(others, ours, ports))
    return (connection for connection in tried if allowed(listed, connection))


def every_end(rendering: Rendering) -> list[End]:
    """Our pods, those that flows name, and strangers."""
    known = known_ends(rendering.flows, names.namespace(rendering.build.spec))
    return list(dict.fromkeys([*our_ends(rendering.workloads), *known, *STRANGERS]))


def policies(rendering: Rendering) -> list[Object]:
    """Every NetworkPolicy that is rendered."""
    return [document.object for document in rendering.of_kind("NetworkPolicy")]


def shown(connection: Connection) -> str:
    """`gateway -> engine llama at TCP 8000`."""
    return f"{connection.source.name} -> {connection.target.name} at {connection.protocol} {connection.port}"


def _closes_all(policy: Object) -> bool:
    spec = policy["spec"]
    both = set(spec.get("policyTypes") or ()) == {"Ingress", "Egress"}
    return both and spec.get("podSelector") == {} and not spec.get("ingress") and not spec.get("egress")


def _missing(flow: Flow, components: set[str]) -> list[str]:
    named = [peer.component for peer in (flow.source, flow.target) if isinstance(peer, Pods)]
    return [component for component in named if component not in components]
