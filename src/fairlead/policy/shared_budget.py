"""Replicas share a budget: each may spend what it has claimed of it, and all claims together are never more than it.

A replica tells the store how much of the period it claims (spent, reserved, and a slice to go on with), and is given
more while there is some: the claim is a total, so a question that is asked twice books nothing twice. Claims of
replicas that died stand until the period ends: never spent twice, at most a slice each is lost.

The first request of a replica that begins within a period is taken on credit; when a period begins, each replica has
its slice at once. So

    spent by all <= amount + requests in flight + the first request of each replica that began within the period

While the store is away each replica goes on with its share of what was left (or with what it has claimed). That adds
nothing as long as no other has claimed more than a slice since it last asked; it asks at least once in a slice's life.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from fairlead.policy.budget import Account, Budget, Crossed
from fairlead.policy.lease import LOW, SLICE_SHARE

QUIET_SHARE = 0.02  # of the amount, held by all replicas together that spend nothing
SHORT_WAIT_S = 0.25


@dataclass(frozen=True, slots=True)
class Claim:
    """What a replica tells the store. `base` is what the ledger knew of the period when the replica began."""

    have: int
    want: int
    base: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What more may be spent here, and what all replicas have claimed by now."""

    amount: int
    total: int
    replicas: int


class SharedClaims:
    """The store's side for one period, as its script does it."""

    def __init__(self, amount: int) -> None:
        self._amount = amount
        self._claims: dict[str, int] = {}

    def forget(self) -> None:
        """The store has lost its memory."""
        self._claims = {}

    def claim(self, replica: str, claim: Claim) -> Answer:
        """Book the claim, and add what is wanted as far as there is some."""
        if not self._claims:
            self._claims[""] = claim.base
        self._claims[replica] = claim.have
        amount = max(0, min(claim.want, self._amount - sum(self._claims.values())))
        self._claims[replica] += amount
        return Answer(amount, sum(self._claims.values()), len(self._claims) - 1)


class SharedAccount(Account):
    """The replica's side. `hungry` is called when what is claimed runs low; see `Lease` for the owner's part."""

    __slots__ = (
        "__weakref__",
        "_alone",
        "_answered",
        "_base",
        "_calling",
        "_claimed",
        "_hungry",
        "_largest",
        "_left",
        "_low",
        "_needed",
        "_recent",
        "_replicas",
        "_seen",
        "starved",
    )

    def __init__(
        self,
        budget: Budget,
        owner: tuple[str, ...],
        now: float,
        *,
        replicas: int,
        hungry: Callable[[SharedAccount], None] = lambda account: None,
    ) -> None:
        self._hungry = hungry
        self._replicas = replicas
        self._calling = False
        super().__init__(budget, owner, now)

    def roll(self, now: float) -> None:
        """Begin the period of `now` if it is a later one: nothing is claimed of it yet."""
        if now < self.end:
            return
        begins = self.end != -inf  # a period begins; else this replica begins within one
        super().roll(now)
        self._base = self._claimed = self._recent = self._seen = self._needed = self._largest = self._low = 0
        self._left = self.budget.amount
        self._answered = self._alone = self.starved = False
        self.allowance = self._slice() if begins else 0  # nobody has spent anything: a slice each is there

    def reserve(self, now: float, cost: int) -> float:
        """Set `cost` aside and return 0.0; or nothing, and return the seconds to wait."""
        wait_s = super().reserve(now, cost)
        used = self.spent + self.reserved
        if not wait_s:
            if not self._answered or self.allowance - used < self._low:
                self._call()
            return 0.0
        if cost > self.budget.amount:
            return wait_s
        self._needed += cost
        self._largest = max(self._largest, cost)
        self._call()
        if not self._answered and not self._alone and used == self._base and used + cost <= self.budget.amount:
            self.reserved += cost  # on credit
            return 0.0
        return wait_s if self.starved and not self._left else SHORT_WAIT_S

    def settle(self, now: float, reserved: int, actual: int) -> Crossed | None:
        """Turn what was set aside into what was spent."""
        crossed = super().settle(now, reserved, actual)
        if self.spent + self.reserved > self.allowance:
            self._call()
        return crossed

    def restore(self, now: float, spent: int) -> None:
        """Add what the ledger says was spent before this process began, by all replicas."""
        self.roll(now)
        self._base += spent
        self.allowance += spent
        super().restore(now, spent)

    def change(self, budget: Budget) -> None:
        """Another amount for the same period: the claims stand, and the next answer goes by the new amount."""
        self._left = max(0, self._left + budget.amount - self.budget.amount)
        allowance = self.allowance
        super().change(budget)
        self.allowance = allowance

    # -- now and then -------------------------------------------------------------------------------------------------

    def claim(self, now: float, *, again: bool = False) -> Claim | None:
        """What to tell the store; None while nothing has changed. `again`: it has lost its memory."""
        self._calling = False
        self.roll(now)
        used = max(0, self.spent + self.reserved - self._base)
        self._recent = max(used - self._seen, self._recent // 2)
        self._seen = used
        if not used and not self._claimed and not self._needed:
            return None
        aim = used + self._slice()
        have = max(used, min(self._claimed, aim))
        want = max(0, aim - have)
        idle = self._claimed > used and not self._recent  # ask how much is left, to hold no more than a part of that
        enough = not idle and have == self._claimed and want <= LOW * (aim - used)
        if enough and self._answered and not again and not self._alone:
            return None
        if self._answered and not self._alone:
            self._claimed = have
            self.allowance = self._base + have
        return Claim(have, want, self._base)

    def answered(self, claim: Claim, answer: Answer) -> None:
        """The store has said yes to so much."""
        self._claimed = claim.have + answer.amount
        self.allowance = self._base + self._claimed
        self._left = max(0, self.budget.amount - answer.total)
        self._replicas = max(1, answer.replicas)
        self._answered = True
        self._alone = False
        self._needed = self._largest = 0
        self._low = int(LOW * self._slice())
        self.starved = answer.amount < claim.want

    def release(self) -> Claim | None:
        """The replica ends: claim what was spent and no more."""
        used = max(0, self.spent + self.reserved - self._base)
        return Claim(used, 0, self._base) if used != self._claimed else None

    def lost(self, *, alone: bool) -> None:
        """The store did not answer: go on with a share of what was left, or with what is claimed."""
        if not self._alone and alone:
            others = (self._replicas - 1) * int(SLICE_SHARE * self.budget.amount)  # may have claimed more since
            self.allowance += max(0, self._left - others) // self._replicas
        self._alone = True

    def _slice(self) -> int:
        """What was spent of late, twice; at least a part of what is left, so that the end is shared in small pieces."""
        largest = int(SLICE_SHARE * self.budget.amount)
        least = min(int(QUIET_SHARE * self.budget.amount), self._left // 2) // self._replicas
        return max(self._largest, min(largest, max(2 * self._recent, self._needed, least)))

    def _call(self) -> None:
        if not self._calling:
            self._calling = True
            self._hungry(self)
