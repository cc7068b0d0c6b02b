"""Two pages for whoever reviews a rendering, both simulated: where its pods fit, and who may connect to whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fairlead.plan.service import Pool
from fairlead.render.build import Build, Part
from fairlead.render.checks.frame import Rendering
from fairlead.render.checks.network import open_connections
from fairlead.render.ends import covers
from fairlead.render.files import Files
from fairlead.render.flows import Flow
from fairlead.render.reach import Connection
from fairlead.render.schedule_pods import Schedule, capacity, schedule, shown_bytes, table

NODES = "NODES.md"
NETWORK = "NETWORK.md"


def pages(build: Build, files: Files, flows: Sequence[Flow]) -> Iterator[Part]:
    """Both pages."""
    rendering = Rendering(build, files, flows)
    yield NODES, nodes(rendering)
    yield NETWORK, network(rendering)


def nodes(rendering: Rendering) -> str:
    """Every pod on the nodes of the pools, at the most and at the least replicas that there may be."""
    pools = rendering.build.plan.pools
    lines = ["# On which nodes the pods fit", "", *_pools(pools)]
    for fullest, title in ((True, "With all replicas that there may be"), (False, "With the fewest replicas")):
        made = schedule(rendering.workloads, pools, fullest=fullest)
        lines += ["", f"## {title}", "", *_placed(made), *_pending(made)]
    return "\n".join(lines) + "\n"


def network(rendering: Rendering) -> str:
    """Every connection that the policies let through, with the flow that needs it; all others are closed."""
    lines = [
        "# Who may connect to whom",
        "",
        "All that is not here is closed. A pod is named by its component and model.",
        "",
    ]
    lines += ["| from | to | ports | why |", "|---|---|---|---|"]
    found: dict[tuple[str, str, str], list[str]] = {}
    for connection in open_connections(rendering):
        for flow in rendering.flows:
            if covers(flow, connection):
                ends = (connection.source.name, connection.target.name, flow.why)
                found.setdefault(ends, []).append(_port(flow, connection))
                break
    for (source, target, why), ports in sorted(found.items()):
        lines.append(f"| {source} | {target} | {', '.join(dict.fromkeys(ports))} | {why} |")
    return "\n".join(lines) + "\n"


def _port(flow: Flow, connection: Connection) -> str:
    return f"{connection.protocol} {connection.port}" if flow.ports else "all"


def _pools(pools: Sequence[Pool]) -> Iterator[str]:
    yield "| pool | instance | nodes | for pods on a node |"
    yield "|---|---|---|---|"
    for pool in pools:
        size = capacity(pool)
        gpus = f", {size.gpus} x {pool.instance.gpu}" if size.gpus else ""
        room = f"{size.cores:.2f} cores, {shown_bytes(size.memory)}{gpus}"
        spot = ", spot" if pool.spot else ""
        yield f"| {pool.name} | {pool.instance.name}{spot} | {pool.minimum} to {pool.maximum} | {room} |"


def _placed(made: Schedule) -> Iterator[str]:
    for pool, count, pods in table(made):
        yield f"- {pool}: {count} nodes" + (":" if pods else ", none of them needed")
        yield from (f"  - {number} x {title}" for title, number in pods.items())


def _pending(made: Schedule) -> Iterator[str]:
    for pending in made.pending:
        yield f"- pending: {pending.count} x {pending.workload.title}: {'; '.join(pending.reasons)}"
