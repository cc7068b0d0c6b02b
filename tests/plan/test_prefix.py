"""A prefix cache finds the longest known beginning, forgets what is oldest, and never holds a whole prompt."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.traces import read_trace
from fairlead.plan.constants import shipped
from fairlead.plan.deployment import deployment
from fairlead.plan.prefix import BLOCK_TOKENS, held
from fairlead.plan.served import served
from fairlead.plan.traffic import recorded

MOONCAKE = Path(__file__).parents[3] / "shared" / "data" / "traces" / "mooncake_conversation.jsonl.gz"
ENDLESS = 10**9


def trace(*blocks: tuple[int, ...]) -> Trace:
    count = len(blocks)
    prompt = np.array([max(1, len(each) * BLOCK_TOKENS) for each in blocks])
    return Trace("t", np.linspace(0.0, 10.0 * (count - 1), count), prompt, np.full(count, 20), blocks=blocks)


CASES = {
    "the first time nothing is known": ([(1, 2, 3)], ENDLESS, [0]),
    "the same again, but for one token": ([(1, 2), (1, 2)], ENDLESS, [0, 2 * BLOCK_TOKENS - 1]),
    "a longer one begins alike": ([(1, 2), (1, 2, 3)], ENDLESS, [0, 2 * BLOCK_TOKENS]),
    "a beginning must be known from its first block": ([(1, 2), (9, 2)], ENDLESS, [0, 0]),
    "what was used longest ago is forgotten": ([(1,), (2,), (3,), (1, 5)], 2 * BLOCK_TOKENS, [0, 0, 0, 0]),
    "what was used again is not": ([(1,), (2,), (1,), (3,), (1, 5)], 2 * BLOCK_TOKENS, [0, 0, 511, 0, BLOCK_TOKENS]),
}


@pytest.mark.parametrize(("blocks", "capacity", "found"), CASES.values(), ids=CASES)
def test_held(blocks: list[tuple[int, ...]], capacity: int, found: list[int]) -> None:
    assert held(trace(*blocks), capacity).tolist() == found


@given(
    blocks=st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=5).map(tuple), min_size=1, max_size=30),
    small=st.integers(0, 5),
    more=st.integers(0, 5),
)
def test_a_larger_cache_never_holds_less(blocks: list[tuple[int, ...]], small: int, more: int) -> None:
    """Least recently used is a stack algorithm (Mattson 1970), per block; so it is for beginnings."""
    made = trace(*blocks)
    less, most = (held(made, size * BLOCK_TOKENS) for size in (small, small + more))
    assert (most >= less).all()
    assert (most < made.prompt).all()


@pytest.mark.skipif(not MOONCAKE.is_file(), reason="the traces are not beside the checkout")
def test_a_recorded_conversation_hits_far_more_in_a_large_cache() -> None:
    """37 % of the prompt tokens in an endless cache, a few percent in that of one small GPU."""
    made = read_trace(MOONCAKE)
    assert made.blocks is not None
    lines = gzip.decompress(MOONCAKE.read_bytes()).decode().splitlines()
    assert sum(map(len, made.blocks)) == sum(len(json.loads(line)["hash_ids"]) for line in lines)
    endless, small = (held(made, size).sum() / made.prompt.sum() for size in (ENDLESS, 100_000))
    assert endless == pytest.approx(0.374, abs=0.001)
    assert small < 0.05


def test_an_estimate_counts_what_the_cache_holds() -> None:
    plan = deployment("Llama-3.1-8B", "L4", dtype="fp8")
    alike, different = trace(*[(1, 2, 3, 4)] * 40), trace(*[(4 * each,) * 4 for each in range(40)])
    fast, slow = (served(plan, recorded(each, rate=None), shipped()) for each in (alike, different))
    assert fast.queue is not None
    assert slow.queue is not None
    assert fast.queue.prefix_share > 0.95
    assert slow.queue.prefix_share == 0
    assert fast.speed is not None
    assert slow.speed is not None
    assert fast.speed.ttft_ms["p50"] < 0.7 * slow.speed.ttft_ms["p50"]
    told = served(plan, recorded(alike, rate=None, prefix_share=0.5), shipped()).queue
    assert told is not None
    assert told.prefix_share == 0.5
