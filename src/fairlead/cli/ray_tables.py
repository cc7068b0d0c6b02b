"""A Ray cluster as `fairlead status` shows it: its nodes, and what Ray Serve runs on them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from fairlead.cli.show import table
from fairlead.engine.ray.view import View


def ray_tables(view: View) -> Iterator[RenderableType]:
    """Two tables, and what waits."""
    nodes = table(("Ray node", "role", "address", "CPUs", "GPUs"), numbers=("CPUs", "GPUs"))
    for node in view.nodes:
        amounts = (f"{node.resources.get(name, 0):g}" for name in ("CPU", "GPU"))
        nodes.add_row(node.id, "head" if node.is_head else "worker", node.ip, *amounts)
    yield nodes
    shown = table(("deployment", "status", "replicas", "on nodes", "message"))
    for each in view.deployments:
        replicas = ", ".join(f"{count} {state.lower()}" for state, count in each.replicas.items())
        message = each.message.splitlines()[0] if each.message else ""
        shown.add_row(each.name, each.status, f"{replicas or 0} of {each.target}", ", ".join(each.nodes), message)
    yield shown
    state = view.state or "nothing"
    yield f"Ray Serve: {state.lower()}{': ' + view.message if view.message else ''}; {view.queued} requests queued"
