"""Every number of a plan as a tree: what it is, how it is made, of what, and where its facts come from."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from fairlead.catalog.instances import Instance
from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.promise import Lengths
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.market import MONTH_H
from fairlead.plan.memory import Memory, gib, memory
from fairlead.plan.search import Choice
from fairlead.spec.planning import Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """`value` with its unit; `formula` over the `inputs`, by their names; `source` of a fact, with its date."""

    name: str
    value: str
    formula: str = ""
    source: str = ""
    inputs: tuple[Number, ...] = ()


def explained(choice: Choice, hardware: Hardware, known: Fit, today: datetime.date, paid: float) -> Number:
    """Where a model's monthly cost comes from, down to facts and fitted constants."""
    machine, tp = choice.option.site.instance, choice.option.plan.tp
    wanted = Number(
        name="accelerators",
        value=str(choice.replicas * tp),
        formula="replicas x tensor parallel size",
        inputs=(
            replicas(choice, hardware, known),
            Number(name="tensor parallel size", value=str(tp), source=tp_of(choice)),
        ),
    )
    hours = Number(name="hours a month", value=f"{MONTH_H:g}", source="365 days x 24 h / 12")
    return Number(
        name="USD a month",
        value=f"{paid:,.0f}",
        formula="price of a node x nodes x hours a month x the model's part of the pool's accelerators",
        inputs=(price(machine, choice, today), wanted, hours, room(choice.option.plan, choice.option.ask)),
    )


def tp_of(choice: Choice) -> str:
    """Who chose it."""
    return f"models.{choice.option.ask.name}.tensor_parallel_size" if choice.option.ask.tp else "the cheapest that fits"


def price(machine: Instance, choice: Choice, today: datetime.date) -> Number:
    """The price of a node's hour, with its age."""
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
        formula=f"max({ask.least}, ceil(rate x (1 + headroom) / capacity) + spare)",
        inputs=(
            Number(name="rate", value=f"{ask.rate:g} requests/s", source=f"{field}.workload.rate"),
            Number(name="headroom", value=f"{hardware.headroom:.0%}", source="hardware.headroom"),
            Number(name="spare", value=str(hardware.spare), source="hardware.spare"),
            capacity(choice, known),
        ),
    )


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


def room(plan: Deployment, ask: Ask) -> Number:
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
