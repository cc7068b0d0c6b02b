"""Simulated traffic agrees with queueing theory where that has an answer, and with the closed form where both do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.errors import UserError
from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.constants import shipped
from fairlead.plan.deployment import Deployment, deployment
from fairlead.plan.estimate import Estimate, Queue, Speed, estimate
from fairlead.plan.served import served
from fairlead.plan.serving import capacity, simulated
from fairlead.plan.traffic import MOST_TAILED, Traffic, lengths, lognormal, recorded
from fairlead.plan.workload import Workload

SERVICE_S = 0.5
ONE_AT_A_TIME = EngineModel("one", SERVICE_S, 0, 0, 1e-12, 1, 1000, 1000, 0, 0)
EQUAL = lengths((1024, 1024), (128, 128))
PLAN = deployment("Llama-3.1-8B", "H100-SXM", dtype="bf16")


def asked(traffic: Traffic, plan: Deployment = PLAN) -> tuple[Speed, Queue]:
    made = served(plan, traffic, shipped())
    assert made.speed is not None
    assert made.queue is not None
    return made.speed, made.queue


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_place_and_equal_work_is_an_m_d_1_queue(load: float) -> None:
    """Pollaczek-Khinchine: the mean time in the system is s + load x s / (2 (1 - load))."""
    moments = np.cumsum(np.random.default_rng(1).exponential(SERVICE_S / load, 60_000))
    ones = np.ones(len(moments), dtype=np.int64)
    run = simulated(ONE_AT_A_TIME, recorded(Trace("m/d/1", moments, ones, ones), rate=None), 1)
    assert run.ttft_s.mean() == pytest.approx(SERVICE_S + load * SERVICE_S / (2 * (1 - load)), rel=0.05)


def test_its_capacity_is_one_service_time_a_request() -> None:
    one = Traffic(lengths=np.ones((1, 2), dtype=np.int64), rate=1.0)
    assert capacity(ONE_AT_A_TIME, one) == pytest.approx(1 / SERVICE_S)


MACHINES = {
    "dense": PLAN,
    "two accelerators": deployment("Llama-3.1-70B", "H100-SXM", dtype="fp8", tp=2),
    "experts": deployment("Mixtral-8x7B", "H100-SXM", dtype="fp8", tp=2),
    "a pipeline": deployment("Llama-3.1-8B", "L4", dtype="fp8", pp=2),
    "a window": deployment("gpt-oss-20b", "H100-SXM"),
}


@pytest.mark.parametrize("plan", MACHINES.values(), ids=MACHINES)
def test_an_idle_fleet_answers_as_it_answers_one_client(plan: Deployment) -> None:
    alone = estimate(plan, Workload(prompt=1024, output=128, clients=1), shipped()).speed
    open_loop, queue = asked(Traffic(lengths=EQUAL, rate=0.001), plan)
    assert alone is not None
    assert open_loop.ttft_ms["p50"] == pytest.approx(alone.ttft_ms["p50"], rel=0.02)
    assert open_loop.tpot_ms["p50"] == pytest.approx(alone.tpot_ms["p50"], rel=0.02)
    assert queue.ongoing < 0.1
    assert queue.keeps_up


@pytest.mark.parametrize("plan", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("clients", [2, 16, 96])
def test_waiting_clients_are_those_of_the_closed_form(plan: Deployment, clients: int) -> None:
    closed = estimate(plan, Workload(prompt=1024, output=128, clients=clients), shipped()).speed
    made, _ = asked(Traffic(lengths=EQUAL, clients=clients), plan)
    assert closed is not None
    assert made.requests_per_s == pytest.approx(closed.requests_per_s, rel=0.07)
    assert made.e2e_ms["mean"] == pytest.approx(closed.e2e_ms["mean"], rel=0.07)
    assert made.parts == pytest.approx({**dict.fromkeys(made.parts, 0.0), **spread(closed.parts)}, abs=0.04)


def spread(parts: Mapping[str, float]) -> dict[str, float]:
    """Without the wait outside of the engine."""
    inside = {name: share for name, share in parts.items() if name != "request"}
    return {name: share / sum(inside.values()) for name, share in inside.items()}


VARIED = lengths((1024, 3000), (128, 400))


@settings(max_examples=12, deadline=None)
@given(rate=st.floats(0.5, 20), more=st.floats(1.3, 3))
def test_more_requests_never_wait_less(rate: float, more: float) -> None:
    few, many = (asked(Traffic(lengths=VARIED, rate=each))[0] for each in (rate, rate * more))
    assert many.ttft_ms["p95"] >= 0.97 * few.ttft_ms["p95"]
    assert many.tpot_ms["mean"] >= 0.97 * few.tpot_ms["mean"]


def test_what_is_asked_is_given_up_to_the_capacity_and_no_more() -> None:
    _, idle = asked(Traffic(lengths=VARIED, rate=1.0))
    most = idle.sustained_per_s
    below, full = asked(Traffic(lengths=VARIED, rate=0.8 * most))
    above, over = asked(Traffic(lengths=VARIED, rate=1.5 * most))
    assert below.requests_per_s == pytest.approx(0.8 * most, rel=0.05)
    assert above.requests_per_s == pytest.approx(most, rel=0.1)
    assert (idle.keeps_up, full.keeps_up, over.keeps_up) == (True, True, False)
    assert above.ttft_ms["p95"] > 10 * below.ttft_ms["p95"]
    assert below.low <= below.output_tokens_per_s <= below.high
    assert above.low < above.output_tokens_per_s < above.high


def test_the_slow_end_of_the_interval_is_slower_and_may_not_keep_up() -> None:
    calm, queue = asked(Traffic(lengths=VARIED, rate=5.0))
    assert queue.slow["TTFT"] > calm.ttft_ms["p95"]
    assert queue.slow["TPOT"] > 1.1 * calm.tpot_ms["p95"]
    assert queue.slow_keeps_up
    nearly_full = asked(Traffic(lengths=VARIED, rate=0.93 * queue.sustained_per_s))[1]
    assert (nearly_full.keeps_up, nearly_full.slow_keeps_up) == (True, False)
    assert asked(Traffic(lengths=VARIED, clients=4))[1].slow == {}


def test_tails_and_bursts_make_wait() -> None:
    rate = 0.75 * asked(Traffic(lengths=EQUAL, rate=1.0))[1].sustained_per_s
    calm, bursts, tails = (
        asked(each)[0].ttft_ms["p95"]
        for each in (
            Traffic(lengths=EQUAL, rate=rate),
            Traffic(lengths=EQUAL, rate=rate, burstiness=8.0),
            Traffic(lengths=VARIED, rate=rate),
        )
    )
    assert bursts > 1.2 * calm
    assert tails > 1.2 * calm


def test_a_prefix_cache_takes_work_away() -> None:
    cold, warm = (asked(Traffic(lengths=EQUAL, rate=5.0, prefix_share=share)) for share in (0.0, 0.8))
    assert warm[0].ttft_ms["p50"] < cold[0].ttft_ms["p50"]
    assert warm[1].sustained_per_s > 1.2 * cold[1].sustained_per_s


def test_two_replicas_take_twice_as_much() -> None:
    one, two = (asked(Traffic(lengths=EQUAL, rate=10.0 * count), replace(PLAN, replicas=count)) for count in (1, 2))
    assert two[1].sustained_per_s == pytest.approx(2 * one[1].sustained_per_s)
    assert two[0].tpot_ms["mean"] == pytest.approx(one[0].tpot_ms["mean"], rel=0.1)


def test_the_same_seed_gives_the_same_figures_and_another_gives_others() -> None:
    first, again, other = (asked(Traffic(lengths=VARIED, rate=8.0, seed=seed))[0] for seed in (3, 3, 4))
    assert first == again
    assert first.ttft_ms != other.ttft_ms


def tight(pairs: list[tuple[int, int]]) -> Estimate:
    plan = deployment("Llama-3.1-8B", "L4", dtype="bf16")  # has room for some 20,000 tokens
    return served(plan, Traffic(lengths=np.array(pairs), rate=0.2), shipped())


def test_requests_that_never_fit_are_refused_and_counted() -> None:
    made = tight([(1000, 100)] * 999 + [(100_000, 100)])
    assert made.fits
    assert made.queue is not None
    assert made.queue.refused == pytest.approx(0.001)
    assert not tight([(1000, 100)] * 9 + [(100_000, 100)]).fits


def test_long_answers_in_a_small_cache_are_preempted() -> None:
    made = tight([(200, 200)] * 60 + [(200, 8000)] * 40)
    assert made.queue is not None
    assert made.queue.preempted > 0


@given(mean=st.integers(50, 5000), tail=st.floats(1.0, 0.99 * MOST_TAILED))
def test_lengths_have_the_mean_and_the_tail_that_were_asked_for(mean: int, tail: float) -> None:
    made = lognormal("prompt", mean, mean * tail)
    assert np.quantile(made, 0.95) == pytest.approx(mean * tail, rel=0.03, abs=1)
    assert made.mean() == pytest.approx(mean, rel=0.03, abs=1)


@pytest.mark.parametrize(("mean", "p95"), [(1000, 4000), (1000, 900), (0, 0)])
def test_lengths_that_no_distribution_has_are_refused(mean: float, p95: float) -> None:
    with pytest.raises(UserError, match="log-normal"):
        lognormal("prompt", mean, p95)


def test_a_recording_keeps_its_requests_and_may_be_stretched() -> None:
    trace = Trace("t", np.array([0.0, 1.0, 9.0]), np.array([10, 20, 30]), np.array([5, 6, 7]))
    as_it_was, faster = recorded(trace, rate=None).drawn(1), recorded(trace, rate=1.0, prefix_share=0.5).drawn(1)
    assert as_it_was.arrival_s.tolist() == [0, 1, 9]
    assert faster.arrival_s[-1] == pytest.approx(3.0)
    assert faster.prompt.tolist() == [10, 20, 30]
    assert faster.cached is not None
    assert faster.cached.tolist() == [5, 10, 15]
