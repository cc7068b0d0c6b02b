"""A Batch API that nobody may use, that would not yield, or whose files another gateway would not find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.spec.batches import Batches
from fairlead.spec.consumption import Fairness
from fairlead.spec.problems import Finding
from fairlead.spec.store import Store
from fairlead.spec.types import BATCH, Gateway, Role
from fairlead.units import format_bytes

LARGEST_IN_POSTGRES = 2**30  # a file in its rows: what is larger belongs into an object store, and we have none
MOST_ROWS_IN_POSTGRES = 1_000_000  # who takes a batch over reads which of them are answered, while its leases run


def findings(
    *,
    declared: bool,
    batches: Batches | None,
    store: Store | None,
    deployed: bool,
    roles: Mapping[str, Role | None],
    fairness: Fairness | None,
    gateway: Gateway | None,
) -> Iterator[Finding]:
    """Every contradiction. `batches`: None where it is broken in itself. `deployed`: the file is for a cluster too."""
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
    yield from _places(batches, deployed=deployed, gateway=gateway, shared=store is not None and bool(store.postgres))


def _places(batches: Batches | None, *, deployed: bool, gateway: Gateway | None, shared: bool) -> Iterator[Finding]:
    """What would be on one gateway's disk alone, or is too large for a database that all of them share."""
    if shared:
        if batches is not None and batches.max_file > LARGEST_IN_POSTGRES:
            message = f"{format_bytes(batches.max_file)} is more than {format_bytes(LARGEST_IN_POSTGRES)}"
            yield Finding(
                ("batches", "max_file"), f"{message}: files are kept in store.postgres", "upload smaller ones"
            )
        if batches is not None and batches.max_rows > MOST_ROWS_IN_POSTGRES:
            message = f"{batches.max_rows} is more than {MOST_ROWS_IN_POSTGRES}: answers are kept in store.postgres"
            yield Finding(("batches", "max_rows"), message, "make several batches")
        return
    remedy = "add store.postgres, so that they are kept there"
    if deployed:
        message = "batches are kept on the gateway's disk, and in a cluster that goes with its node"
        yield Finding(("batches",), message, remedy, True)
    if gateway is not None and gateway.replicas > 1:
        message = f"batches and their files are kept on one gateway's disk, and there are {gateway.replicas}"
        yield Finding(("gateway", "replicas"), message, remedy)
