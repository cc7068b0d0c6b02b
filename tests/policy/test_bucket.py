"""A bucket never gives more than its burst and its rate, whatever is asked of it when."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.policy.bucket import Bucket

amounts = st.floats(0.0, 1000.0)
steps = st.lists(st.tuples(st.floats(0.0, 10.0), amounts), max_size=50)


@given(rate=st.floats(0.01, 100.0), burst=st.floats(1.0, 500.0), steps=steps)
def test_no_span_gives_more_than_burst_and_rate(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    bucket, now = Bucket(rate, burst, 0.0), 0.0
    taken: list[tuple[float, float]] = []
    for pause, cost in steps:
        now += pause
        if not bucket.take(now, cost):
            taken.append((now, cost))
    for start in range(len(taken)):
        for end in range(start, len(taken)):
            span = taken[end][0] - taken[start][0]
            assert sum(cost for _, cost in taken[start : end + 1]) <= (burst + rate * span) * (1 + 1e-9)


@given(rate=st.floats(0.01, 100.0), burst=st.floats(1.0, 500.0), steps=steps)
def test_who_waits_as_told_is_let_in(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    bucket, now = Bucket(rate, burst, 0.0), 0.0
    for pause, cost in steps:
        now += pause
        wait_s = bucket.take(now, cost)
        if wait_s == inf:
            assert cost > burst
        elif wait_s:
            now += wait_s * (1 + 1e-9) + 1e-6
            assert not bucket.take(now, cost)


@given(steps=st.lists(st.tuples(st.floats(0.0, 10.0), amounts, st.floats(0.0, 1.0)), max_size=50))
def test_what_is_given_back_is_there_again_and_no_more(steps: list[tuple[float, float, float]]) -> None:
    """Reserving and settling leaves what taking the real cost would have left."""
    reserving, knowing, now = Bucket(10.0, 1000.0, 0.0), Bucket(10.0, 1000.0, 0.0), 0.0
    for pause, cost, share in steps:
        now += pause
        if reserving.take(now, cost):
            continue
        reserving.give_back(now, cost - cost * share)
        knowing.give_back(now, -cost * share)
        assert reserving.at(now) == pytest.approx(knowing.at(now), abs=1e-6)


CLOCKS = {"forward": (10.0, 100.0), "a little back, late": (-0.5, 0.0), "set back": (-3600.0, 0.0)}


@pytest.mark.parametrize(("step", "gained"), CLOCKS.values(), ids=CLOCKS)
def test_a_clock_that_steps(step: float, gained: float) -> None:
    bucket = Bucket(10.0, 100.0, 1000.0)
    assert not bucket.take(1000.0, 100.0)
    assert bucket.at(1000.0 + step) == pytest.approx(gained)
    bucket.take(1000.0 + step, 1e9)
    assert bucket.at(1000.0 + step) == pytest.approx(gained)


def test_a_debt_is_paid_first() -> None:
    bucket = Bucket(10.0, 100.0, 0.0)
    bucket.give_back(50.0, -150.0)
    assert bucket.at(50.0) == -50.0
    assert bucket.take(50.0, 10.0) == pytest.approx(6.0)
    assert bucket.full_in(50.0) == pytest.approx(15.0)
