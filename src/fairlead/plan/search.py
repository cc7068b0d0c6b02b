"""The cheapest choice that keeps the SLO, found with few simulated loads.

Which share of a replica's closed form can be used lies in a bracket, and the upper end gives an option a price that it
cannot beat. The option with the lowest such price is looked at: if both ends want the same number of replicas it is
the answer, else one more load is simulated, which halves the bracket, and it has to queue again.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.thresholds import HALVINGS, LIGHTEST, Bracket
from fairlead.plan.capacity import Capacity, narrowed
from fairlead.plan.options import Option
from fairlead.spec.planning import Hardware

Cost = Callable[[Option, int], float]
Simulated = dict[tuple[object, ...], Bracket]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An option with its simulated capacity and the replicas that the load wants, at `usd_month`."""

    option: Option
    capacity: Capacity
    replicas: int
    usd_month: float


def cheapest(found: Iterable[Option], hardware: Hardware, cost: Cost, seen: Simulated) -> Choice | None:
    """The cheapest by `cost(option, replicas)`; None where no option keeps the SLO. `seen` keeps what was simulated.

    What needs more replicas than the autoscaling allows comes last.
    """
    listed = [each for each in found if each.rate > 0 or not each.ask.rate]
    heap: list[tuple[bool, float, int, int]] = []

    def queue(number: int) -> None:
        option = listed[number]
        wanted = replicas(option.ask, hardware, option.rate * upper(option, seen))
        beyond = wanted > most(option.ask)
        heapq.heappush(heap, (beyond, cost(option, wanted), option.plan.tp, number))

    for number in range(len(listed)):
        queue(number)
    while heap:
        *_, number = heapq.heappop(heap)
        option = listed[number]
        if settled(option, hardware, seen):
            return choice(option, hardware, cost, seen)
        seen[key(option)] = narrowed(option.ask, option.engine, bracket(option, seen))
        if not hopeless(option, seen):
            queue(number)
    return None


def key(option: Option) -> tuple[object, ...]:
    """What a simulation depends on."""
    return (option.ask.name, option.engine)


def bracket(option: Option, seen: Simulated) -> Bracket:
    """What is known of an option's usable share."""
    return seen.get(key(option), Bracket())


def upper(option: Option, seen: Simulated) -> float:
    """The largest share that may still be usable; once the bracket is narrow, the one that surely is."""
    known = bracket(option, seen)
    return known.low if known.halvings >= HALVINGS else known.high


def hopeless(option: Option, seen: Simulated) -> bool:
    """Whether no load has kept the SLO, down to the lightest."""
    known = bracket(option, seen)
    return bool(option.ask.rate) and known.halvings >= HALVINGS and known.low == LIGHTEST


def settled(option: Option, hardware: Hardware, seen: Simulated) -> bool:
    """Whether the number of replicas is certain: it is written, or both ends of the bracket want the same."""
    known, ask = bracket(option, seen), option.ask
    if known.halvings >= HALVINGS or not ask.rate:
        return True
    both = {replicas(ask, hardware, option.rate * share) for share in (known.low, known.high)}
    return known.low > LIGHTEST and len(both) == 1


def choice(option: Option, hardware: Hardware, cost: Cost, seen: Simulated) -> Choice | None:
    """A settled option with its capacity, for which the bracket is halved to the end.

    Without a stated load nothing is promised: where the SLO is never kept, what the engine holds is what it takes.
    """
    while bracket(option, seen).halvings < HALVINGS and option.rate > 0:
        seen[key(option)] = narrowed(option.ask, option.engine, bracket(option, seen))
    known = bracket(option, seen)
    takes = Capacity(rate=option.rate * known.low, ongoing=known.ongoing)
    if not known.ongoing:
        if option.ask.rate:
            return None
        takes = Capacity(rate=0.0, ongoing=float(option.plan.seqs))
    wanted = min(replicas(option.ask, hardware, takes.rate), most(option.ask))
    return Choice(option=option, capacity=takes, replicas=wanted, usd_month=cost(option, wanted))


def replicas(ask: Ask, hardware: Hardware, rate: float) -> int:
    """As written, or for the load with headroom and the spare ones; at least as many as the autoscaling keeps."""
    if ask.replicas is not None:
        return ask.replicas
    wanted = math.ceil(ask.rate * (1 + hardware.headroom) / rate) if ask.rate else 1
    least = ask.bounds[0] if ask.bounds else 0
    return max(least, ask.least, wanted + hardware.spare)


def most(ask: Ask) -> int:
    """As many replicas as the autoscaling allows; those that are written are never too many."""
    return ask.bounds[1] if ask.bounds and ask.replicas is None else sys.maxsize
