"""A shared budget: all replicas together never claim more than the amount, whatever dies; and all can be spent."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.policy.budget import NANO, Budget
from fairlead.policy.limits import Scope
from fairlead.policy.shared_budget import Claim, SharedAccount, SharedClaims

AMOUNT = 10 * NANO
COST = NANO // 50
BUDGET = Budget("all", Scope(), AMOUNT, "day", ZoneInfo("UTC"))
NOON = 1_700_000_000.0


class Fleet:
    """Replicas that share a budget; each tells the store after every request, or as a test says."""

    def __init__(self, number: int) -> None:
        self.store = SharedClaims(AMOUNT)
        self.replicas = [SharedAccount(BUDGET, (), NOON, replicas=number) for _ in range(number)]
        self.spent = 0
        self.refused = 0
        self.away = False

    def ask(self, number: int, cost: int = COST, *, actual: int | None = None) -> float:
        account = self.replicas[number]
        wait_s = account.reserve(NOON, cost)
        if wait_s:
            self.refused += 1
        else:
            account.settle(NOON, cost, cost if actual is None else actual)
            self.spent += cost if actual is None else actual
        return wait_s

    def talk(self, *, again: bool = False) -> None:
        for number, account in enumerate(self.replicas):
            claim = account.claim(NOON, again=again)
            if claim is None:
                continue
            if self.away:
                account.lost(alone=True)
            else:
                account.answered(claim, self.store.claim(str(number), claim))


def test_two_replicas_spend_all_of_it_and_no_more() -> None:
    fleet = Fleet(2)
    for number in range(2000):
        fleet.ask(number % 2)
        fleet.talk()
    assert fleet.spent == AMOUNT
    assert all(account.starved for account in fleet.replicas)
    assert fleet.ask(0) > 60.0, "the next period"


def test_the_first_request_waits_for_nobody_and_a_quiet_replica_holds_no_more_than_its_part() -> None:
    fleet = Fleet(2)
    assert fleet.ask(1) == 0.0
    fleet.talk()
    for _ in range(2000):
        fleet.ask(0)
        fleet.talk()
    assert fleet.spent >= 0.97 * AMOUNT


def test_a_replica_that_knows_nothing_is_never_told_to_wait_for_a_day() -> None:
    fleet = Fleet(2)
    assert fleet.ask(0) == 0.0
    assert 0.0 < fleet.ask(0) < 1.0
    fleet.talk()
    assert fleet.ask(0) == 0.0


def test_a_new_period_begins_with_a_slice_for_each() -> None:
    fleet = Fleet(2)
    for number in range(600):
        fleet.ask(number % 2)
        fleet.talk()
    tomorrow = NOON + 86_400
    account = fleet.replicas[0]
    assert account.reserve(tomorrow, COST) == account.reserve(tomorrow, COST) == 0.0
    assert account.claim(tomorrow) == Claim(2 * COST, account._slice(), 0)


def test_killed_replicas_leave_their_claim_behind_and_new_ones_know_what_the_ledger_knows() -> None:
    fleet = Fleet(2)
    for number in range(200):
        fleet.ask(number % 2)
        fleet.talk()
    fleet.replicas[1] = SharedAccount(BUDGET, (), NOON, replicas=2)
    fleet.replicas[1].restore(NOON, fleet.spent)
    for _ in range(2000):
        fleet.ask(0)
        fleet.talk()
    assert fleet.spent <= AMOUNT


def test_a_store_that_lost_its_memory_is_told_again() -> None:
    fleet = Fleet(2)
    for number in range(300):
        fleet.ask(number % 2)
        fleet.talk()
    fleet.store.forget()
    fleet.talk(again=True)
    for number in range(2000):
        fleet.ask(number % 2)
        fleet.talk()
    assert fleet.spent == AMOUNT


def test_a_store_that_starts_empty_is_told_what_the_ledger_knew() -> None:
    fleet = Fleet(1)
    fleet.replicas[0].restore(NOON, AMOUNT - 10 * COST)
    for _ in range(100):
        fleet.ask(0)
        fleet.talk()
    assert fleet.spent == 10 * COST


@pytest.mark.parametrize("alone", [True, False])
def test_without_the_store_no_more_than_was_left_is_spent(alone: bool) -> None:
    fleet = Fleet(2)
    for number in range(100):
        fleet.ask(number % 2)
        fleet.talk()
    before = fleet.spent
    for account in fleet.replicas:
        account.lost(alone=alone)
    for number in range(2000):
        fleet.ask(number % 2)
    if alone:
        assert 0.7 * AMOUNT <= fleet.spent <= AMOUNT
    else:
        assert fleet.spent - before <= 0.2 * AMOUNT


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["serve", "talk", "away", "back", "forget"]),
            st.integers(0, 2),
            st.integers(1, NANO),
            st.floats(0.0, 1.0),
        ),
        max_size=150,
    )
)
def test_the_amount_holds_whatever_happens(script: list[tuple[str, int, int, float]]) -> None:
    fleet = Fleet(3)
    for number in range(3):
        fleet.ask(number)
    fleet.talk()
    fleet.talk()
    for what, number, cost, share in script:
        if what == "serve":
            fleet.ask(number, cost, actual=int(cost * share))
        elif what == "talk":
            fleet.talk()
        elif what == "forget":
            fleet.store.forget()
            fleet.talk(again=True)
        else:
            fleet.away = what == "away"
    assert fleet.spent <= AMOUNT
