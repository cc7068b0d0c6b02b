"""Money is counted in whole billionths of the currency, reserved before a call and settled after it: sums are exact.

A budget holds for one period of a calendar in a timezone. What is spent and reserved never exceeds it by more than
what running requests used beyond their reserve.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fairlead.policy.limits import Scope

NANO = 10**9  # billionths in one USD, EUR, ...
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Price:
    """Billionths per million tokens: 150_000_000 is 0.15 USD per million."""

    prompt: int
    cached: int
    completion: int

    def cost(self, prompt: int, cached: int, completion: int) -> int:
        """Billionths for one request, rounded up once. `cached` is the part of `prompt` from the prefix cache."""
        millionths = prompt * self.prompt + completion * self.completion
        if cached:
            millionths -= min(cached, prompt) * (self.prompt - self.cached)
        return -(-millionths // 1_000_000)


FREE = Price(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Budget:
    """`amount` billionths in each period for each owner; `warn_at` is the share that is told of once a period."""

    name: str
    scope: Scope
    amount: int
    period: str  # h, day, week or month
    zone: ZoneInfo
    warn_at: float = 0.8

    @property
    def warn_from(self) -> float:
        """Billionths from which on it is told of."""
        return self.warn_at * self.amount


class Period(NamedTuple):
    """From `start` to before `end`, in seconds since 1970."""

    start: float
    end: float


def period_at(now: float, period: str, zone: ZoneInfo) -> Period:
    """The period that `now` lies in. Days, weeks (from Monday) and months go from midnight to midnight on local
    clocks, so that a day has 23 or 25 hours when they change; an hour always has 3,600 seconds.
    """
    here = datetime.fromtimestamp(now, zone)
    if period == "h":
        standard = (here.utcoffset() or timedelta()) - (here.dst() or timedelta())
        shift = standard.total_seconds() % _HOUR_S  # some zones are half an hour off
        start = (now + shift) // _HOUR_S * _HOUR_S - shift
        return Period(start, start + _HOUR_S)
    borders = _midnights(_first_day(here.date(), period), period, zone)
    start, end = next(borders), next(borders)
    while end <= now:  # clocks put back across midnight show the old date again
        start, end = end, next(borders)
    return Period(start, end)


def _first_day(day: date, period: str) -> date:
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "week" else day


def _midnights(day: date, period: str, zone: ZoneInfo) -> Iterator[float]:
    """The start of each period from `day` on. A midnight that clocks skip is when they skip it; of two, the first."""
    while True:
        yield datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
        day = _first_day(day + timedelta(days={"day": 1, "week": 7}.get(period, 31)), period)


class Crossed(NamedTuple):
    """The soft threshold was crossed: told once in each period."""

    budget: str
    owner: tuple[str, ...]
    spent: int
    amount: int
    period_start: float


RUNNING_WAIT_S = 1.0  # running requests hold the rest of it: some may come back when they end


class Account:
    """The state of one budget for one owner. Amounts are billionths.

    `allowance` is what may be spent here in this period: the whole budget, or this replica's slices of it. `warn_from`
    is where the soft threshold is crossed, infinite once it has been told of.
    """

    __slots__ = ("allowance", "budget", "end", "owner", "reserved", "spent", "start", "warn_from")

    def __init__(self, budget: Budget, owner: tuple[str, ...], now: float) -> None:
        self.budget = budget
        self.owner = owner
        self.reserved = 0
        self.end = -inf
        self.roll(now)

    def roll(self, now: float) -> None:
        """Begin the period of `now` if it is a later one. A clock that steps back reopens nothing."""
        if now >= self.end:
            self.start, self.end = period_at(now, self.budget.period, self.budget.zone)
            self.spent = 0
            self.allowance = self.budget.amount
            self.warn_from = self.budget.warn_from

    def reserve(self, now: float, cost: int) -> float:
        """Set `cost` aside and return 0.0; or nothing, and return the seconds to wait."""
        if now >= self.end:
            self.roll(now)
        if self.spent + self.reserved + cost <= self.allowance:
            self.reserved += cost
            return 0.0
        if cost > self.budget.amount:
            return inf
        return RUNNING_WAIT_S if self.spent + cost <= self.allowance else self.end - now

    def unreserve(self, cost: int) -> None:
        """Let go of what was set aside."""
        self.reserved -= cost

    def settle(self, now: float, reserved: int, actual: int) -> Crossed | None:
        """Turn what was set aside into what was spent, in the period in which the request ends."""
        if now >= self.end:
            self.roll(now)
        self.reserved -= reserved
        self.spent += actual
        return self._cross() if self.spent >= self.warn_from else None

    def restore(self, now: float, spent: int) -> None:
        """Add what the ledger says was spent in this period before this process began. It is not told of again."""
        self.roll(now)
        self.spent += spent
        if self.spent >= self.warn_from:
            self._cross()

    def change(self, budget: Budget) -> None:
        """Another amount or threshold for the same period; what was spent stays spent."""
        self.allowance += budget.amount - self.budget.amount
        was_told = self.warn_from == inf
        self.budget = budget
        self.warn_from = inf if was_told and self.spent >= budget.warn_from else budget.warn_from

    def idle(self, now: float) -> bool:
        """Whether a new account would be the same."""
        return not self.reserved and (now >= self.end or not self.spent)

    def _cross(self) -> Crossed:
        self.warn_from = inf
        budget = self.budget
        return Crossed(budget.name, self.owner, self.spent, budget.amount, self.start)
