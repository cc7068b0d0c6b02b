"""Replicas start late, drain politely, are reclaimed, and are billed for all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fairlead.plan.autoscale.fleet import Bounds, Floor, Outcome, Spot, simulate
from fairlead.plan.autoscale.metrics import Metrics, Policy
from fairlead.plan.autoscale.policies.static import static

from .engines import ENGINE, ROOMY, steady


def table(*steps: tuple[float, int]) -> Policy:
    """Wants what the last step before now says."""

    def decide(state: None, metrics: Metrics) -> tuple[None, int]:
        return state, [count for moment, count in steps if moment <= metrics.now][-1]

    return Policy("table", 10.0, None, decide)


def ready(outcome: Outcome, now: float) -> int:
    return [count for moment, count, _ in outcome.replicas if moment <= now][-1]


def test_a_replica_serves_only_after_its_start_up_and_is_billed_before() -> None:
    trace = steady(1.0, 600)
    outcome = simulate(trace, ROOMY, table((0, 1), (100, 2)), Bounds(initial=1), np.random.default_rng(0))
    assert [ready(outcome, now) for now in (100, 150, 170)] == [1, 1, 2]
    assert outcome.paid_hours == pytest.approx((600 + 500) / 3600, rel=0.02)


def test_draining_lets_every_request_end_where_it_began() -> None:
    trace = steady(6.0, 300)
    outcome = simulate(trace, ROOMY, table((0, 3), (100, 1)), Bounds(initial=3), np.random.default_rng(0))
    assert np.isfinite(outcome.tpot_s).all()
    assert ready(outcome, 110) == 1
    left_at = next(moment for moment, _, billed in outcome.replicas if moment > 100 and billed == 1)
    assert left_at > 100, "a replica with requests is billed until they end"


def test_without_replicas_requests_wait_and_are_not_lost() -> None:
    trace = steady(1.0, 300)
    outcome = simulate(trace, ROOMY, table((0, 0), (100, 1)), Bounds(initial=0, least=0), np.random.default_rng(0))
    assert np.isfinite(outcome.ttft_s).all()
    assert outcome.ttft_s[0] > 150


def test_a_reclaimed_replica_is_missed_and_its_requests_begin_anew() -> None:
    trace = steady(3.0, 1800, output=400)
    spot = Spot(share=1.0, price=0.5, per_hour=20.0, notice_s=1.0)
    outcome = simulate(trace, ROOMY, static(4), Bounds(initial=4, spot=spot), np.random.default_rng(0))
    calm = simulate(trace, ROOMY, static(4), Bounds(initial=4), np.random.default_rng(0))
    assert outcome.reclaims > 10
    assert np.isfinite(outcome.tpot_s).all()
    assert outcome.ttft_s.max() > calm.ttft_s.max() + 1
    assert outcome.paid_spot_hours == outcome.paid_hours
    assert calm.paid_spot_hours == 0


def test_a_share_on_spot_is_about_that_share() -> None:
    bounds = Bounds(initial=4, spot=Spot(share=0.5, per_hour=0.0))
    outcome = simulate(steady(1.0, 600), ROOMY, static(4), bounds, np.random.default_rng(0))
    assert outcome.paid_spot_hours == pytest.approx(outcome.paid_hours / 2)


def test_a_schedule_and_bounds_hold_under_every_policy() -> None:
    night = Floor(start_s=200, end_s=400, replicas=3)
    bounds = Bounds(initial=1, least=1, most=4, floors=(night,))
    outcome = simulate(steady(1.0, 900), ROOMY, table((0, 1), (600, 50)), bounds, np.random.default_rng(0))
    assert [ready(outcome, now) for now in (190, 300, 450, 800)] == [1, 3, 1, 4]


def test_hours_may_pass_midnight() -> None:
    late = Floor(start_s=22 * 3600, end_s=6 * 3600, replicas=1)
    assert [late.holds(hour * 3600) for hour in (23, 3, 12, 27)] == [True, True, False, True]


def test_the_same_seed_gives_the_same_outcome() -> None:
    bounds = Bounds(initial=2, spot=Spot(share=0.5, per_hour=5.0))
    trace = steady(3.0, 900)
    one, other = (simulate(trace, ENGINE, static(2), bounds, np.random.default_rng(7)) for _ in range(2))
    assert (one.ttft_s == other.ttft_s).all()
    assert (one.tpot_s == other.tpot_s).all()
    assert one.replicas == other.replicas
    assert one.paid_hours == other.paid_hours


def test_the_counters_that_a_policy_sees_agree_with_what_happened() -> None:
    trace = steady(3.0, 300)
    seen: list[Metrics] = []

    def decide(state: None, metrics: Metrics) -> tuple[None, int]:
        seen.append(metrics)
        return state, 2

    outcome = simulate(trace, replace(ROOMY), Policy("spy", 50.0, None, decide), Bounds(2), np.random.default_rng(0))
    end = trace.arrival_s + outcome.ttft_s + outcome.tpot_s * np.maximum(1, trace.output - 1)
    for metrics in seen:
        arrived = trace.arrival_s < metrics.now
        stay = np.minimum(end, metrics.now)[arrived] - trace.arrival_s[arrived]
        assert metrics.arrived == arrived.sum()
        assert (
            abs(metrics.ongoing - (arrived & (end > metrics.now)).sum()) <= 4
        )  # an iteration ends just after the look
        assert metrics.ongoing_seconds == pytest.approx(stay.sum(), abs=2.0)
