"""Prefill apart from decode: chosen for long prompts under a tight TPOT, not for short ones, and never on a guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fairlead.catalog.accelerators import Accelerator, accelerator
from fairlead.catalog.instances import instance
from fairlead.catalog.networks import networks
from fairlead.plan.apart import Kind, Weighed, decode, kv_bytes, prefill, transfer_s, weighed
from fairlead.plan.ask import asks
from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.fleet import Bounds, simulate
from fairlead.plan.autoscale.policies.static import static
from fairlead.plan.autoscale.thresholds import Bracket, attained
from fairlead.plan.capacity import Capacity, narrowed
from fairlead.plan.constants import shipped
from fairlead.plan.explain import Asked, apart
from fairlead.plan.options import Option, Site, options
from fairlead.plan.search import Choice, replicas
from fairlead.plan.service import Pool
from fairlead.spec.load import resolve
from fairlead.spec.types import Spec
from fairlead.spec.yaml import parse

SERVICE = """
apiVersion: fairlead/v1
name: chat
models:
  m:
    engine: vllm
    source: hf://meta-llama/Llama-3.3-70B-Instruct@main
    max_model_len: 32768
    tensor_parallel_size: 8
    workload: {{{load}}}
    slo: {{ttft_p95: 5s, tpot_p95: 25ms}}
    autoscaling: {{min: 1, max: 64}}
hardware:
  cloud: aws
  region: us-east-1
access:
  roles:
    user: {{models: ["*"]}}
"""
LONG = "rate: 2/s, prompt: 8000, output: 200, prompt_p95: 12000, output_p95: 400"
SHORT = "rate: 2/s, prompt: 300, output: 200, prompt_p95: 600, output_p95: 400"
MACHINE = "p4de.24xlarge"
HALVINGS = 5  # of the bracket in which the capacity of a replica lies: enough to tell 27 replicas from 7


def spec(load: str) -> Spec:
    return resolve(parse(SERVICE.format(load=load), file="fairlead.yaml"))


def option(load: str, machine: str = MACHINE) -> Option:
    """The one way to put the model on a machine."""
    [ask] = asks(spec(load), Path())
    found, _ = options(ask, [Site(pool="", instance=instance(machine), spot=False)], shipped())
    return found[0]


def chosen(load: str) -> Choice:
    """As many replicas that do both as the simulator says."""
    one, hardware = option(load), spec(load).hardware
    assert hardware is not None
    bracket = Bracket()
    for _ in range(HALVINGS):
        bracket = narrowed(one.ask, one.engine, bracket)
    takes = Capacity(rate=one.rate * bracket.low, ongoing=bracket.ongoing)
    return Choice(option=one, capacity=takes, replicas=replicas(one.ask, hardware, takes.rate), usd_month=0.0)


def verdict(choice: Choice) -> Weighed:
    hardware = spec(LONG).hardware
    assert hardware is not None
    return weighed(choice, hardware, shipped())


@pytest.fixture(scope="module")
def long_prompts() -> Choice:
    return chosen(LONG)


def keeps(kind: Kind, count: int, rate: float) -> float:
    """The part of the requests that so many replicas keep their promise for, simulated."""
    rng = np.random.default_rng(7)
    drawn = rng.integers(len(kind.trace.prompt), size=1500)
    sent = np.cumsum(rng.exponential(1 / rate, len(drawn)))
    load = Trace("load", sent, kind.trace.prompt[drawn], kind.trace.output[drawn])
    outcome = simulate(load, kind.engine, static(count), Bounds(initial=count), rng)
    return float(np.mean(attained(outcome, kind.slo)))


def test_long_prompts_under_a_tight_tpot_are_read_apart(long_prompts: Choice) -> None:
    found = verdict(long_prompts)
    assert found.pays
    assert found.apart is not None
    assert found.apart.prefill + found.apart.decode < long_prompts.replicas / 2


def test_both_kinds_keep_what_as_many_that_do_both_do_not(long_prompts: Choice) -> None:
    """At the whole load: the simulator's word on the numbers that were chosen by it."""
    one, found = long_prompts.option, verdict(long_prompts)
    assert found.apart is not None
    ask = one.ask
    left_s = ask.slo.ttft_s - found.transfer_s - 2 * ask.slo.tpot_s
    assert keeps(prefill(one, left_s), found.apart.prefill, ask.rate) >= ask.slo.attainment
    assert keeps(decode(one), found.apart.decode, ask.rate) >= ask.slo.attainment
    both = Kind(one.engine, ask.slo, ask.lengths)
    assert keeps(both, found.apart.prefill + found.apart.decode, ask.rate) < ask.slo.attainment


def test_short_prompts_are_read_where_they_are_answered() -> None:
    found = verdict(chosen(SHORT))
    assert not found.pays


def test_a_prompt_takes_its_bytes_over_the_line() -> None:
    """By hand: 80 layers x 8 KV heads x 128 x key and value x 2 bytes; half of 100 Gbit/s, all of it the replica's."""
    one = option(LONG)
    assert kv_bytes(one) == pytest.approx(80 * 8 * 128 * 2 * 2)
    p95 = float(np.percentile(one.ask.lengths.prompt, 95))
    assert transfer_s(one, networks()[MACHINE]) == pytest.approx(p95 * 327_680 / (0.5 * 100e9 / 8))


UNKNOWN = {
    "an accelerator that nobody measured": (LONG, "g6.48xlarge", "extrapolated: no measurement of L4"),
    "a network that nobody told": (
        *(LONG, "p5en.48xlarge", "extrapolated: nothing is known of the network of p5en.48xlarge"),
    ),
}


@pytest.mark.parametrize(("load", "machine", "why"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_known_splits_nothing(load: str, machine: str, why: str) -> None:
    one = replace(option(load), site=Site(pool="", instance=instance(machine), spot=False))
    plan = replace(one.plan, gpu=accelerator_of(machine))
    choice = Choice(
        option=replace(one, plan=plan), capacity=Capacity(rate=0.1, ongoing=1.0), replicas=27, usd_month=0.0
    )
    found = verdict(choice)
    assert (found.pays, found.apart, found.why) == (False, None, why)


def accelerator_of(machine: str) -> Accelerator:
    return accelerator(instance(machine).gpu)


def test_explain_says_both_numbers_and_what_they_rest_on(long_prompts: Choice) -> None:
    hardware = spec(LONG).hardware
    assert hardware is not None
    pool = Pool(name="a", instance=instance(MACHINE), spot=False, minimum=0, nodes=27, maximum=64)
    asked = Asked(
        choice=long_prompts,
        hardware=hardware,
        known=shipped(),
        today=instance(MACHINE).date,
        pool=pool,
        part=1.0,
        speed=None,
    )
    said = apart(asked)
    assert said.value == "pays"
    assert f"against {long_prompts.replicas} that do both" in said.formula
    assert [each.name for each in said.inputs] == ["transfer of a prompt, p95", "prefill", "decode"]
    assert "100 Gbit/s" in said.inputs[0].inputs[0].value
