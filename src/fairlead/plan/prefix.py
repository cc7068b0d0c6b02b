"""What a prefix cache of a certain size holds of each prompt, where a recording says which parts prompts share.

As Mooncake's traces have it (arXiv 2407.00079), a prompt is a row of blocks of BLOCK_TOKENS; the same id is the same
text after the same text. Of a prompt its longest known beginning is found. Blocks that were used longest ago go first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from fairlead.plan.autoscale.demand import Ints, Trace

BLOCK_TOKENS = 512


def held(trace: Trace, capacity_tokens: int) -> Ints:
    """Tokens of each prompt that the cache holds when the request comes, shape (n,); at least one is left to compute.

    `trace` has blocks. All requests meet one cache, as they do where a router sends a prompt to where its beginning is.
    """
    assert trace.blocks is not None
    cache: OrderedDict[int, None] = OrderedDict()
    found = []
    for blocks in trace.blocks:
        found.append(known_beginning(cache, blocks))
        for block in blocks:
            cache[block] = None
            cache.move_to_end(block)
        while len(cache) * BLOCK_TOKENS > capacity_tokens:
            cache.popitem(last=False)
    return np.minimum(np.array(found, dtype=np.int64) * BLOCK_TOKENS, trace.prompt - 1)


def known_beginning(cache: OrderedDict[int, None], blocks: Sequence[int]) -> int:
    """How many of the first blocks are in the cache."""
    return next((number for number, block in enumerate(blocks) if block not in cache), len(blocks))
