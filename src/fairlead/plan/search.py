"""The cheapest choice that keeps the SLO, found without simulating them all.

Each option has a price that it cannot beat: that of the most requests/s a replica could take. They are looked at in the
order of that price, the first is simulated and gets its real one, and the search ends when a simulated option is first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fairlead.plan.ask import Ask
from fairlead.plan.capacity import Capacity, capacity
from fairlead.plan.options import Option
from fairlead.spec.planning import Hardware

Cost = Callable[[Option, int], float]
Simulated = dict[tuple[object, ...], Capacity | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An option with its simulated capacity and the replicas that the load wants, at `usd_month`."""

    option: Option
    capacity: Capacity
    replicas: int
    usd_month: float


def cheapest(found: Iterable[Option], hardware: Hardware, cost: Cost, seen: Simulated) -> Choice | None:
    """The cheapest by `cost(option, replicas)`; None where no option keeps the SLO. `seen` keeps what was simulated."""
    heap: list[tuple[float, int, int, Choice | None]] = []
    listed = list(found)
    for number, each in enumerate(listed):
        if each.rate > 0 or not each.ask.rate:
            bound = cost(each, replicas(each.ask, hardware, each.rate))
            heapq.heappush(heap, (bound, each.plan.tp, number, None))
    while heap:
        _, tp, number, choice = heapq.heappop(heap)
        if choice:
            return choice
        made = simulated(listed[number], hardware, cost, seen)
        if made:
            heapq.heappush(heap, (made.usd_month, tp, number, made))
    return None


def simulated(option: Option, hardware: Hardware, cost: Cost, seen: Simulated) -> Choice | None:
    """The option with what a simulation says; None where no load keeps the SLO.

    Without a stated load nothing is promised: what the memory holds is then what a replica takes.
    """
    key = (option.ask.name, option.engine)
    if key not in seen:
        seen[key] = capacity(option.ask, option.engine)
    takes = seen[key]
    if takes is None and not option.ask.rate:
        takes = Capacity(rate=0.0, ongoing=float(option.plan.seqs))
    if takes is None:
        return None
    wanted = replicas(option.ask, hardware, takes.rate)
    return Choice(option=option, capacity=takes, replicas=wanted, usd_month=cost(option, wanted))


def replicas(ask: Ask, hardware: Hardware, rate: float) -> int:
    """As written, or for the load with headroom and the spare ones."""
    if ask.replicas is not None:
        return ask.replicas
    wanted = math.ceil(ask.rate * (1 + hardware.headroom) / rate) if ask.rate else 1
    return max(ask.least, wanted + hardware.spare)
