"""Requests to loopback never go through a proxy, whatever the environment says."""

from __future__ import annotations

from urllib.request import ProxyHandler, Request, build_opener

_OPENER = build_opener(ProxyHandler({}))


def fetch(request: Request | str, timeout_s: float = 5.0) -> bytes:
    """The body of the answer; raises what urllib raises."""
    with _OPENER.open(request, timeout=timeout_s) as answer:
        return bytes(answer.read())
