"""The gateways that are compared: a peer is a function that prepares it and says how to start it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.peers import fairlead, haproxy, litellm, nginx, vllm_router
from bench.peers.launch import Launch, Missing, Place

PEERS: Mapping[str, Callable[[Place], Launch]] = {
    "nginx": nginx.launch,
    "fairlead": fairlead.launch,
    "fairlead-leases": fairlead.launch_leases,
    "vllm-router": vllm_router.launch,
    "litellm": litellm.launch,
    "haproxy": haproxy.launch,
}
DEFAULT_PEERS = ("nginx", "fairlead", "fairlead-leases", "vllm-router", "litellm")

__all__ = ["DEFAULT_PEERS", "PEERS", "Launch", "Missing", "Place"]
