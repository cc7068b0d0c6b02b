"""What one accelerator has to hold, by addition; what does not fit is refused with the sum.

weights / (tp x pp) + KV cache + activations of one iteration + runtime <= utilization x usable memory
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fairlead.catalog.accelerators import GIB
from fairlead.errors import Problem
from fairlead.plan.deployment import Deployment

RUNTIME_BYTES = 0.8 * GIB  # CUDA context, libraries and graphs: 0.5 to 1.0 GiB in vLLM's start-up logs
PEER_BYTES = 0.4 * GIB  # NCCL's buffers, with peers
LIVE_HIDDEN = 4  # hidden states alive at once in a layer: residual, normed, attention's output, the next
LIVE_FFN = 2  # gate and up
HEADROOM_SEQS = 1024  # logits are made for at most so many sequences at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on the fullest accelerator. `kv_budget` is what is left for the cache; `kv_sequence` one context in it."""

    usable: float
    utilization: float
    weights: float
    activations: float
    runtime: float
    kv_sequence: float
    context: int

    @property
    def kv_budget(self) -> float:
        """Bytes left for the KV cache; negative where not even the weights fit."""
        return self.utilization * self.usable - self.weights - self.activations - self.runtime

    @property
    def sequences(self) -> int:
        """Whole contexts that fit at once."""
        return max(0, math.floor(self.kv_budget / self.kv_sequence))

    def sum_text(self) -> str:
        """The sum as a person would write it."""
        left = (
            f"{gib(self.weights)} weights + {gib(self.activations)} activations + {gib(self.runtime)} runtime"
            f" + {gib(self.kv_sequence)} KV cache of one {self.context}-token sequence"
        )
        need = self.weights + self.activations + self.runtime + self.kv_sequence
        allowed = self.utilization * self.usable
        sign = "<=" if need <= allowed else ">"
        return f"{left} = {gib(need)} {sign} {gib(allowed)} ({self.utilization:.0%} of {gib(self.usable)}) a GPU"


def memory(plan: Deployment, *, context: int) -> Memory:
    """The memory of `plan` on its fullest accelerator, for sequences of `context` tokens."""
    return Memory(
        usable=plan.gpu.usable_bytes,
        utilization=plan.utilization,
        weights=weight_bytes(plan),
        activations=activation_bytes(plan),
        runtime=RUNTIME_BYTES + (PEER_BYTES if plan.tp * plan.pp > 1 else 0.0),
        kv_sequence=kv_bytes(plan, context),
        context=context,
    )


def weight_bytes(plan: Deployment) -> float:
    """Weights on one accelerator. Embedding and head stay in 16 bits, one of them on a pipeline's fullest stage."""
    shape = plan.model
    layers_share = math.ceil(shape.layers / plan.pp) / shape.layers
    layers = shape.shared_params * plan.linear_bytes + shape.routed_params * plan.quantization.weight_bytes
    tables = 2 if plan.pp == 1 and not shape.tied else 1
    return (layers * layers_share + tables * shape.embedding_params * 2.0) / plan.tp


def kv_bytes(plan: Deployment, context: int) -> float:
    """The cache of one sequence of `context` tokens on one accelerator."""
    layers_share = math.ceil(plan.model.layers / plan.pp) / plan.model.layers
    values = plan.model.cached_token_layers(context) * plan.model.cached_values
    return values * plan.kv_bytes * layers_share / plan.kv_shards


def activation_bytes(plan: Deployment) -> float:
    """16-bit activations of `tokens` tokens in the widest layer, and the logits in 32 bits."""
    shape = plan.model
    routed = shape.experts_per_token * shape.expert_ffn + shape.shared_ffn if shape.is_moe else 0
    width = max(shape.ffn if shape.moe_layers < shape.layers else 0, routed)
    states = plan.tokens * 2.0 * (LIVE_HIDDEN * shape.hidden + LIVE_FFN * width / plan.tp)
    return states + min(plan.seqs, HEADROOM_SEQS) * shape.vocab * 4.0 / plan.tp


def refusals(plan: Deployment, *, context: int) -> Iterator[Problem]:
    """Every reason why `plan` cannot serve sequences of `context` tokens."""
    yield from arithmetic_refusals(plan)
    yield from division_refusals(plan)
    if context > plan.model.max_context:
        yield Problem(
            f"{context} tokens are beyond {plan.model.name}'s context of {plan.model.max_context}",
            hint="shorten prompt or output, or choose a model with a longer context",
        )
    need = memory(plan, context=context)
    if need.sequences < 1:
        yield Problem(f"{plan.title} does not fit: {need.sum_text()}")


def arithmetic_refusals(plan: Deployment) -> Iterator[Problem]:
    """The quantisation must run on the accelerator."""
    if plan.quantization.arithmetic(plan.gpu) is None:
        other = "fp16" if plan.quantization.name == "bf16" else "int8 or awq"
        yield Problem(f"{plan.gpu.name} has no {plan.quantization.name}", hint=f"use {other}")


def division_refusals(plan: Deployment) -> Iterator[Problem]:
    """Tensor parallelism cuts heads, KV heads and widths into equal parts."""
    shape, tp = plan.model, plan.tp
    if shape.heads % tp:
        yield Problem(f"{shape.heads} attention heads cannot be cut into tp {tp} equal parts")
    if not shape.latent_kv and max(tp, shape.kv_heads) % min(tp, shape.kv_heads):
        yield Problem(f"{shape.kv_heads} KV heads can neither be cut nor copied evenly for tp {tp}")
    width = shape.expert_ffn if shape.is_moe else shape.ffn
    if width % tp and not (shape.is_moe and shape.experts % tp == 0):
        yield Problem(f"a feed-forward width of {width} cannot be cut into tp {tp} equal parts")
    if plan.pp > shape.layers:
        yield Problem(f"{shape.layers} layers cannot fill {plan.pp} pipeline stages")


def gib(size: float) -> str:
    """`15.0 GiB`."""
    return f"{size / GIB:.1f} GiB"
