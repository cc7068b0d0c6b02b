"""Replicas share one limit by short leases: what a replica may take was taken from the shared counter beforehand.

The shared counter is a token bucket (rate R, burst B; a budget is one with R = 0 and B = what is left of it). A
replica asks for a slice sized by its recent demand, so the hot path makes no round trip. What is left of a slice at
the end of its life L goes back.

Bounds, over any span of T seconds, with N replicas and slices of at most S = max(SLICE_SHARE x max(R x L, B), the
largest single request):

    taken <= B + R x T + N x S             the store is there: slices that were out when the span began
    taken <= B + R x T + N x S + U         it was away within the span: U = (N / M - 1) x (R x A + B), never negative
    taken >= demand - D x S                D = replicas that died within the span: their slices are lost, not doubled

M is the number of replicas that each believes there are (the store said so last), A the seconds it was away: each
goes on with R / M and B / M, starting from what was left of its slice, and owes to the store what it took. If M = N,
U is 0. For a budget (R = 0) nothing is ever taken twice: taken <= B, since every slice left the counter before.
A store that lost its memory begins with a full bucket: that adds B to each bound, once for each loss. Shared buckets
that are asked first for what was taken while they were away go into debt, so an outage is no second allowance.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from fairlead.policy.bucket import Bucket

SLICE_SHARE = 0.1
LOW = 0.5  # of a slice: ask again before it is used up
_DEMAND_WEIGHT = 0.3  # of the newest interval in the mean


@dataclass(frozen=True, slots=True)
class Terms:
    """A shared limit: `rate` a second, `burst` at once, and how long a slice lives (seconds)."""

    rate: float
    burst: float
    life_s: float = 1.0

    @property
    def largest_slice(self) -> float:
        """S in the bounds, but for single requests that are larger."""
        return SLICE_SHARE * max(self.rate * self.life_s, self.burst)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a replica sends to the store: how much it wants, what it gives back, and what it took without asking."""

    want: float
    back: float = 0.0
    owed: float = 0.0


@dataclass(frozen=True, slots=True)
class Grant:
    """What the store answers: the slice, and how many replicas have asked of late."""

    amount: float
    replicas: int


class SharedCounter:
    """The store's side, as its script has to do it: one step, nobody in between."""

    def __init__(self, terms: Terms, now: float) -> None:
        self.terms = terms
        self.bucket = Bucket(terms.rate, terms.burst, now)
        self._seen: dict[str, float] = {}

    def grant(self, replica: str, ask: Ask, now: float) -> Grant:
        """Book what came back and what is owed, then give as much of what is wanted as there is."""
        self._seen[replica] = now
        self._seen = {name: at for name, at in self._seen.items() if now - at <= 3 * self.terms.life_s}
        self.bucket.give_back(now, ask.back - ask.owed)
        amount = min(ask.want, max(0.0, self.bucket.at(now)))
        self.bucket.take(now, amount)
        return Grant(amount, len(self._seen))


class Lease:
    """The replica's side: a pool to take from, as a Bucket is one, filled by slices.

    The caller asks `ask(now)` every now and then (several times in `life_s`, the next when the last is answered),
    sends what it returns to the store, and tells what came of it by `granted` or `lost`. Nothing here waits for the
    store.
    """

    __slots__ = (
        "_asked_at",
        "_demand",
        "_fallback",
        "_needed",
        "_owed",
        "_replicas",
        "_taken",
        "expires_at",
        "level",
        "terms",
    )

    def __init__(self, terms: Terms, now: float) -> None:
        self.terms = terms
        self.level = 0.0
        self.expires_at = -inf
        self._asked_at = now
        self._taken = 0.0
        self._demand = 0.0  # a second, asked for of late, granted or not
        self._needed = 0.0  # the largest request that found the slice too small
        self._replicas = 1
        self._fallback: Bucket | None = None
        self._owed = 0.0

    def take(self, now: float, cost: float) -> float:
        """Take `cost` of the slice and return 0.0, or the seconds to wait; inf when the limit never gives so much."""
        self._taken += cost
        if self._fallback is not None:
            return self._take_alone(now, cost)
        if cost <= self.level:
            self.level -= cost
            return 0.0
        if cost > self.terms.burst:
            return inf
        self._needed = max(self._needed, cost)
        return max((cost - self.level) / self.terms.rate if self.terms.rate else 0.0, self.terms.life_s / 4)

    def give_back(self, now: float, cost: float) -> None:
        """Put back what was taken too much; a negative cost takes more, into debt that the next slice pays."""
        self._taken = max(0.0, self._taken - cost)
        if self._fallback is not None:
            self._fallback.give_back(now, cost)
            self._owed -= cost
        else:
            self.level += cost

    def at(self, now: float) -> float:
        """What may be taken here without asking."""
        return self._fallback.at(now) if self._fallback is not None else self.level

    def full_in(self, now: float) -> float:
        """Seconds until a full burst is there again, judged from here."""
        missing = self.terms.burst - self.at(now)
        return missing / self.terms.rate if self.terms.rate and missing > 0.0 else 0.0

    def ask(self, now: float) -> Ask | None:
        """What to ask the store for now; None while the slice lasts."""
        self._measure(now)
        want = self._slice()
        if self._fallback is not None:
            return Ask(want, owed=max(0.0, self._owed))
        if now >= self.expires_at:
            back, self.level = max(0.0, self.level), min(0.0, self.level)
            return Ask(want - self.level, back=back)
        return Ask(want - self.level) if self.level < max(LOW * want, self._needed) else None

    def granted(self, ask: Ask, grant: Grant, now: float) -> None:
        """The store has answered."""
        if self._fallback is not None:
            self._fallback = None
            self.level = ask.owed - self._owed  # taken since the question was sent; or paid for and not used
            self._owed = 0.0
        self.level += grant.amount
        self._needed = 0.0
        self._replicas = max(1, grant.replicas)
        self.expires_at = now + self.terms.life_s

    def lost(self, now: float) -> None:
        """The store did not answer: go on with a fair share. What the question gave back is given back."""
        if self._fallback is None:
            share = 1.0 / self._replicas
            self._fallback = Bucket(self.terms.rate * share, self.terms.burst * share, now)
            self._fallback.level = min(self._fallback.burst, self.level)
            self._owed = -max(0.0, self.level)  # this much was paid for
            self.level = 0.0

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
        self._asked_at, self._taken = now, 0.0
