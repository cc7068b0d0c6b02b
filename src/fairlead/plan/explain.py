"""Every number of a plan as a tree: what it is, how it is made, of what, and where its facts come from."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from fairlead.catalog.networks import network
from fairlead.plan.apart import GAIN, NETWORK_PART, kv_bytes, weighed
from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.promise import Lengths
from fairlead.plan.capacity import ENGINE_START_S, READ_BYTES_S, startup_s
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.market import MONTH_H
from fairlead.plan.memory import Memory, gib, memory
from fairlead.plan.pace import REQUESTS, Percentiles
from fairlead.plan.search import Choice
from fairlead.plan.service import Pool
from fairlead.spec.planning import Hardware

APART_SOURCE = "simulated, or a bound where even that does not pay; not more than the network carries"
YEAR = "365 days x 24 h / 12"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """`value` with its unit; `formula` over the `inputs`, by their names; `source` of a fact, with its date."""

    name: str
    value: str
    formula: str = ""
    source: str = ""
    inputs: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be explained: a model's choice, on the `pool` of which it has `part`, and its simulated speed."""

    choice: Choice
    hardware: Hardware
    known: Fit
    today: datetime.date
    pool: Pool
    part: float
    speed: Percentiles | None


def explained(asked: Asked) -> Number:
    """All numbers of a model, down to fields of the file, facts and fitted constants."""
    choice, plan = asked.choice, asked.choice.option.plan
    inputs = (
        cost(asked),
        *per_million(asked),
        *speeds(asked),
        target(asked),
        sequences(plan, choice.option.ask),
        batched(choice),
        startup(plan),
        apart(asked),
    )
    return Number(name=choice.option.ask.name, value=f"{choice.replicas} x {plan.title}", inputs=inputs)


def cost(asked: Asked) -> Number:
    """A month's."""
    price_h, hours = price(asked.choice, asked.today), Number(name="hours a month", value=f"{MONTH_H:g}", source=YEAR)
    paid = asked.choice.option.site.usd_hour * asked.pool.nodes * MONTH_H * asked.part
    part = Number(
        name="part",
        value=f"{asked.part:.0%}",
        formula="its accelerators / those in use on the pool",
        source="the replicas of all models on the pool",
    )
    return Number(
        name="USD a month",
        value=f"{paid:,.0f}",
        formula="price x nodes x hours a month x part",
        inputs=(price_h, nodes(asked), hours, part),
    )


def nodes(asked: Asked) -> Number:
    """How many."""
    plan = asked.choice.option.plan
    return Number(
        name=f"nodes of pool {asked.pool.name}",
        value=str(asked.pool.nodes),
        formula="replicas of all its models, each whole on a node; not fewer than the pool's min",
        inputs=(
            replicas(asked.choice, asked.hardware, asked.known),
            Number(name="tensor parallel size", value=str(plan.tp), source=tp_of(asked.choice)),
            Number(
                name="accelerators a node",
                value=str(asked.pool.instance.gpus),
                source=f"{asked.pool.instance.name} in the catalog",
            ),
        ),
    )


def per_million(asked: Asked) -> Iterator[Number]:
    """Tokens of prompts and answers together."""
    ask = asked.choice.option.ask
    if ask.rate:
        paid = asked.choice.option.site.usd_hour * asked.pool.nodes * MONTH_H * asked.part
        tokens = float((ask.lengths.prompt + ask.lengths.output).mean())
        yield Number(
            name="USD a million tokens",
            value=f"{paid / (ask.rate * tokens * MONTH_H * 3600) * 1e6:.3g}",
            formula=f"USD a month / (rate x {tokens:,.0f} tokens a request x seconds a month) x 1e6",
            source=f"models.{ask.name}.workload: as if the busiest rate lasted all month",
        )


def speeds(asked: Asked) -> Iterator[Number]:
    """At the stated rate."""
    choice = asked.choice
    if asked.speed:
        share = choice.option.ask.rate / choice.replicas
        source = f"simulated: {REQUESTS} requests, {share:.3g} requests/s a replica"
        for name, value in (("TTFT p95", asked.speed.ttft_p95_ms), ("TPOT p95", asked.speed.tpot_p95_ms)):
            yield Number(name=name, value=f"{value:,.0f} ms", source=source)


def target(asked: Asked) -> Number:
    """What autoscalers keep."""
    ongoing = asked.choice.capacity.ongoing
    source = "simulated: requests of a replica, running and queued, at its capacity"
    return Number(name="autoscalers' target", value=f"{ongoing:.1f} ongoing", source=source)


def batched(choice: Choice) -> Number:
    """max_num_batched_tokens."""
    return Number(
        name="max_num_batched_tokens",
        value=str(choice.option.plan.tokens),
        formula="the prompt tokens that one iteration computes within TPOT p95, up to the engine's default",
        source=f"the engine's default: {choice.option.plan.engine.source}",
    )


def startup(plan: Deployment) -> Number:
    """From a pod's start."""
    return Number(
        name="start of a replica",
        value=f"{startup_s(plan):g} s",
        formula=f"{ENGINE_START_S:g} s + weights / {READ_BYTES_S / 1e9:g} GB/s",
        source="assumed, not measured: docs/planning.md",
    )


def apart(asked: Asked) -> Number:
    """Whether prompts are better read by replicas of their own."""
    found = weighed(asked.choice, asked.hardware, asked.known)
    line = network(asked.choice.option.site.instance.name)
    inputs: tuple[Number, ...] = ()
    if found.apart and line:
        kv = kv_bytes(asked.choice.option)
        inputs = (
            Number(
                name="transfer of a prompt, p95",
                value=f"{found.transfer_s * 1e3:,.0f} ms",
                formula=f"tokens x {kv / 1024:.0f} KiB / ({NETWORK_PART:g} x the replica's part of the node's network)",
                inputs=(Number(name="network of a node", value=f"{line.gbit_s:g} Gbit/s", source=line.source),),
            ),
            Number(name="prefill", value=f"{found.prefill_rate:.3g} requests/s a replica", source=APART_SOURCE),
            Number(name="decode", value=f"{found.decode_rate:.3g} requests/s a replica", source=APART_SOURCE),
        )
    return Number(
        name="prefill apart from decode",
        value="pays" if found.pays else "together",
        formula=found.why,
        source=f"apart where it needs less than {GAIN:.0%} of the replicas: plan/apart.py",
        inputs=inputs,
    )


def tp_of(choice: Choice) -> str:
    """Who chose it."""
    return f"models.{choice.option.ask.name}.tensor_parallel_size" if choice.option.ask.tp else "the cheapest that fits"


def price(choice: Choice, today: datetime.date) -> Number:
    """The price of a node's hour, with its age."""
    machine = choice.option.site.instance
    kind = "spot" if choice.option.site.spot else "on demand"
    own = machine.source == "hardware.prices"
    age = "" if own else f", {machine.date}, {machine.age_days(today)} days old"
    name = f"price of {machine.name}, {kind}"
    return Number(name=name, value=f"{choice.option.site.usd_hour:.4g} USD/h", source=f"{machine.source}{age}")


def replicas(choice: Choice, hardware: Hardware, known: Fit) -> Number:
    """How many, and why."""
    ask = choice.option.ask
    field = f"models.{ask.name}"
    if ask.replicas is not None:
        return Number(name="replicas", value=str(choice.replicas), source=f"{field}.replicas")
    return Number(
        name="replicas",
        value=str(choice.replicas),
        formula=f"max({ask.least}, ceil(rate x (1 + headroom) / capacity) + spare){bounded(ask)}",
        inputs=(
            Number(name="rate", value=f"{ask.rate:g} requests/s", source=f"{field}.workload.rate"),
            Number(name="headroom", value=f"{hardware.headroom:.0%}", source="hardware.headroom"),
            Number(name="spare", value=str(hardware.spare), source="hardware.spare"),
            capacity(choice, known),
        ),
    )


def bounded(ask: Ask) -> str:
    """The bounds of the autoscaling."""
    return f", within {ask.bounds[0]} and {ask.bounds[1]} (models.{ask.name}.autoscaling)" if ask.bounds else ""


def capacity(choice: Choice, known: Fit) -> Number:
    """What a replica takes."""
    ask, engine, lengths = choice.option.ask, choice.option.engine, Lengths.of(choice.option.ask.lengths)
    bound = choice.option.rate
    work_s = engine.work_s(lengths.prompt, lengths.output, lengths.context)
    fitted = f"roofline with fitted constants ({known.confidence(choice.option.plan)}): docs/reference/planner.md"
    gpu = choice.option.plan.gpu
    device = Number(
        name=gpu.name,
        value=f"{gpu.bandwidth_gb_s:g} GB/s, {gpu.tflops.get(choice.option.plan.arithmetic, 0):g} TFLOPS",
        source=f"{gpu.source}, {gpu.date}",
    )
    terms = (
        Number(
            name="TPOT p95", value=f"{ask.slo.tpot_s * 1e3:g} ms", source=f"models.{ask.name}.slo.tpot_p95, or 100ms"
        ),
        Number(
            name="fixed part of an iteration",
            value=f"{engine.fixed_s * 1e3:.1f} ms",
            formula="weights / bandwidth + overhead of layers and host",
            source=fitted,
            inputs=(device,),
        ),
        Number(
            name="work of a request",
            value=f"{work_s * 1e3:.1f} ms",
            formula=f"{lengths.prompt:.0f} prompt tokens x {engine.prompt_token_s * 1e6:.1f} us"
            f" + {lengths.output:.0f} output tokens x {engine.sequence_s * 1e6:.1f} us"
            f" + {lengths.context:.0f} tokens read back x {engine.context_token_s * 1e9:.1f} ns",
            source=fitted,
        ),
    )
    steady = Number(
        name="steady capacity",
        value=f"{bound:.3g} requests/s",
        formula="(1 - fixed part of an iteration / TPOT p95) / work of a request, or what places and cache hold",
        inputs=terms,
    )
    used = Number(
        name="usable part",
        value=f"{choice.capacity.rate / bound:.0%}" if bound else "none",
        source=f"simulated: the most at which {ask.slo.attainment:.0%} of the requests keep TTFT and TPOT",
    )
    return Number(
        name="capacity of a replica",
        value=f"{choice.capacity.rate:.3g} requests/s, {choice.capacity.ongoing:.1f} ongoing",
        formula="steady capacity x usable part",
        inputs=(steady, used),
    )


def sequences(plan: Deployment, ask: Ask) -> Number:
    """What the accelerator holds."""
    held = memory(plan, context=ask.context)
    model = Number(
        name=plan.model.name,
        value=f"{plan.model.params / 1e9:.2f} G weights",
        source=f"{plan.model.source}, {plan.model.date}",
    )
    bits = Number(
        name=plan.quantization.name,
        value=f"{plan.quantization.weight_bits:g} bits a weight",
        source=f"{plan.quantization.source}, {plan.quantization.date}",
    )
    return Number(
        name="sequences",
        value=f"max_num_seqs {plan.seqs}; {held.sequences} of {ask.context} tokens fit",
        formula="(utilization x usable memory - weights - activations - runtime) / KV cache of a sequence",
        inputs=(
            Number(name="weights", value=gib(held.weights), formula="weights x bits / 8 / tp", inputs=(model, bits)),
            *(Number(name=name, value=gib(size), source="plan/memory.py") for name, size in parts(held)),
            Number(name="usable memory", value=gib(held.usable), source=f"{plan.gpu.source}, {plan.gpu.date}"),
            Number(
                name="utilization", value=f"{held.utilization:.0%}", source=f"models.{ask.name}.gpu_memory_utilization"
            ),
        ),
    )


def parts(held: Memory) -> tuple[tuple[str, float], ...]:
    """What else is in the sum."""
    return (
        ("activations", held.activations),
        ("runtime", held.runtime),
        (f"KV cache of {held.context} tokens", held.kv_sequence),
    )
