"""vLLM's own router (Rust), with the policy nearest to ours: the less loaded of two replicas."""

from __future__ import annotations

from bench.peers.install import python_peer
from bench.peers.launch import Launch, Place

VERSION = "0.1.17"


def launch(place: Place) -> Launch:
    """The router from its wheel. Its metrics stay on, its log goes to the file of its output."""
    folder = place.cache / "vllm-router"
    program = python_peer(f"vllm-router=={VERSION}", "vllm-router", folder)
    return Launch((str(program), *arguments(place)), VERSION)


def arguments(place: Place) -> tuple[str, ...]:
    """Addresses, replicas and policy; all else as it comes."""
    return (
        *("--host", "127.0.0.1", "--port", str(place.port)),
        *("--prometheus-port", str(place.port + 1)),
        *("--policy", "power_of_two"),
        *("--worker-startup-check-interval", "1"),
        *("--worker-urls", *(f"http://{upstream}" for upstream in place.upstreams)),
    )
