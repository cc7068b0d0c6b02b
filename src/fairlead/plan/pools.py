"""Replicas into nodes: a replica's accelerators are always on one node, and a node never holds more than it has."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence

from fairlead.catalog.accelerators import GIB
from fairlead.catalog.allocatable import allocatable
from fairlead.catalog.instances import Instance
from fairlead.errors import Problem, UserError
from fairlead.plan.market import priced
from fairlead.plan.service import Placement, Pool
from fairlead.spec.planning import Hardware

GENERAL = "general"
GENERAL_INSTANCE = {"aws": "m7i.xlarge", "gcp": "e2-standard-4", "azure": "Standard_D4s_v5"}
GENERAL_LEAST = 2  # so that one node may be lost
BASE_CORES, BASE_GIB = 3.0, 8.0  # an operator, a Ray head or router, metrics and their store: what their charts request
GATEWAY_CORES, GATEWAY_GIB = 1.0, 0.5


def nodes_for(sizes: Iterable[tuple[int, int]], gpus: int) -> int:
    """Nodes of `gpus` accelerators that hold so many replicas of so many accelerators: (replicas, size) pairs.

    The largest first, each on the first node that has room. A replica larger than a node takes whole nodes.
    """
    free: list[int] = []
    whole = 0
    for count, size in sorted(sizes, key=lambda pair: -pair[1]):
        if size >= gpus:
            whole += count * math.ceil(size / gpus)
            continue
        for _ in range(count):
            place = next((index for index, room in enumerate(free) if room >= size), None)
            if place is None:
                free.append(gpus)
                place = len(free) - 1
            free[place] -= size
    return whole + len(free)


def sized(pool: Pool, placements: Sequence[Placement], *, fixed: bool) -> Pool:
    """The pool with the nodes that its placements want; its bounds too, unless they are `fixed` by the spec.

    Raises UserError where fixed bounds are too small.
    """
    mine = [each for each in placements if each.pool == pool.name]
    minimum, wanted, most = (
        nodes_for([(count, each.gpus) for each, count in zip(mine, counts, strict=True)], pool.instance.gpus)
        for counts in zip(*[(each.minimum, each.deployment.replicas, each.maximum) for each in mine], strict=True)
    ) if mine else (0, 0, 0)  # fmt: skip
    if not fixed:
        return replaced(pool, minimum, wanted, most)
    if most > pool.maximum:
        models = ", ".join(f"{each.model}: {each.maximum} x {each.gpus} GPUs" for each in mine)
        message = f"{most} nodes of {pool.instance.name} are wanted for {models}; at most {pool.maximum} are allowed"
        problem = Problem(message, subject=f"hardware.pools.{pool.name}.max", hint=f"max: {most}, or fewer replicas")
        raise UserError(problems=[problem])
    return replaced(pool, pool.minimum, max(wanted, pool.minimum), pool.maximum)


def replaced(pool: Pool, minimum: int, nodes: int, maximum: int) -> Pool:
    """The same pool with other numbers of nodes."""
    return Pool(name=pool.name, instance=pool.instance, spot=pool.spot, minimum=minimum, nodes=nodes, maximum=maximum)


def spec_pools(hardware: Hardware) -> tuple[Pool, ...]:
    """The pools of the spec. Raises UserError with all problems."""
    made: list[Pool] = []
    problems: list[Problem] = []
    for name, pool in hardware.pools.items():
        try:
            found = priced(hardware, pool.instance, subject=f"hardware.pools.{name}.instance")
        except UserError as error:
            problems += error.problems
            continue
        made.append(Pool(name=name, instance=found, spot=pool.spot, minimum=pool.min, nodes=pool.min, maximum=pool.max))
    if problems:
        raise UserError(problems=problems)
    return tuple(made)


def with_general(pools: Sequence[Pool], hardware: Hardware, gateways: int) -> list[Pool]:
    """The pools with one for gateways, heads and operators: the spec's first without accelerators, or a new one.

    Raises UserError where the spec's own is too small.
    """
    own = next((pool for pool in pools if not pool.instance.gpus), None)
    if own is None:
        return [*pools, general_pool(hardware, {pool.name for pool in pools}, gateways)]
    wanted = general_nodes(own.instance, gateways)
    if wanted > own.maximum:
        message = f"{wanted} nodes of {own.instance.name} are wanted for gateways, heads and operators"
        problem = Problem(message, subject=f"hardware.pools.{own.name}.max", hint=f"max: {wanted}")
        raise UserError(problems=[problem])
    grown = replaced(own, own.minimum, max(own.nodes, wanted), own.maximum)
    return [grown if pool is own else pool for pool in pools]


def general_pool(hardware: Hardware, taken: Container[str], gateways: int) -> Pool:
    """Nodes without accelerators, as many as are wanted."""
    name = next(each for each in (GENERAL, f"{GENERAL}-cpu", f"{GENERAL}-2") if each not in taken)
    found = priced(hardware, GENERAL_INSTANCE[hardware.cloud], subject="hardware.cloud")
    wanted = general_nodes(found, gateways)
    return Pool(name=name, instance=found, spot=False, minimum=wanted, nodes=wanted, maximum=2 * wanted)


def general_nodes(found: Instance, gateways: int) -> int:
    """GENERAL_LEAST nodes, or what gateways, heads and operators request."""
    room = allocatable(found)
    cores, memory = BASE_CORES + gateways * GATEWAY_CORES, BASE_GIB + gateways * GATEWAY_GIB
    return max(GENERAL_LEAST, math.ceil(cores / room.cores), math.ceil(memory * GIB / room.memory_bytes))
