"""What is measured is this table; every peer gets all of it, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.rig.load import Load

LARGE_PROMPT_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load, and the microseconds between two tokens of a stream (0: the mock writes as fast as it can)."""

    load: Load
    itl_us: int = 0


SCENARIOS: Mapping[str, Scenario] = {
    "json": Scenario(Load()),  # closed loop: what a core carries
    "paced": Scenario(Load(streaming=True), itl_us=10_000),  # 64 streams of 100 tokens/s, as chat models talk
    "busy": Scenario(Load(streaming=True), itl_us=2_000),  # 64 streams of 500 tokens/s: 32,000 chunks/s
    "rate": Scenario(Load(rate_per_s=50)),  # far from saturation: what the gateway adds to a request
    "large": Scenario(Load(prompt_bytes=LARGE_PROMPT_BYTES)),  # long contexts: bytes, not requests
}
