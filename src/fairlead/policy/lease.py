"""Replicas share one limit by short leases: what a replica may take was taken from the shared counter beforehand.

The shared counter is a token bucket (rate R, burst B). A replica asks for a slice sized by its recent demand, so the
hot path makes no round trip; what it does not need any more goes back. The first requests that a replica sees are
taken on credit, which its first question books: nobody waits for the store.

Bounds, over any span of T seconds, with N replicas and slices of at most S = max(SLICE_SHARE x max(R x L, B), the
largest single request), where L is the life of a slice:

    taken <= B + R x T + N x S             slices and credit that were out when the span began
    taken <= B + R x T + N x S + U         the store was away within the span: U = max(0, N / M - 1) x (R x A + B)
    taken >= what was asked for - D x S    D replicas died within the span: their slices are lost, not doubled

M is the number of replicas that each believes there are (declared, or what the store said last, whichever is more), A
the seconds it was away: each goes on with R / M and B / M, starting from what was left of its slice, and owes to the
store what it took. With M >= N, U is 0. A store that lost its memory is told by the replicas what it held; only if all
of them are new does it begin with a full bucket, which adds B, once for each such loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from fairlead.policy.bucket import Bucket

SLICE_SHARE = 0.1
LOW = 0.5  # of a slice: ask again before it is used up
SHORTEST_WAIT_S = 0.05
UNKNOWN = -inf
PATIENCE_LIVES = 4.0  # for all replicas to find a store that is back
_IDLE_LIVES = 2.0  # without a request: then the slice goes back
_DEMAND_WEIGHT = 0.3  # of the newest interval in the mean


@dataclass(frozen=True, slots=True)
class Terms:
    """A shared limit: `rate` a second, `burst` at once, how long a slice lives (seconds), how many replicas share it.

    `alone`: without the store a replica goes on with its share, or it takes nothing that it has not paid for.
    """

    rate: float
    burst: float
    life_s: float = 1.0
    replicas: int = 1
    alone: bool = True

    @property
    def largest_slice(self) -> float:
        """S in the bounds, but for single requests that are larger."""
        return SLICE_SHARE * max(self.rate * self.life_s, self.burst)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a replica sends: how much it wants, gives back, and took without asking.

    `known` is what it thinks that the store holds (more than the burst, if that ran over since), `away_s` how long the
    store was away for it.
    """

    want: float
    back: float = 0.0
    owed: float = 0.0
    known: float = UNKNOWN
    away_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """What the store answers: the slice, how many replicas have asked of late, and what is left in the bucket."""

    amount: float
    replicas: int
    left: float


class SharedCounter:
    """The store's side, as its script does it: one step, nobody in between.

    While it was away its bucket ran over, and the replicas took what ran over: `_over` pays for what they owe then, and
    for nothing else, for a short while.
    """

    def __init__(self, terms: Terms, now: float) -> None:
        self.terms = terms
        self.level: float | None = None
        self._at = now
        self._over = self._over_until = 0.0
        self._seen: dict[str, float] = {}

    def forget(self) -> None:
        """The store has lost its memory."""
        self.level = None
        self._over = 0.0
        self._seen = {}

    def grant(self, replica: str, ask: Ask, now: float) -> Grant:
        """Book what came back and what is owed, then give as much of what is wanted as there is."""
        burst, rate, life_s = self.terms.burst, self.terms.rate, self.terms.life_s
        self._seen[replica] = now
        self._seen = {name: at for name, at in self._seen.items() if now - at <= 3 * life_s}
        level = self.level
        if level is None:
            level = burst if ask.known == UNKNOWN else ask.known
        else:
            level += max(0.0, now - self._at) * rate
        self._at = now
        if now > self._over_until:
            self._over = 0.0
        if ask.away_s and level > burst:
            self._over += min(level - burst, rate * ask.away_s)
            self._over_until = now + PATIENCE_LIVES * life_s
        paid = min(ask.owed, self._over)
        self._over -= paid
        level = min(burst, min(burst, level) + ask.back - (ask.owed - paid))
        amount = max(0.0, min(ask.want, level))
        self.level = level - amount
        return Grant(amount, len(self._seen), self.level)


class Lease:
    """The replica's side: a pool to take from, as a Bucket is one, filled by slices.

    `hungry` is called, once until the next question, when the slice runs low. The owner then (and every now and then
    in any case) sends what `ask(now)` returns to the store, one question at a time, and tells what came of it by
    `granted` or `lost`. Nothing here waits for the store.
    """

    __slots__ = (
        "__weakref__",
        "_asked_at",
        "_calling",
        "_demand",
        "_fallback",
        "_fresh",
        "_hungry",
        "_left",
        "_left_at",
        "_lost_at",
        "_low",
        "_needed",
        "_owed",
        "_replicas",
        "_taken",
        "_taken_at",
        "_unpaid",
        "expires_at",
        "level",
        "starved",
        "terms",
    )

    def __init__(self, terms: Terms, now: float, hungry: Callable[[Lease], None] = lambda lease: None) -> None:
        self.terms = terms
        self._hungry = hungry
        self._replicas = terms.replicas
        self._asked_at = self._taken_at = self._left_at = self._lost_at = now
        self._taken = 0.0
        self._demand = 0.0  # a second, asked for of late, granted or not
        self._needed = 0.0  # the largest request that found the slice too small
        self._low = 0.0  # where the next question is due
        self._left = UNKNOWN
        self._fallback: Bucket | None = None
        self._owed = 0.0
        self.level = self._unpaid = 0.0
        self._fresh = True
        self._rest(now)

    # -- on the hot path ----------------------------------------------------------------------------------------------

    def take(self, now: float, cost: float) -> float:
        """Take `cost` of the slice and return 0.0, or the seconds to wait; inf when the limit never gives so much."""
        self._taken += cost
        if self._fallback is not None:
            return self._take_alone(now, cost)
        level = self.level
        if cost <= level or (self._fresh and cost <= self.terms.burst):
            self.level = level = level - cost
            if self._fresh or level < self._low:
                self._fresh = False
                self._call()
            return 0.0
        if cost > self.terms.burst:
            return inf
        self._needed = max(self._needed, cost)
        self._call()
        missing = cost - level
        return max(missing * self._replicas / self.terms.rate if self.terms.rate else 0.0, SHORTEST_WAIT_S)

    def give_back(self, now: float, cost: float) -> None:
        """Put back what was taken too much; a negative cost takes more, into debt that the next slice pays."""
        self._taken = max(0.0, self._taken - cost)
        if self._fallback is not None:
            self._fallback.give_back(now, cost)
            self._owed -= cost
            return
        self.level += cost
        if self._fresh:
            self._fresh = False
            self._call()

    def at(self, now: float) -> float:
        """What may be taken: here at once, and from the store as far as is known."""
        if self._fallback is not None:
            return self._fallback.at(now)
        in_store = self.terms.burst if self._left == UNKNOWN else min(self.terms.burst, self._in_store(now))
        return min(self.terms.burst, in_store + self.level - self._unpaid)

    def full_in(self, now: float) -> float:
        """Seconds until a full burst is there again, judged from here. 0.0 only when nothing is held here."""
        missing = self.terms.burst - self.at(now)
        if missing > 0.0:
            return missing / self.terms.rate if self.terms.rate else inf
        return 0.0 if self._fresh else self.terms.life_s

    # -- now and then -------------------------------------------------------------------------------------------------

    def ask(self, now: float) -> Ask | None:
        """What to ask the store for now; None while the slice lasts."""
        self._calling = False
        self._measure(now)
        if self._fallback is not None:
            owed, away_s = max(0.0, self._owed), now - self._lost_at
            return Ask(self._slice(), owed=owed, known=self._in_store(now), away_s=away_s)
        if self._fresh:
            return None
        if now - self._taken_at > _IDLE_LIVES * self.terms.life_s and self.level >= 0.0 and not self._unpaid:
            back = self.level
            self._rest(now)
            return Ask(0.0, back=back, known=self._in_store(now))
        want = self._slice()
        self._low = LOW * want
        back = max(0.0, self.level - want) if now >= self.expires_at else 0.0
        self.level -= back
        if back or self._unpaid or self.level < max(self._low, self._needed):
            return Ask(max(0.0, want - self.level), back=back, owed=self._unpaid, known=self._in_store(now))
        return None

    def granted(self, ask: Ask, grant: Grant, now: float) -> None:
        """The store has answered."""
        if self._fallback is not None:
            self._fallback = None
            self.level = ask.owed - self._owed  # taken since the question was sent; or paid for and not used
            self._owed = 0.0
        else:
            self._unpaid -= ask.owed
        self.level += grant.amount
        self._needed = 0.0
        self._replicas = max(1, grant.replicas)
        self._left, self._left_at = grant.left, now
        self.starved = grant.amount < ask.want
        self.expires_at = now + self.terms.life_s

    def release(self) -> Ask | None:
        """The replica ends: give back what is left, and book what was taken on credit or alone."""
        if self._fallback is not None:
            return Ask(0.0, back=max(0.0, -self._owed), owed=max(0.0, self._owed))
        paid = self.level - self._unpaid
        return Ask(0.0, back=max(0.0, paid), owed=max(0.0, -paid)) if paid else None

    def lost(self, now: float) -> None:
        """The store did not answer. What the question gave back is given back."""
        if self._fallback is not None:
            return
        paid = self.level - self._unpaid
        if self.terms.alone:
            share = 1.0 / max(self._replicas, self.terms.replicas)
            self._fallback = Bucket(self.terms.rate * share, self.terms.burst * share, now)
            self._fallback.level = min(self._fallback.burst, self.level)
            self._owed = -paid  # this much was paid for, or is in debt
            self.level = 0.0
        else:
            self.level = paid
            self.starved = True
        self._lost_at = now
        self._unpaid = 0.0
        self._fresh = False

    def _rest(self, now: float) -> None:
        """As at the beginning: nothing is held, and the first requests are taken on credit."""
        self.level = self._unpaid = self.terms.largest_slice / self._replicas
        self._fresh = True
        self._calling = False
        self.starved = False
        self.expires_at = now

    def _call(self) -> None:
        if not self._calling:
            self._calling = True
            self._hungry(self)

    def _in_store(self, now: float) -> float:
        """What the shared bucket would hold without an upper end; UNKNOWN if it was never heard of."""
        return self._left + max(0.0, now - self._left_at) * self.terms.rate

    def _slice(self) -> float:
        """As much as its demand uses in a life, and never less than its part of one largest slice."""
        least = self.terms.largest_slice / self._replicas
        return max(self._needed, min(self.terms.largest_slice, max(self._demand * self.terms.life_s, least)))

    def _take_alone(self, now: float, cost: float) -> float:
        assert self._fallback is not None
        wait_s = self._fallback.take(now, cost)
        if not wait_s:
            self._owed += cost
        elif cost <= self.terms.burst and wait_s == inf:
            return self.terms.life_s  # more than the share, less than the limit: when the store is back
        return wait_s

    def _measure(self, now: float) -> None:
        elapsed = now - self._asked_at
        if elapsed <= 0.0:
            return
        newest = self._taken / elapsed
        self._demand = newest if newest > self._demand else self._demand + _DEMAND_WEIGHT * (newest - self._demand)
        if self._taken:
            self._taken_at = now
        self._asked_at, self._taken = now, 0.0
