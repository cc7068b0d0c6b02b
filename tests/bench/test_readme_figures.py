"""The README's table of speeds is the last committed run: nobody writes a figure by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PEERS = json.loads((ROOT / "bench/results/gateway.json").read_text())["peers"]
LABELS = {
    "nginx": "nginx",
    "fairlead": "**fairlead**",
    "fairlead-leases": "fairlead with Redis leases",
    "vllm-router": "vllm-router",
    "litellm": "LiteLLM",
}


def row(name: str) -> str:
    def beside_nginx(key: str) -> str:
        return f"{PEERS[name][key]:,.0f} ({PEERS[name][key] / PEERS['nginx'][key]:.2f})"

    figures = PEERS[name]
    return " | ".join(
        (
            f"| {LABELS[name]}",
            beside_nginx("rps_per_core"),
            beside_nginx("chunks_per_s_per_core"),
            f"{figures['chunk_delay_p99_us']:,.0f} us",
            f"{figures['added_p50_us']:,.0f} us",
            beside_nginx("large_mb_per_s_per_core"),
            f"{figures['rss_mib']:.0f} |",
        )
    )


@pytest.mark.parametrize("name", LABELS)
def test_readme_shows_the_committed_run(name: str) -> None:
    assert row(name) in (ROOT / "README.md").read_text().splitlines()
