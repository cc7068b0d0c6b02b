"""What would work instead of a deployment that was refused: the nearest change that fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fairlead.catalog.accelerators import Accelerator, accelerators
from fairlead.catalog.instances import instances
from fairlead.catalog.quantizations import quantizations
from fairlead.plan.deployment import Deployment
from fairlead.plan.memory import refusals

TP_SIZES = (1, 2, 4, 8)
VENDORS = ("NVIDIA", "AMD")
CHEAPER_WEIGHTS = ("fp16", "fp8", "int8", "awq")


def suggestions(plan: Deployment, *, context: int) -> list[str]:
    """At most one of each kind of change, the smallest that fits: weights, parallelism, accelerator."""
    found = []
    for kind in (lighter, wider, larger):
        fitting = (each for each in kind(plan) if not any(refusals(each, context=context)))
        found += [each.title for each in [next(fitting, None)] if each is not None]
    return found


def lighter(plan: Deployment) -> Iterator[Deployment]:
    """The same accelerators, other weights."""
    for name in CHEAPER_WEIGHTS:
        stored = quantizations()[name]
        if stored.weight_bits <= plan.quantization.weight_bits and name != plan.quantization.name:
            yield replace(plan, quantization=stored)


def wider(plan: Deployment) -> Iterator[Deployment]:
    """More of the same accelerators; 16-bit weights in the format that these have."""
    for tp in TP_SIZES:
        if tp > plan.tp:
            yield from supported(replace(plan, tp=tp))


def larger(plan: Deployment) -> Iterator[Deployment]:
    """Another accelerator, the cheapest first by its price an hour."""
    price = prices()
    devices = [each for each in accelerators().values() if each.vendor in VENDORS and each.name in price]
    for device in sorted(devices, key=lambda each: (price[each.name], each.name)):
        if device.usable_gib > plan.gpu.usable_gib:
            tokens, seqs = plan.engine.batch_limits(device)
            yield from supported(replace(plan, gpu=device, tokens=tokens, seqs=seqs))


def supported(plan: Deployment) -> Iterator[Deployment]:
    """`plan`, in fp16 where bf16 was asked for and is not there."""
    if plan.quantization.name == "bf16" and not runs(plan.gpu, "bf16"):
        plan = replace(plan, quantization=quantizations()["fp16"])
    yield plan


def runs(gpu: Accelerator, name: str) -> bool:
    """Whether `gpu` runs the quantisation."""
    return quantizations()[name].arithmetic(gpu) is not None


def prices() -> dict[str, float]:
    """The lowest price on demand of one accelerator, by name, in USD an hour."""
    found: dict[str, float] = {}
    for each in instances().values():
        if not each.gpus:
            continue
        found[each.gpu] = min(found.get(each.gpu, float("inf")), each.usd_hour / each.gpus)
    return found
