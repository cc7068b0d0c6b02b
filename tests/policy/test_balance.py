"""The least busy replica is picked, and ties go round."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from fairlead.policy.balance import pick
from fairlead.policy.retry import RESERVE, RetryBudget


@dataclass(eq=False)
class Replica:
    in_flight: int
    up: bool = True


CASES: dict[str, tuple[list[tuple[int, bool]], int, int | None]] = {
    "the idle one": ([(3, True), (0, True), (1, True)], 0, 1),
    "the least busy one": ([(3, True), (2, True), (4, True)], 0, 1),
    "never one that is down": ([(0, False), (9, True)], 0, 1),
    "none when all are down": ([(0, False), (0, False)], 0, None),
    "none when there is none": ([], 0, None),
    "a tie goes to whose turn it is": ([(0, True), (0, True), (0, True)], 2, 2),
    "a busy tie goes to whose turn it is": ([(1, True), (1, True)], 1, 1),
}


@pytest.mark.parametrize(("state", "turn", "expected"), CASES.values(), ids=CASES)
def test_pick(state: list[tuple[int, bool]], turn: int, expected: int | None) -> None:
    replicas = [Replica(in_flight, up) for in_flight, up in state]
    picked = pick(replicas, turn)
    assert picked is (None if expected is None else replicas[expected])


def test_ties_are_shared_evenly() -> None:
    replicas = [Replica(0) for _ in range(8)]
    picked = Counter(id(pick(replicas, turn)) for turn in range(800))
    assert set(picked.values()) == {100}


def test_replicas_that_failed_are_passed_over() -> None:
    first, second = Replica(0), Replica(5)
    assert pick([first, second], 0, (first,)) is second
    assert pick([first], 0, (first,)) is None


def test_retries_are_bounded_by_traffic() -> None:
    """However much fails, retries stay at the reserve plus the declared share of requests."""
    budget, retries, requests = RetryBudget(0.1), 0, 1000
    for _ in range(requests):
        budget = budget.earn()
        spent = budget.spend()
        if spent is not None:
            budget, retries = spent, retries + 1
    assert retries <= RESERVE + 0.1 * requests
    assert retries >= 0.1 * requests


def test_an_idle_budget_does_not_grow() -> None:
    budget = RetryBudget(0.5)
    for _ in range(100):
        budget = budget.earn()
    assert budget.balance == RESERVE


def test_no_budget_means_no_endless_retries() -> None:
    budget: RetryBudget | None = RetryBudget(0.0)
    count = 0
    while budget is not None and (budget := budget.earn().spend()) is not None:
        count += 1
    assert count == RESERVE
