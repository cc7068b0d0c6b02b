"""LiteLLM's proxy with a master key and the replicas as one model group; no database, nothing phoned home."""

from __future__ import annotations

import json
from typing import Any

from bench.peers.install import python_peer
from bench.peers.launch import Launch, Place

VERSION = "1.106.2"
KEY = "sk-bench"
ENV = {
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "127.0.0.1",
}


def launch(place: Place) -> Launch:
    """The proxy with one worker."""
    program = python_peer(f"litellm[proxy]=={VERSION}", "litellm", place.cache / "litellm")
    conf = place.write("litellm.yaml", json.dumps(configuration(place), indent=1))  # JSON is YAML
    argv = (str(program), "--config", str(conf), "--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1")
    return Launch(argv, VERSION, headers=(f"Authorization: Bearer {KEY}",), env=ENV, ready_s=180.0)


def configuration(place: Place) -> dict[str, Any]:
    """One entry per replica under one public name: LiteLLM spreads the requests over them."""
    return {
        "model_list": [_replica(upstream) for upstream in place.upstreams],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }


def _replica(upstream: str) -> dict[str, Any]:
    params = {"model": "openai/m0", "api_base": f"http://{upstream}/v1", "api_key": "none"}
    return {"model_name": "m0", "litellm_params": params}
