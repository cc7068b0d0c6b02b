"""Leases: whatever the demand, the losses and the deaths, all replicas together stay within the stated bounds."""

from __future__ import annotations

import random
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.policy.lease import SLICE_SHARE, UNKNOWN, Ask, Lease, SharedCounter, Terms

TICK_S = 0.05


class Fleet:
    """N replicas, one store, a clock, and losses on demand. Every replica asks whenever it is hungry, or every tick."""

    def __init__(self, terms: Terms, number: int) -> None:
        self.now = 0.0
        self.terms = terms
        self.counter = SharedCounter(terms, 0.0)
        self.leases = [Lease(terms, 0.0) for _ in range(number)]
        self.taken = 0.0
        self.away = False

    def run(self, seconds: float, demand: float, cost: float = 1.0, dice: random.Random | None = None) -> float:
        """All replicas are asked for `demand` a second together, evenly or at random; what was taken."""
        before, steps = self.taken, round(seconds / TICK_S)
        for _ in range(steps):
            for _ in range(round(demand * TICK_S / cost)):
                number = dice.randrange(len(self.leases)) if dice else int(self.taken) % len(self.leases)
                if not self.leases[number].take(self.now, cost):
                    self.taken += cost
            self.now += TICK_S
            self.talk()
        return self.taken - before

    def talk(self) -> None:
        for number, lease in enumerate(self.leases):
            ask = lease.ask(self.now)
            if ask is None:
                continue
            if self.away:
                lease.lost(self.now)
            else:
                lease.granted(ask, self.counter.grant(str(number), ask, self.now), self.now)


def terms(rate: float = 100.0, burst: float = 100.0, replicas: int = 2, alone: bool = True) -> Terms:
    return Terms(rate, burst, 1.0, replicas, alone)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_overload_gives_exactly_the_limit_and_the_burst(number: int) -> None:
    fleet = Fleet(terms(replicas=number), number)
    taken = fleet.run(30.0, 500.0, dice=random.Random(1))
    assert taken == pytest.approx(100.0 * 30.0 + 100.0, rel=0.01)


def test_the_first_requests_wait_for_nobody() -> None:
    lease = Lease(terms(), 0.0)
    assert lease.take(0.0, 90.0) == 0.0, "larger than any slice: taken on credit, once"
    assert lease.take(0.0, 1.0) > 0.0
    ask = lease.ask(0.0)
    assert ask is not None
    assert ask.owed == pytest.approx(SLICE_SHARE * 100.0 / 2)
    counter = SharedCounter(terms(), 0.0)
    lease.granted(ask, counter.grant("a", ask, 0.0), 0.0)
    assert counter.level is not None
    assert counter.level + lease.level == pytest.approx(100.0 - 90.0)


def test_what_the_limit_never_gives_is_told_at_once() -> None:
    assert Lease(terms(), 0.0).take(0.0, 101.0) == inf


def test_a_quiet_replica_gives_its_slice_back_and_the_other_has_all_of_it() -> None:
    fleet = Fleet(terms(rate=10.0), 2)
    fleet.run(1.0, 100.0, dice=random.Random(2))
    fleet.run(30.0, 0.0)
    assert all(lease.full_in(fleet.now) == 0.0 for lease in fleet.leases), "as a new one: it may be forgotten"
    busy, before = fleet.leases[0], fleet.taken
    while not (wait := busy.take(fleet.now, 1.0)) or wait < 0.5:
        fleet.taken += not wait
        fleet.now += 0.0001
        fleet.talk()
        if fleet.taken - before > 200:
            break
        if wait:
            fleet.now += TICK_S
            break
    assert fleet.taken - before >= 95, "all of the burst but for what the sleeping one may take on credit"


def test_a_slice_is_asked_for_before_it_is_used_up() -> None:
    called: list[Lease] = []
    lease = Lease(terms(), 0.0, called.append)
    counter = SharedCounter(terms(), 0.0)
    refused = 0
    for _ in range(80):
        refused += bool(lease.take(0.0, 1.0))
        for hungry in called:
            ask = hungry.ask(0.0)
            if ask is not None:
                hungry.granted(ask, counter.grant("a", ask, 0.0), 0.0)
        called.clear()
    assert refused == 0


def test_two_replicas_alone_are_as_one() -> None:
    fleet = Fleet(terms(), 2)
    fleet.run(5.0, 500.0, dice=random.Random(3))
    fleet.away = True
    before = fleet.taken
    fleet.run(10.0, 500.0, dice=random.Random(4))
    fleet.away = False
    alone = fleet.taken - before
    fleet.run(10.0, 500.0, dice=random.Random(5))
    assert alone == pytest.approx(100.0 * 10.0, rel=0.05)
    assert fleet.taken <= 100.0 * 25.0 + 100.0 + 2 * fleet.terms.largest_slice
    assert fleet.taken >= 0.97 * (100.0 * 25.0 + 100.0)


def test_a_store_that_lost_its_memory_is_told_what_it_held() -> None:
    fleet = Fleet(terms(rate=10.0, burst=600.0), 2)
    fleet.run(20.0, 500.0, dice=random.Random(6))
    fleet.away = True
    fleet.run(5.0, 500.0, dice=random.Random(7))
    fleet.counter.forget()
    fleet.away = False
    fleet.run(5.0, 500.0, dice=random.Random(8))
    assert fleet.taken <= 10.0 * 30.0 + 600.0 + 2 * fleet.terms.largest_slice


def test_a_new_store_begins_full() -> None:
    counter = SharedCounter(terms(), 0.0)
    counter.forget()
    assert counter.grant("a", Ask(1000.0, known=UNKNOWN), 0.0).amount == 100.0


def test_without_the_store_nothing_is_taken_where_the_file_says_deny() -> None:
    fleet = Fleet(terms(alone=False), 2)
    fleet.run(5.0, 500.0, dice=random.Random(9))
    fleet.away = True
    assert fleet.run(10.0, 500.0, dice=random.Random(10)) <= 2 * fleet.terms.largest_slice
    assert fleet.run(10.0, 500.0, dice=random.Random(10)) == 0.0
    fresh = Lease(fleet.terms, fleet.now)
    fresh.lost(fleet.now)
    assert fresh.take(fleet.now, 1.0) > 0.0, "no credit either"
    fleet.away = False
    assert fleet.run(10.0, 500.0, dice=random.Random(11)) >= 0.95 * 1000.0


def test_a_killed_replica_loses_its_slice_and_nobody_gets_it_twice() -> None:
    fleet = Fleet(terms(), 2)
    fleet.run(5.0, 500.0, dice=random.Random(12))
    fleet.leases.pop()
    fleet.run(10.0, 500.0, dice=random.Random(13))
    bound = 100.0 * 15.0 + 100.0
    assert bound - 2 * fleet.terms.largest_slice <= fleet.taken <= bound + 2 * fleet.terms.largest_slice


steps = st.lists(
    st.tuples(
        st.sampled_from(["serve", "away", "back", "forget", "die", "join"]),
        st.floats(0.05, 3.0),  # seconds
        st.sampled_from([0.0, 20.0, 100.0, 700.0]),  # asked for a second
        st.sampled_from([1.0, 7.0, 40.0]),  # at once
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(0, 1000), st.booleans())
def test_the_bounds_hold_whatever_happens(
    script: list[tuple[str, float, float, float]], seed: int, alone: bool
) -> None:
    """Three replicas at most, three declared. A loss of memory costs nothing while one that knew the store lives."""
    limit = Terms(50.0, 100.0, 1.0, 3, alone)
    fleet, dice, losses, joined = Fleet(limit, 3), random.Random(seed), 0, 0
    for what, seconds, demand, cost in script:
        if what == "away":
            fleet.away = True
        elif what == "back":
            fleet.away = False
        elif what == "forget":
            fleet.counter.forget()
            losses += 1
        elif what == "die" and fleet.leases:
            fleet.leases.pop()
        elif what == "join" and len(fleet.leases) < 3:
            fleet.leases.append(Lease(limit, fleet.now))
            joined += 1
        if fleet.leases:
            fleet.run(seconds, demand, cost, dice)
        else:
            fleet.now += seconds
    slices = (3 + joined) * max(limit.largest_slice, 40.0)
    assert fleet.taken <= limit.burst * (1 + losses) + limit.rate * fleet.now + slices
