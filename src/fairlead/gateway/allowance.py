"""What callers are told of their limits: `x-ratelimit-*` as OpenAI writes them, why they wait, and how long."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import ceil, inf

from fairlead.gateway.answers import Refusal
from fairlead.gateway.head import Refused
from fairlead.policy.budget import NANO, Account
from fairlead.policy.fair import Shed
from fairlead.policy.limits import Flow, Meter, Pool, Shortfall, duration

LONGEST_RETRY_S = 60.0  # OpenAI's clients wait no longer than this, so a longer wait is no use to them
WHAT = {"requests": "requests", "tokens": "tokens", "concurrent": "running requests"}
PERIODS = {"h": "hour", "day": "day", "week": "week", "month": "month"}

Figure = tuple[Pool, Flow, bytes]  # a pool, its size, and the headers that tell what is left and when it is full
Figures = tuple[tuple[Figure, ...], ...]  # for requests, then for tokens: the pools that limit them


def figures_of(meters: Iterable[Meter]) -> Figures:
    """What `ratelimit_headers` looks up, worked out once for a caller and a model."""
    requests = [(m.requests, m.rule.requests) for m in meters if m.requests and m.rule.requests]
    tokens = [(m.tokens, m.rule.tokens) for m in meters if m.tokens and m.rule.tokens]
    kinds = [
        tuple((pool, flow, headers_of(kind, flow.count)) for pool, flow in pools)
        for kind, pools in ((b"requests", requests), (b"tokens", tokens))
    ]
    return tuple(kind for kind in kinds if kind)


def headers_of(kind: bytes, limit: float) -> bytes:
    """Three headers; what is left and the time until it is full are still to be filled in."""
    return b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%b\r\n" % (
        *(kind, limit),
        *(kind, kind),
    )


def ratelimit_headers(figures: Figures, now: float) -> bytes:
    """The figures of the pool that has least left, of requests and of tokens; empty where nothing limits them."""
    text = b""
    for pools in figures:
        pool, flow, told = pools[0]
        left = pool.at(now)
        for other in pools[1:]:
            if (less := other[0].at(now)) < left:
                left, (pool, flow, told) = less, other
        full_ms = ceil((flow.burst - left) * flow.period_s * 1000.0 / flow.count)
        text += told % (left if 0.0 < left < flow.count else flow.count if left > 0.0 else 0, shown(full_ms))
    return text


@lru_cache(4096)
def shown(millis: int) -> bytes:
    """A time as a header's value; rounded up to whole seconds from one second on."""
    return duration(millis / 1000 if millis < 1000 else -(-millis // 1000)).encode()


def retry_headers(wait_s: float) -> bytes:
    """When to come back, to the millisecond; and whether a client should at all."""
    if wait_s == inf:
        return b"x-should-retry: false\r\n"
    should = b"true" if wait_s <= LONGEST_RETRY_S else b"false"
    return b"retry-after-ms: %d\r\nx-should-retry: %b\r\n" % (ceil(wait_s * 1000), should)


def limited(shortfall: Shortfall, figures: bytes) -> Refused:
    """A limit says no."""
    wait_s = shortfall.wait_s
    message = f"The limit {shortfall.rule!r} on {WHAT[shortfall.kind]} is reached."
    if shortfall.useless:
        message = f"The request alone is more than the limit {shortfall.rule!r} on {WHAT[shortfall.kind]} ever allows."
    refusal = too_many(message, "rate_limit_exceeded", shortfall.kind, wait_s)
    return Refused(refusal, retry_headers(wait_s) + figures)


def overdrawn(account: Account, wait_s: float, figures: bytes) -> Refused:
    """A budget says no."""
    name, amount = account.budget.name, account.budget.amount / NANO
    message = f"The budget {name!r} of {amount:g} for this {PERIODS[account.budget.period]} is used up."
    if wait_s == inf:
        message = f"The request alone may cost more than the budget {name!r} of {amount:g}."
    refusal = too_many(message, "insufficient_quota", "insufficient_quota", wait_s)
    return Refused(refusal, retry_headers(wait_s) + figures)


def shed(told: Shed) -> Refused:
    """A request that the full engine's queue does not take: 429 when its own tenant fills it, else 503."""
    if told.reason == "queue_full":
        message = "The model is busy, and most of its queue is yours."
        refusal = too_many(message, "tenant_queue_full", "rate_limit_error", told.wait_s)
    else:
        wait = duration(told.wait_s)
        message = f"The model is busy: about {wait} until there is room, which is longer than a request may wait."
        refusal = Refusal(503, "overloaded", message, "server_error", retry_after_s=_whole(told.wait_s))
    return Refused(refusal, retry_headers(max(told.wait_s, 1.0)))


def too_many(message: str, code: str, kind: str, wait_s: float) -> Refusal:
    """429, with how long to wait in the message too."""
    hint = "" if wait_s == inf else f" Try again in {duration(wait_s)}."
    return Refusal(429, code, message + hint, kind, retry_after_s=_whole(wait_s))


def _whole(wait_s: float) -> int:
    return 0 if wait_s == inf else max(1, ceil(wait_s))
