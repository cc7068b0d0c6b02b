"""Each policy decides as its documentation says, on looks that are written down here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from fairlead.plan.autoscale.engine_model import Slo
from fairlead.plan.autoscale.metrics import Metrics, Policy
from fairlead.plan.autoscale.policies import hpa, keda, ray_serve
from fairlead.plan.autoscale.policies.capacity import capacity
from fairlead.plan.autoscale.policies.knative import knative
from fairlead.plan.autoscale.promise import Lengths, Promise

from .engines import ROOMY

NOTHING = Metrics(0.0, 1, 0, 0, 0.0, 0, 0, 0, 0, 0, 0.0)


def looks(policy: Policy, ongoing: Callable[[float], float], seconds: float, *, startup_s: float = 0.0) -> list[int]:
    """What the policy wants at each look, when its wishes come true after `startup_s`."""
    state, now, integral = policy.start, 0.0, 0.0
    wishes: list[tuple[float, int]] = [(float("-inf"), 1)]
    wanted: list[int] = []
    while now <= seconds:
        current = wishes[-1][1]
        since = [count for moment, count in wishes if moment + startup_s <= now]
        ready = min(current, since[-1])
        metrics = replace(
            NOTHING,
            now=now,
            ready=ready,
            starting=current - ready,
            ongoing=round(ongoing(now)),
            ongoing_seconds=integral,
        )
        state, wish = policy.decide(state, metrics)
        if wish != current:
            wishes.append((now, wish))
        wanted.append(wish)
        integral += ongoing(now) * policy.period_s
        now += policy.period_s
    return wanted


def changes(wanted: Sequence[int], period_s: float) -> list[tuple[float, int]]:
    """(moment, replicas) at each change."""
    pairs = zip([1, *wanted], wanted, strict=False)
    return [(index * period_s, after) for index, (before, after) in enumerate(pairs) if before != after]


DESIRED_RAY = {
    "twice the target doubles": ((40.0, 2, 10.0), 4),
    "half the target halves": ((10.0, 2, 10.0), 1),
    "a little over rounds up": ((20.1, 2, 10.0), 3),
    "nothing to do goes down by one at least": ((0.0, 1, 10.0), 0),
}


@pytest.mark.parametrize(("given", "wanted"), DESIRED_RAY.values(), ids=DESIRED_RAY)
def test_ray_serve_desired(given: tuple[float, int, float], wanted: int) -> None:
    assert ray_serve.desired(*given) == wanted


def test_ray_serve_waits_30_s_to_go_up_and_600_s_to_go_down() -> None:
    policy = ray_serve.ray_serve(10)
    wanted = looks(policy, lambda now: 40 if now < 400 else 10, 1200)
    assert changes(wanted, policy.period_s) == [(30, 4), (1010, 1)], "at 410 s the mean asks for fewer first"


DESIRED_HPA = {
    "within the tolerance nothing happens": ((21.0, 2, 0, 10.0), 2),
    "beyond it the ratio counts": ((23.0, 2, 0, 10.0), 3),
    "below it too": ((17.0, 2, 0, 10.0), 2),
    "far below": ((9.0, 2, 0, 10.0), 1),
    "pods that start count as idle": ((39.0, 2, 2, 10.0), 4),
    "and may still be too few": ((60.0, 2, 2, 10.0), 6),
    "none ready: wait": ((60.0, 0, 2, 10.0), 2),
}


@pytest.mark.parametrize(("given", "wanted"), DESIRED_HPA.values(), ids=DESIRED_HPA)
def test_hpa_desired(given: tuple[float, int, int, float], wanted: int) -> None:
    assert hpa.desired(*given) == wanted


def test_hpa_goes_up_by_4_pods_or_double_in_15_s_and_down_after_300_s() -> None:
    policy = hpa.hpa(10)
    wanted = looks(policy, lambda now: 200 if now < 600 else 10, 1200)
    assert changes(wanted, policy.period_s) == [(0, 5), (15, 10), (30, 20), (900, 1)]


def test_keda_counts_the_sum_and_does_not_know_who_is_ready() -> None:
    assert keda.desired(60.0, 4, 10.0) == 6
    assert keda.desired(41.0, 4, 10.0) == 4


def test_keda_scales_to_zero_after_its_cooldown_and_back_when_it_polls() -> None:
    policy = keda.keda(10)
    wanted = looks(policy, lambda now: 5 if now < 60 or now > 700 else 0, 800)
    assert changes(wanted, policy.period_s) == [(330, 0), (720, 1)]


def test_knative_panics_on_a_burst_and_does_not_scale_down_in_it() -> None:
    policy = knative(10)  # it aims at 7
    wanted = looks(policy, lambda now: 70 if 100 <= now < 110 else 7, 300)
    assert max(wanted) >= 8
    assert wanted[int(160 / policy.period_s)] == max(wanted)
    assert wanted[-1] == 1


PROMISE = Promise(ROOMY, Slo(tpot_s=0.05), Lengths(800.0, 100.0, 85_000.0), usable=0.8)


def arriving(rate: Callable[[float], float], seconds: float, queued: int = 0) -> list[int]:
    """What the capacity policy wants at each look when requests arrive at `rate` and finish as planned."""
    policy = capacity(PROMISE)
    state, now, arrived = policy.start, 0.0, 0.0
    wanted: list[int] = []
    while now <= seconds:
        metrics = replace(NOTHING, now=now, ready=wanted[-1] if wanted else 1, arrived=round(arrived), queued=queued)
        state, wish = policy.decide(state, metrics)
        wanted.append(wish)
        arrived += rate(now) * policy.period_s
        now += policy.period_s
    return wanted


def test_capacity_gives_a_steady_rate_just_the_replicas_that_it_fills() -> None:
    rate = 3.5 * PROMISE.rate_per_replica()
    assert set(arriving(lambda _: rate, 1800)[30:]) == {4}


def test_capacity_looks_one_start_up_ahead_when_demand_grows() -> None:
    one = PROMISE.rate_per_replica()
    wanted = arriving(lambda now: one * (1 + now / 120), 1800)
    at = int(1200 / 10)
    assert wanted[at] >= 1 + (1200 + ROOMY.startup_s) / 120, "the demand when a replica asked for now is ready"
    assert wanted[at] <= 1 + (1200 + ROOMY.startup_s) / 120 + 2


def test_capacity_keeps_a_replica_for_as_long_as_one_takes_to_start() -> None:
    one = PROMISE.rate_per_replica()
    wanted = arriving(lambda now: one * (3.5 if now < 600 else 1.5), 1200)
    last = max(index for index, count in enumerate(wanted) if count == 4) * 10
    assert 600 + ROOMY.startup_s <= last <= 600 + 3 * ROOMY.startup_s


def test_capacity_works_a_backlog_off() -> None:
    rate = 0.5 * PROMISE.rate_per_replica()
    assert arriving(lambda _: rate, 600)[-1] == 1
    assert arriving(lambda _: rate, 600, queued=int(120 * PROMISE.rate_per_replica()))[-1] >= 2


def test_the_scarcest_resource_counts() -> None:
    time = PROMISE.replicas(1.0, PROMISE.lengths)
    places = replace(PROMISE, engine=replace(ROOMY, max_sequences=1)).replicas(1.0, PROMISE.lengths)
    cache = replace(PROMISE, engine=replace(ROOMY, kv_tokens=1000)).replicas(1.0, PROMISE.lengths)
    assert places == pytest.approx(100 * 0.05 / 0.8)
    assert cache == pytest.approx(100 * 0.05 * 900 / 1000 / 0.8)
    assert time < cache
