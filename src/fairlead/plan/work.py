"""A schedule on a deployment as ideal seconds: what each part of an iteration takes at the accelerator's peak rates.

A row of the matrix is a segment of the schedule, a column a part of the work. Nothing here is fitted: `roofline` has
one factor for each column, and an iteration takes the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairlead.plan.deployment import Deployment, sixteen_bits
from fairlead.plan.schedule import Segment

Array = NDArray[np.float64]
REDUCED_BYTES = 2.0  # partial sums travel in 16 bits
NODE_GPUS = 8  # accelerators that share the fast link, but for a rack of GB200
RACK_LINK = "NVLink5 NVL72"
NODE_GB_S = 100.0  # between nodes, both directions: one 400 Gbit/s port an accelerator

PARTS = (
    "compute",  # seconds of the matrix products
    "weights",  # seconds of reading the weights that every token passes
    "experts",  # seconds of reading the routed experts that some token chose
    "cache",  # seconds of reading the KV cache
    "attention",  # seconds of the prompts' attention
    "traffic",  # seconds of the all-reduces' bytes on the link
    "reduces",  # number of all-reduces
    "layers",  # number of layers
    "routers",  # number of layers that route to experts
    "steps",  # 1: what an iteration costs whatever is in it
    "sequences",  # number of decoding sequences
)


def work(plan: Deployment, segments: Sequence[Segment]) -> Array:
    """(segments x PARTS): the work of one iteration of each segment on one replica of `plan`."""
    shape, gpu, tp = plan.model, plan.gpu, plan.tp
    _, prompts, decoding, context, attended, sampled = np.array(segments, dtype=np.float64).T
    tokens = prompts + decoding
    bandwidth = gpu.bandwidth_gb_s * 1e9
    sixteen = gpu.tflops[sixteen_bits(gpu)] * 1e12
    reduces = 2.0 * shape.layers if tp > 1 else 0.0
    sent = tokens * shape.hidden * REDUCED_BYTES * 2 * (tp - 1) / tp
    dense, routed = read_bytes(plan, tokens)
    return np.stack(
        [
            matrix_seconds(plan, tokens) + 2 * sampled * shape.embedding_params / tp / sixteen,
            dense / bandwidth,
            routed / bandwidth,
            cache_bytes(plan, decoding, context) / bandwidth,
            attention_flops(plan, prompts, attended) / tp / sixteen,
            reduces * sent / (link_gb_s(plan) / 2 * 1e9),
            np.full_like(tokens, reduces),
            np.full_like(tokens, shape.layers),
            np.full_like(tokens, shape.moe_layers),
            np.ones_like(tokens),
            decoding,
        ],
        axis=1,
    )


def crosses_nodes(plan: Deployment) -> bool:
    """Whether tensor parallelism reaches beyond the accelerators that share a fast link."""
    return plan.tp > NODE_GPUS and plan.gpu.link != RACK_LINK


def link_gb_s(plan: Deployment) -> float:
    """The slowest link of the all-reduce, both directions."""
    return NODE_GB_S if crosses_nodes(plan) else plan.gpu.link_gb_s


def matrix_seconds(plan: Deployment, tokens: Array) -> Array:
    """Two operations a weight and token; routed experts may run in another arithmetic than the rest."""
    shape, rate = plan.model, plan.gpu.tflops
    routed = shape.active_params - shape.shared_params
    operations_s = shape.shared_params / rate[plan.linear_arithmetic] + routed / rate[plan.arithmetic]
    seconds: Array = 2 * tokens * operations_s / 1e12 / plan.tp
    return seconds


def read_bytes(plan: Deployment, tokens: Array) -> tuple[Array, Array]:
    """Bytes that an iteration of `tokens` tokens reads: weights for all tokens with the head, and routed experts.

    With k of E experts chosen evenly, a share 1 - (1 - k/E)^tokens is touched. An embedding is looked up, not read.
    """
    shape = plan.model
    dense = shape.shared_params * plan.linear_bytes + shape.embedding_params * 2.0
    routed = shape.routed_params * plan.quantization.weight_bytes
    touched = 1 - (1 - shape.experts_per_token / shape.experts) ** tokens if shape.is_moe else np.zeros_like(tokens)
    return np.full_like(tokens, dense / plan.tp), np.asarray(routed * touched / plan.tp, dtype=np.float64)


def cache_bytes(plan: Deployment, decoding: Array, context: Array) -> Array:
    """Bytes of the KV cache that the decoding sequences read on one accelerator."""
    shape = plan.model
    seen = np.minimum(context, decoding * shape.window) if shape.window else context
    token_layers = (shape.layers - shape.windowed_layers) * context + shape.windowed_layers * seen
    read: Array = token_layers * shape.cached_values * plan.kv_bytes / plan.kv_shards
    return read


def attention_flops(plan: Deployment, prompts: Array, attended: Array) -> Array:
    """Scores and weighted sums of the prompts: two products of two operations a pair, head and value."""
    shape = plan.model
    size = shape.head_size + shape.rope_dim / 2
    seen = np.minimum(attended, prompts * shape.window) if shape.window else attended
    token_layers = (shape.layers - shape.windowed_layers) * attended + shape.windowed_layers * seen
    flops: Array = 4 * token_layers * shape.heads * size
    return flops
