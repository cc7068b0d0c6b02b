"""Every limit that applies must agree, or nothing is taken from any; what was taken is settled and released once.

A `Rule` says what is limited and for whom; a `Meter` is its state for one tenant, key, ... Requests and tokens live in
token buckets, running requests in a counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Protocol

from fairlead.policy.bucket import Bucket


class Subject(NamedTuple):
    """Whom a request is for. `model` is the model behind the public name, so that an alias is no second allowance."""

    tenant: str
    role: str
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a rule is for (an empty set: everybody), and what gets a state of its own (`per`: fields of Subject)."""

    per: tuple[str, ...] = ()
    tenants: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()

    def applies(self, subject: Subject) -> bool:
        """Whether the rule counts for it."""
        wanted = (self.tenants, self.roles, self.keys, self.models)
        return all(not names or name in names for names, name in zip(wanted, subject, strict=True))

    def owner(self, subject: Subject) -> tuple[str, ...]:
        """Whose state it is: all subjects with the same owner share one."""
        return tuple(getattr(subject, part) for part in self.per)


@dataclass(frozen=True, slots=True)
class Flow:
    """`count` in each `period_s`, and how many may come at once."""

    count: float
    period_s: float
    burst: float

    @property
    def per_second(self) -> float:
        """The mean rate."""
        return self.count / self.period_s


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit: requests, tokens and running requests, each where it is not None."""

    name: str
    scope: Scope
    requests: Flow | None = None
    tokens: Flow | None = None
    concurrent: int | None = None


class Pool(Protocol):
    """What a meter takes from: a bucket of its own, or a lease on a shared one."""

    def take(self, now: float, cost: float) -> float:
        """Take and return 0.0, or the seconds to wait."""

    def give_back(self, now: float, cost: float) -> None:
        """Put back; a negative cost takes more."""

    def at(self, now: float) -> float:
        """What is left."""

    def full_in(self, now: float) -> float:
        """Seconds until it is full."""


def local_pool(rule: Rule, kind: str, owner: tuple[str, ...], flow: Flow, now: float) -> Bucket:
    """The pool of a gateway that stands alone."""
    del rule, kind, owner
    return Bucket(flow.per_second, flow.burst, now)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Which rule said no and why (`requests`, `tokens` or `concurrent`), and after how long it may say yes."""

    rule: str
    kind: str
    wait_s: float

    @property
    def useless(self) -> bool:
        """Whether waiting changes nothing: the request is larger than the rule's burst."""
        return self.wait_s == inf


RUNNING_WAIT_S = 1.0  # nobody knows when a running request ends


class Meter:
    """The state of one rule for one owner."""

    __slots__ = ("concurrent", "in_flight", "requests", "rule", "tokens")

    def __init__(self, rule: Rule, requests: Pool | None, tokens: Pool | None) -> None:
        self.rule = rule
        self.requests = requests
        self.tokens = tokens
        self.concurrent = rule.concurrent if rule.concurrent is not None else inf
        self.in_flight = 0

    def take(self, now: float, tokens: int) -> Shortfall | None:
        """Take one request and its tokens, all or nothing."""
        if self.in_flight >= self.concurrent:
            return Shortfall(self.rule.name, "concurrent", RUNNING_WAIT_S if self.concurrent else inf)
        requests, bucket = self.requests, self.tokens
        if requests is not None and (wait_s := requests.take(now, 1.0)):
            return Shortfall(self.rule.name, "requests", wait_s)
        if bucket is not None and (wait_s := bucket.take(now, tokens)):
            if requests is not None:
                requests.give_back(now, 1.0)
            return Shortfall(self.rule.name, "tokens", wait_s)
        self.in_flight += 1
        return None

    def untake(self, now: float, tokens: int) -> None:
        """As if it had not been asked: another rule said no."""
        self.in_flight -= 1
        if self.requests is not None:
            self.requests.give_back(now, 1.0)
        if self.tokens is not None:
            self.tokens.give_back(now, tokens)

    def idle(self, now: float) -> bool:
        """Whether a new meter would be the same."""
        pools = (self.requests, self.tokens)
        return not self.in_flight and all(pool is None or not pool.full_in(now) for pool in pools)


def reserve(meters: Sequence[Meter], now: float, tokens: int) -> Shortfall | None:
    """Take one request of `tokens` from every meter, or from none and say why.

    A request that fails several is told of the longest wait: who comes back after it is not refused by the next rule.
    """
    for meter in meters:
        if (shortfall := meter.take(now, tokens)) is not None:
            number = meters.index(meter)
            for taken in meters[:number]:
                taken.untake(now, tokens)
            return _worst(meters[number + 1 :], now, tokens, shortfall)
    return None


def settle(meters: Sequence[Meter], now: float, surplus: int) -> None:
    """A request that was reserved has ended: give back the tokens reserved too much, or take those too little."""
    for meter in meters:
        meter.in_flight -= 1
        if surplus and meter.tokens is not None:
            meter.tokens.give_back(now, surplus)


def cancel(meters: Sequence[Meter], now: float, tokens: int) -> None:
    """As if a reserved request had never been admitted: a budget refused it, or it was shed from the queue."""
    for meter in meters:
        meter.untake(now, tokens)


def _worst(others: Sequence[Meter], now: float, tokens: int, found: Shortfall) -> Shortfall:
    for meter in others:
        shortfall = meter.take(now, tokens)
        if shortfall is None:
            meter.untake(now, tokens)
        elif shortfall.wait_s > found.wait_s:
            found = shortfall
    return found


def duration(seconds: float) -> str:
    """A time as OpenAI's headers write it: `17ms`, `1s`, `6m0s`, `1h2m3s`; rounded up to whole milliseconds."""
    millis = -int(-seconds * 1000 // 1)
    if millis < 1000:
        return f"{millis}ms"
    whole, millis = divmod(millis, 1000)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{whole}.{millis:03}".rstrip("0").rstrip(".") if millis else str(whole)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or hours else "") + f"{text}s"
