"""A Batch API that nobody may use, that would not yield, or whose files another replica would not find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.spec.consumption import Fairness
from fairlead.spec.problems import Finding
from fairlead.spec.types import BATCH, Gateway, Role


def findings(
    *,
    declared: bool,
    deployed: bool,
    roles: Mapping[str, Role | None],
    fairness: Fairness | None,
    gateway: Gateway | None,
) -> Iterator[Finding]:
    """Every contradiction. `deployed`: the file is for a cluster too."""
    users = [(name, role) for name, role in roles.items() if role is not None and BATCH in role.operations]
    if not declared:
        for name, role in users:
            path = ("access", "roles", name, "operations", role.operations.index(BATCH))
            yield Finding(path, "there is no Batch API that it would allow", "add batches: {}")
        return
    if not users and None not in roles.values():
        yield Finding(("batches",), "no role may use it", "add batch to the operations of a role", at_key=True)
    if fairness is None:
        message = "batches would not yield: without fairness an engine takes requests as they come"
        yield Finding(("batches",), message, "add fairness: {}", at_key=True)
    if deployed:
        message = "batches are kept on the gateway's disk, and in a cluster that goes with its node"
        yield Finding(("batches",), message, "leave batches or deploy out; `fairlead batch run` works there", True)
    if gateway is not None and gateway.replicas > 1:
        message = f"batches and their files are kept on one gateway's disk, and there are {gateway.replicas}"
        yield Finding(("gateway", "replicas"), message, "leave batches out, or run one gateway")
