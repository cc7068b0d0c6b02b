"""A token bucket: `rate` tokens a second flow in, at most `burst` are kept, and time is an argument.

Over any span of T seconds at most `burst + rate * T` is taken. A clock that is set back neither gives nor takes.
"""

from __future__ import annotations

from math import inf

JITTER_S = 1.0  # times that are older by less came late and were counted already; by more, the clock was set back


class Bucket:
    """A bucket that changes in place, because one stands behind every request."""

    __slots__ = ("burst", "level", "rate", "updated")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.level = burst
        self.updated = now

    def take(self, now: float, cost: float) -> float:
        """Take `cost` tokens and return 0.0; or take nothing and return the seconds to wait, inf when it is useless."""
        elapsed = now - self.updated
        level = self.level
        if elapsed > 0.0:
            level += elapsed * self.rate
            if level > self.burst:  # noqa: PLR1730 - min() would cost as much as the rest
                level = self.burst
            self.updated = now
        elif elapsed < -JITTER_S:
            self.updated = now
        if cost <= level:
            self.level = level - cost
            return 0.0
        self.level = level
        return (cost - level) / self.rate if cost <= self.burst and self.rate else inf

    def give_back(self, now: float, cost: float) -> None:
        """Put back what was taken too much; a negative cost takes more, into debt if need be."""
        if cost < 0.0:  # a debt counts from now on: what flows in until now must not be lost at the brim behind it
            self.take(now, 0.0)
        level = self.level + cost
        self.level = level if level < self.burst else self.burst

    def at(self, now: float) -> float:
        """How many tokens are in the bucket."""
        elapsed = now - self.updated
        level = self.level + elapsed * self.rate if elapsed > 0.0 else self.level
        return level if level < self.burst else self.burst

    def full_in(self, now: float) -> float:
        """Seconds until it is full when nobody takes."""
        missing = self.burst - self.at(now)
        return missing / self.rate if missing > 0.0 else 0.0
