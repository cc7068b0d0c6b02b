"""Many replicas under a policy: requests are routed, replicas start, drain and are reclaimed, and all of it is billed.

A request goes to the less loaded of two replicas drawn at random (Mitzenmacher 2001; what Ray Serve's router does).
Replicas are billed from the moment they are asked for until their last request is finished. Scaling down gives up
replicas that still start, newest first, then drains those with the fewest requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np

from fairlead.plan.autoscale.demand import Floats, Records, Trace
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.metrics import Metrics, Policy
from fairlead.plan.autoscale.replica import Replica


@dataclass(frozen=True, slots=True)
class Spot:
    """`share` of the replicas at `price` of the full price; each is reclaimed `per_hour` times, `notice_s` ahead."""

    share: float = 0.0
    price: float = 0.5
    per_hour: float = 0.05
    notice_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Floor:
    """At least `replicas` each day from `start_s` to `end_s` after midnight, at which a trace begins."""

    start_s: float
    end_s: float
    replicas: int

    def holds(self, now: float) -> bool:
        """True within the hours, also when they pass midnight."""
        clock = now % 86_400
        if self.start_s <= self.end_s:
            return self.start_s <= clock < self.end_s
        return clock >= self.start_s or clock < self.end_s


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds under every policy."""

    initial: int = 1
    least: int = 1
    most: int = 1000
    floors: tuple[Floor, ...] = ()
    spot: Spot = Spot()

    def clip(self, wanted: int, now: float) -> int:
        """`wanted` within the bounds that hold now."""
        floor = max((floor.replicas for floor in self.floors if floor.holds(now)), default=0)
        return min(self.most, max(self.least, floor, wanted))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the requests, shape (n,), and of the replicas.

    `iterations` of all engines together; `preemptions`: how often a sequence lost its place in the KV cache.
    """

    ttft_s: Floats
    tpot_s: Floats
    paid_hours: float
    paid_spot_hours: float
    reclaims: int
    replicas: tuple[
        tuple[float, int, int], ...
    ]  # (moment, ready, all that are billed), one for each look of the policy
    iterations: int
    preemptions: int


@dataclass(slots=True)
class _Unit:
    """A replica and its life."""

    engine: Replica
    born: float
    ready_at: float
    spot: bool
    state: str = "starting"  # starting, ready, draining, gone
    gone_at: float = float("inf")


@dataclass(slots=True)
class _Fleet:
    trace: Trace
    model: EngineModel
    policy: Policy
    bounds: Bounds
    rng: np.random.Generator
    records: Records
    units: list[_Unit] = field(default_factory=list)
    gone: list[_Unit] = field(default_factory=list)
    ready: list[Replica] = field(default_factory=list)
    held: list[int] = field(default_factory=list)  # requests that found no ready replica
    events: list[tuple[float, int, str, _Unit | None]] = field(default_factory=list)
    timeline: list[tuple[float, int, int]] = field(default_factory=list)
    arrived: int = 0
    arrived_at: float = 0.0
    events_made: int = 0
    reclaims: int = 0
    state: object = None


def simulate(trace: Trace, model: EngineModel, policy: Policy, bounds: Bounds, rng: np.random.Generator) -> Outcome:
    """Run the whole trace and let every request finish. The same arguments give the same outcome."""
    fleet = _Fleet(trace, model, policy, bounds, rng, Records(trace), state=policy.start)
    for _ in range(bounds.clip(bounds.initial, 0.0)):
        _start(fleet, 0.0, startup_s=0.0)
    _put(fleet, 0.0, "look", None)
    draws = rng.random((len(trace.arrival_s), 2))
    first, second = draws[:, 0].tolist(), draws[:, 1].tolist()
    records, ready, events = fleet.records, fleet.ready, fleet.events
    for request, now in enumerate(records.arrival):
        while events[0][0] <= now:
            _event(fleet)
        fleet.arrived += 1
        fleet.arrived_at += now
        count = len(ready)
        if count == 0:
            fleet.held.append(request)
            continue
        one = int(first[request] * count)
        chosen = ready[one]
        chosen.advance(now)
        if count > 1:
            other = ready[(one + 1 + int(second[request] * (count - 1))) % count]
            other.advance(now)
            if other.ongoing < chosen.ongoing:
                chosen = other
        chosen.submit(request)
    while records.finished < len(records.arrival):
        _event(fleet)
    return _outcome(fleet)


def _event(fleet: _Fleet) -> None:
    now, _, what, unit = heappop(fleet.events)
    if what == "look":
        _look(fleet, now)
    elif unit is None or unit.state == "gone":
        return
    elif what == "ready" and unit.state == "starting":
        unit.state = "ready"
        unit.engine.clock = now
        fleet.ready.append(unit.engine)
        held, fleet.held = fleet.held, []
        _resend(fleet, held, now)
    elif what == "notice":
        fleet.reclaims += 1
        _drain(fleet, unit, now)
        _put(fleet, now + fleet.bounds.spot.notice_s, "reclaim", unit)
    elif what == "reclaim":
        unit.engine.advance(now)
        lost = unit.engine.unfinished()
        _leave(fleet, unit, now)
        _resend(fleet, lost, now)


def _look(fleet: _Fleet, now: float) -> None:
    """Let the policy look, and do what it wants."""
    for unit in fleet.units:
        if unit.state != "starting":
            unit.engine.advance(now)
    for unit in [unit for unit in fleet.units if unit.state == "draining" and not unit.engine.ongoing]:
        _leave(fleet, unit, now)
    fleet.state, wanted = fleet.policy.decide(fleet.state, _metrics(fleet, now))
    _scale(fleet, fleet.bounds.clip(wanted, now), now)
    fleet.timeline.append((now, len(fleet.ready), len(fleet.units)))
    _put(fleet, now + fleet.policy.period_s, "look", None)


def _metrics(fleet: _Fleet, now: float) -> Metrics:
    records = fleet.records
    starting = sum(unit.state == "starting" for unit in fleet.units)
    queued = sum(len(unit.engine.waiting) + len(unit.engine.filling) for unit in fleet.units)
    ongoing = fleet.arrived - records.finished
    return Metrics(
        now=now,
        ready=len(fleet.ready),
        starting=starting,
        ongoing=ongoing,
        ongoing_seconds=records.finished_at - fleet.arrived_at + ongoing * now,
        queued=queued + len(fleet.held),
        arrived=fleet.arrived,
        finished=records.finished,
        prompt_tokens=int(records.used[0]),
        output_tokens=int(records.used[1]),
        context_tokens=records.used[2],
    )


def _scale(fleet: _Fleet, wanted: int, now: float) -> None:
    kept = [unit for unit in fleet.units if unit.state in {"starting", "ready"}]
    for _ in range(wanted - len(kept)):
        _start(fleet, now, startup_s=fleet.model.startup_s)
    if wanted < len(kept):
        spare = sorted(kept, key=lambda unit: (unit.state == "ready", unit.engine.ongoing, -unit.born))
        for unit in spare[: len(kept) - wanted]:
            _drain(fleet, unit, now)


def _start(fleet: _Fleet, now: float, *, startup_s: float) -> None:
    spot = fleet.bounds.spot
    on_spot = sum(unit.spot for unit in fleet.units)
    is_spot = spot.share > 0 and on_spot < round(spot.share * (len(fleet.units) + 1))
    unit = _Unit(Replica(fleet.model, fleet.records, now), now, now + startup_s, is_spot)
    fleet.units.append(unit)
    _put(fleet, unit.ready_at, "ready", unit)
    if is_spot and spot.per_hour > 0:
        _put(fleet, now + float(fleet.rng.exponential(3600 / spot.per_hour)), "notice", unit)


def _drain(fleet: _Fleet, unit: _Unit, now: float) -> None:
    if unit.engine in fleet.ready:
        fleet.ready.remove(unit.engine)
    unit.state = "draining"
    if not unit.engine.ongoing:
        _leave(fleet, unit, now)


def _leave(fleet: _Fleet, unit: _Unit, now: float) -> None:
    unit.state = "gone"
    unit.gone_at = now
    fleet.units.remove(unit)
    fleet.gone.append(unit)


def _resend(fleet: _Fleet, requests: Sequence[int], now: float) -> None:
    """Requests that no replica has: they begin anew, and their clients have been waiting since they came."""
    for request in requests:
        fleet.records.first_token[request] = float("inf")
        if not fleet.ready:
            fleet.held.append(request)
            continue
        for engine in fleet.ready:
            engine.advance(now)
        min(fleet.ready, key=lambda engine: engine.ongoing).submit(request)


def _put(fleet: _Fleet, moment: float, what: str, unit: _Unit | None) -> None:
    fleet.events_made += 1
    heappush(fleet.events, (moment, fleet.events_made, what, unit))


def _outcome(fleet: _Fleet) -> Outcome:
    records = fleet.records
    last = max(records.end)
    arrival, first, end = (np.asarray(values) for values in (records.arrival, records.first_token, records.end))
    units = [*fleet.gone, *fleet.units]
    paid = list(_paid_hours(units, max(last, fleet.trace.duration_s)))
    return Outcome(
        ttft_s=first - arrival + fleet.model.request_s,
        tpot_s=(end - first) / np.maximum(1, fleet.trace.output - 1),
        paid_hours=sum(hours for hours, _ in paid),
        paid_spot_hours=sum(hours for hours, spot in paid if spot),
        reclaims=fleet.reclaims,
        replicas=tuple(fleet.timeline),
        iterations=sum(unit.engine.steps for unit in units),
        preemptions=sum(unit.engine.preemptions for unit in units),
    )


def _paid_hours(units: Sequence[_Unit], end: float) -> Iterator[tuple[float, bool]]:
    for unit in units:
        yield (min(unit.gone_at, end) - min(unit.born, end)) / 3600, unit.spot
