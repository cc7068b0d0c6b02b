"""Do fewer GPUs keep the SLO where prompts are read by replicas of their own? Both ways go through the same simulator.

A prompt that is computed lengthens the iteration in which others wait for their next token, so a replica that does both
computes prompts in small pieces, or takes fewer requests. Apart (Zhong et al., "DistServe", OSDI 2024; Patel et al.,
"Splitwise", ISCA 2024):

- prefill: requests of one token, on an engine whose iterations nobody waits in: it has its whole budget of tokens;
- transfer: prompt tokens x bytes of KV cache a token / the replica's part of its node's network;
- decode: requests whose prompt is in the cache already.

TTFT is kept if prefill keeps what the transfer and two iterations of decode (the one under way, the one that takes the
request in) leave of it. Both must keep their part for more requests than promised: of the misses each may have half.
What is told beside the verdict says which of its figures are known; where one is not, nothing is split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fairlead.catalog.networks import Network, network
from fairlead.errors import UserError
from fairlead.plan.ask import Ask
from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel, Slo
from fairlead.plan.autoscale.promise import Lengths, Promise
from fairlead.plan.autoscale.thresholds import HEAVIEST, derive
from fairlead.plan.capacity import SEED
from fairlead.plan.constants import EXTRAPOLATED, Fit
from fairlead.plan.memory import memory
from fairlead.plan.options import Option
from fairlead.plan.search import Choice
from fairlead.plan.service import Apart
from fairlead.spec.planning import Hardware

NETWORK_PART = 0.5  # of a line's rate that NIXL over TCP is taken to reach; assumed, not measured
GAIN = 0.9  # apart has to need fewer GPUs than this part: two simulations differ by some percent
COMPUTED_S = 1e-12  # a prompt token that is in the cache: no time, but what divides by it goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """`together`: replicas that do both. `apart`: the replicas of each kind, None where that cannot be or is unknown.

    `pays`: whether they are fewer by more than chance. `why`: in words, for who asks. Rates are requests/s a replica.
    """

    together: int
    apart: Apart | None = None
    pays: bool = False
    why: str = ""
    transfer_s: float = 0.0
    prefill_rate: float = 0.0
    decode_rate: float = 0.0


def weighed(choice: Choice, hardware: Hardware, known: Fit) -> Weighed:
    """A choice against the same replicas split in two kinds."""
    option, ask = choice.option, choice.option.ask
    reason = unknown(option, known)
    if reason:
        return Weighed(together=choice.replicas, why=reason)
    line = network(option.site.instance.name)
    assert line is not None
    seconds = transfer_s(option, line)
    left_s = ask.slo.ttft_s - seconds - 2 * ask.slo.tpot_s
    if left_s <= 0:
        return Weighed(
            together=choice.replicas, transfer_s=seconds, why="the KV cache takes longer to send than TTFT allows"
        )
    kinds = (prefill(option, left_s), decode(option))
    line_rate = bandwidth(option, line) / (Lengths.of(ask.lengths).prompt * kv_bytes(option))
    at_best = split(choice, hardware, [min(line_rate, bound(each)) for each in kinds], seconds)
    if not at_best.pays:
        return at_best  # nothing has to be simulated
    return split(choice, hardware, [min(line_rate, simulated(each)) for each in kinds], seconds)


def split(choice: Choice, hardware: Hardware, rates: list[float], seconds: float) -> Weighed:
    """With replicas of the two kinds that take these rates."""
    together, ask = choice.replicas, choice.option.ask
    if not all(rates):
        return Weighed(together=together, transfer_s=seconds, why="apart keeps the SLO at no load")
    parts = Apart(prefill=wanted(ask, hardware, rates[0]), decode=wanted(ask, hardware, rates[1]))
    return Weighed(
        together=together,
        apart=parts,
        pays=parts.prefill + parts.decode < GAIN * together,
        why=f"{parts.prefill} for prompts and {parts.decode} for answers, against {together} that do both",
        transfer_s=seconds,
        prefill_rate=rates[0],
        decode_rate=rates[1],
    )


def unknown(option: Option, known: Fit) -> str:
    """What keeps a verdict from being more than a guess; empty where nothing does."""
    ask = option.ask
    if not ask.rate or ask.replicas is not None:
        return "no load is stated, or the file says how many replicas there are"
    if known.confidence(option.plan) == EXTRAPOLATED:
        return f"extrapolated: no measurement of {option.plan.gpu.name}"
    if network(option.site.instance.name) is None:
        return f"extrapolated: nothing is known of the network of {option.site.instance.name}"
    return ""


def kv_bytes(option: Option) -> float:
    """Of one token, once: where GPUs of a replica hold copies, one of them is sent."""
    held = memory(option.plan, context=option.ask.context)
    return held.kv_sequence / held.context * option.plan.kv_shards


def bandwidth(option: Option, line: Network) -> float:
    """Bytes/s that a replica has of its node's network."""
    part = option.plan.tp / option.site.instance.gpus
    return NETWORK_PART * line.gbit_s * 1e9 / 8 * part


def transfer_s(option: Option, line: Network) -> float:
    """Of a prompt that 95 % are shorter than."""
    prompt = float(np.percentile(option.ask.lengths.prompt, 95))
    return prompt * kv_bytes(option) / bandwidth(option, line)


@dataclass(frozen=True, slots=True)
class Kind:
    """Replicas of one kind: their engine, what they promise, and the requests as they see them."""

    engine: EngineModel
    slo: Slo
    trace: Trace


def prefill(option: Option, left_s: float) -> Kind:
    """Replicas that read prompts; their first token is their last."""
    tokens, _ = option.plan.engine.batch_limits(option.plan.gpu)
    lengths = option.ask.lengths
    engine = replace(option.engine, batched_tokens=max(tokens, option.engine.batched_tokens))
    slo = Slo(ttft_s=left_s, tpot_s=left_s, attainment=halves(option.ask))
    return Kind(engine, slo, replace(lengths, output=np.ones_like(lengths.output)))


def decode(option: Option) -> Kind:
    """Replicas that write answers: a request enters within two iterations. What it waits outside counts for prefill."""
    engine, slo = option.engine, option.ask.slo
    tokens = engine.kv_tokens
    ready = replace(engine, prompt_token_s=COMPUTED_S, attended_s=0.0, batched_tokens=tokens, request_s=0.0)
    return Kind(ready, Slo(2 * slo.tpot_s, slo.tpot_s, halves(option.ask)), option.ask.lengths)


def halves(ask: Ask) -> float:
    """Each kind may miss for half of the requests that may miss at all."""
    return (1 + ask.slo.attainment) / 2


def bound(kind: Kind) -> float:
    """More requests/s than a replica takes; 0 where an iteration alone is too long."""
    if kind.engine.fixed_s >= kind.slo.tpot_s:
        return 0.0
    return HEAVIEST * Promise(kind.engine, kind.slo, Lengths.of(kind.trace)).rate_per_replica()


def simulated(kind: Kind) -> float:
    """The most requests/s at which a replica keeps its promise; 0 where no load does."""
    try:
        return derive(kind.trace, kind.engine, kind.slo, SEED).promise.rate_per_replica()
    except UserError:
        return 0.0


def wanted(ask: Ask, hardware: Hardware, rate: float) -> int:
    """Replicas of a kind for the load, with headroom and the spare ones."""
    return max(ask.least, math.ceil(ask.rate * (1 + hardware.headroom) / rate) + hardware.spare)
