"""When the engine is full, those who wait share it by weight in tokens: the virtual token counter.

After Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024). Each tenant has a counter of the service
that it got (w_p x prompt + w_q x completion tokens, over its weight); of those who wait, the least counter is next.
A tenant that begins to wait is lifted to the least counter of those who do: nobody saves service up while idle. While
two tenants both wait, their weighted service differs by at most 2 x (the largest request x the requests running).

Interactive requests go before batch, but batch keeps `batch_share` of the tokens while both wait, so it is never
starved. The queue is bounded: when it is full, whoever holds the most of it by weight loses its newest entry, batch
first. Time is an argument; the answer to "who is next" depends on nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

INTERACTIVE = "1-interactive"  # of two equal counters the first by name is next
BATCH = "2-batch"
TINY = 1e-9  # in place of a share of nothing


@dataclass(frozen=True, slots=True)
class Terms:
    """How a full engine is shared; weights come with each entry."""

    queue: int = 256
    batch_share: float = 0.05
    prompt_weight: float = 1.0
    completion_weight: float = 2.0  # an answer's token takes a whole step, a prompt's only a part of one (as in OSDI)

    def service(self, prompt: int, completion: int) -> float:
        """Weighted tokens of a request."""
        return self.prompt_weight * prompt + self.completion_weight * completion


@dataclass(slots=True, eq=False)
class Entry:
    """One request that waits or runs. `prompt` and `completion`: expected tokens, until `settle` says the real ones."""

    tenant: str
    prompt: int
    completion: int
    deadline: float
    weight: float = 1.0
    batch: bool = False
    item: Any = None  # what the caller wants back
    charged: float = field(default=0.0, init=False)
    waiting: bool = field(default=False, init=False)

    @property
    def rank(self) -> str:
        """Which of the two queues it waits in."""
        return BATCH if self.batch else INTERACTIVE


@dataclass(frozen=True, slots=True)
class Shed:
    """An entry that will not be served, and why: `queue_full`, `too_slow` or `expired`. `wait_s` until it may be."""

    entry: Entry
    reason: str
    wait_s: float


class Counters:
    """Virtual token counters of those who share something."""

    __slots__ = ("_last", "values")

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self._last = ""  # who stopped waiting last

    def lift(self, name: str, waiting: Mapping[str, object]) -> None:
        """`name` begins to wait beside those in `waiting`."""
        floor = min((self.values[other] for other in waiting), default=self._floor())
        self.values[name] = max(self.values.get(name, 0.0), floor)

    def charge(self, name: str, service: float) -> None:
        """Count service that was given, or taken back."""
        self.values[name] = self.values.get(name, 0.0) + service

    def left(self, name: str) -> None:
        """`name` waits no more."""
        self._last = name

    def least(self, waiting: Mapping[str, object]) -> str:
        """Who of them had the least service; by name where it is equal."""
        return min(waiting, key=lambda name: (self.values[name], name))

    def forget_idle(self, keep: Mapping[str, object]) -> None:
        """Drop the counters that a lift would raise anyway."""
        floor = min((self.values[name] for name in keep), default=self._floor())
        self.values = {
            name: value for name, value in self.values.items() if value > floor or name in keep or name == self._last
        }

    def _floor(self) -> float:
        return self.values.get(self._last, 0.0)


class Line:
    """One tenant's entries of one rank, the oldest first, and the service that they ask for in all."""

    __slots__ = ("entries", "service")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.service = 0.0

    @property
    def greed(self) -> float:
        """Entries by weight."""
        return len(self.entries) / self.entries[0].weight


class FairQueue:
    """The requests that wait for one full engine."""

    MAX_COUNTERS = 10_000

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._ranks = Counters()
        self._tenants = Counters()
        self._waiting: dict[str, dict[str, Line]] = {}  # rank -> tenant -> line, none of them empty
        self._size = 0
        self._pace = Pace()
        self.held = False  # batch waits for its rule and not for room: its waiting says nothing of the engine

    def __len__(self) -> int:
        return self._size

    def push(self, entry: Entry, now: float) -> Shed | None:
        """Let an entry wait. Returns the entry that is shed for it: itself, the newest of the greediest, or none."""
        wait_s = self.expected_wait(entry)
        if now + wait_s > entry.deadline:
            return Shed(entry, "too_slow", wait_s)
        self._append(entry)
        if self._size <= self.terms.queue:
            return None
        victim = self._newest_of_the_greediest()
        wait_s = self.expected_wait(victim)
        self.cancel(victim)
        return Shed(victim, "queue_full", wait_s)

    @property
    def hurried(self) -> bool:
        """Whether an interactive entry waits."""
        return INTERACTIVE in self._waiting

    def pop(self, *, batch: bool = True) -> Entry | None:
        """Who is next, of all or of the interactive; it is charged what it is expected to use.

        Deadlines are for `expire`: now there is room.
        """
        if not self._waiting or not (batch or self.hurried):
            return None
        rank = self._ranks.least(self._waiting) if batch else INTERACTIVE
        tenant = self._tenants.least(self._waiting[rank])
        entry = self._waiting[rank][tenant].entries[0]
        self._remove(entry)
        self.start(entry)
        return entry

    def start(self, entry: Entry) -> None:
        """Charge an entry that begins to run (without having waited: the engine had room)."""
        self._charge(entry, self.terms.service(entry.prompt, entry.completion))

    def settle(self, entry: Entry, prompt: int, completion: int, now: float) -> None:
        """Correct the charge to what was used; call it once for each entry that began to run."""
        actual = self.terms.service(prompt, completion)
        self._charge(entry, actual - entry.charged)
        self._pace.served(actual, now, full=self.hurried or (bool(self._size) and not self.held))
        if len(self._tenants.values) > self.MAX_COUNTERS:
            self._tenants.forget_idle(dict.fromkeys(self._names()))

    def cancel(self, entry: Entry) -> None:
        """The entry waits no more (its client left). Harmless for one that does not wait."""
        if entry.waiting:
            self._remove(entry)

    def expire(self, now: float) -> list[Shed]:
        """Take out every entry whose deadline has passed."""
        late = [entry for entry in self._entries() if entry.deadline < now]
        for entry in late:
            self._remove(entry)
        return [Shed(entry, "expired", self.expected_wait(entry)) for entry in late]

    def expected_wait(self, entry: Entry) -> float:
        """Seconds until an entry pushed now would run, at the pace of late; 0.0 while no pace is known.

        Its tenant's line drains at the tenant's share of the engine, its weight over those of all who wait; but no
        slower than everything that waits.
        """
        if not self._pace.per_second:
            return 0.0
        lines = self._waiting.get(entry.rank, {})
        mine = lines[entry.tenant].service if entry.tenant in lines else 0.0
        others = sum(line.entries[0].weight for tenant, line in lines.items() if tenant != entry.tenant)
        share = entry.weight / (entry.weight + others) * self._rank_share(entry.rank)
        everything = sum(line.service for lines in self._waiting.values() for line in lines.values())
        return min(mine / max(share, TINY), everything) / self._pace.per_second

    # -- the books --------------------------------------------------------------------------------------------------

    def _rank_share(self, rank: str) -> float:
        if self._waiting.keys() <= {rank}:
            return 1.0
        return self.terms.batch_share if rank == BATCH else 1.0 - self.terms.batch_share

    def _charge(self, entry: Entry, service: float) -> None:
        entry.charged += service
        self._tenants.charge(entry.tenant, service / entry.weight)
        share = self.terms.batch_share if entry.batch else 1.0 - self.terms.batch_share
        self._ranks.charge(entry.rank, service / max(share, TINY))

    def _append(self, entry: Entry) -> None:
        if entry.rank not in self._waiting:
            self._ranks.lift(entry.rank, self._waiting)
            self._waiting[entry.rank] = {}
        if not any(entry.tenant in lines for lines in self._waiting.values()):
            self._tenants.lift(entry.tenant, dict.fromkeys(self._names()))
        line = self._waiting[entry.rank].setdefault(entry.tenant, Line())
        line.entries.append(entry)
        line.service += self.terms.service(entry.prompt, entry.completion)
        entry.waiting = True
        self._size += 1

    def _remove(self, entry: Entry) -> None:
        lines = self._waiting[entry.rank]
        line = lines[entry.tenant]
        line.entries.remove(entry)
        line.service -= self.terms.service(entry.prompt, entry.completion)
        entry.waiting = False
        self._size -= 1
        if line.entries:
            return
        del lines[entry.tenant]
        if not any(entry.tenant in others for others in self._waiting.values()):
            self._tenants.left(entry.tenant)
        if not lines:
            del self._waiting[entry.rank]
            self._ranks.left(entry.rank)

    def _newest_of_the_greediest(self) -> Entry:
        """Batch lines first, if there are any: they are in less of a hurry."""
        lines = self._waiting.get(BATCH) or self._waiting[INTERACTIVE]
        return max(lines.values(), key=lambda line: line.greed).entries[-1]

    def _names(self) -> Iterator[str]:
        return (tenant for lines in self._waiting.values() for tenant in lines)

    def _entries(self) -> Iterator[Entry]:
        return (entry for lines in self._waiting.values() for line in lines.values() for entry in line.entries)


class Pace:
    """Service per second of late, from what was settled: a mean that forgets with a time constant of WINDOW_S.

    Only time in which somebody waited counts: what an engine serves that has room says nothing of what it could.
    """

    WINDOW_S = 10.0
    LEAST_S = 0.5  # of settled work before a pace is believed

    __slots__ = ("_began", "_sum", "_updated", "per_second")

    def __init__(self) -> None:
        self._sum = 0.0
        self._began: float | None = None  # since when somebody has waited
        self._updated = 0.0
        self.per_second = 0.0

    def served(self, service: float, now: float, *, full: bool) -> None:
        """Count a request that has ended; `full`: somebody waited for its place."""
        if now - self._updated > self.WINDOW_S:  # an old pace says nothing
            self._began, self.per_second = None, 0.0
        if self._began is None or not full:
            self._began, self._sum, self._updated = now if full else None, 0.0, now
            return
        kept = max(0.0, 1.0 - (now - self._updated) / self.WINDOW_S)
        self._sum = self._sum * kept + service
        self._updated = max(self._updated, now)
        span_s = min(self.WINDOW_S, now - self._began)
        if span_s >= self.LEAST_S:
            self.per_second = self._sum / span_s
