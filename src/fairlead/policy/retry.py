"""A retry is paid from a budget that successes fill, so that retries can never multiply an outage."""

from __future__ import annotations

from dataclasses import dataclass

RESERVE = 10.0  # retries that an idle gateway may make before it has seen traffic


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """`ratio` retries are earned by each request; at most RESERVE are kept."""

    ratio: float
    balance: float = RESERVE

    def earn(self) -> RetryBudget:
        """The budget after one more request."""
        if self.balance >= RESERVE:
            return self
        return RetryBudget(self.ratio, min(RESERVE, self.balance + self.ratio))

    def spend(self) -> RetryBudget | None:
        """The budget after one retry, or None when it is used up."""
        return RetryBudget(self.ratio, self.balance - 1.0) if self.balance >= 1.0 else None
