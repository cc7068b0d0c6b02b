"""Limits, prices, budgets and fairness as `gateway.json` says them: counts, seconds, and billionths of one currency."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fairlead.spec.consumption import NANO, Budget, Fairness, Idempotency, Price, RateLimit
from fairlead.spec.types import Spec
from fairlead.units import Rate


def consumption(spec: Spec) -> dict[str, Any]:
    """The keys of `gateway.json` that say how much may be used."""
    return {
        "rate_limits": {name: rate_limit(spec.limits[name]) for name in sorted(spec.limits)},
        "prices": {name: price(spec.prices[name]) for name in sorted(spec.prices)},
        "currency": currency(spec),
        "budgets": {name: budget(spec.budgets[name]) for name in sorted(spec.budgets)},
        "fairness": fairness(spec.fairness),
        "idempotency": idempotency(spec.gateway.idempotency),
    }


def rate_limit(limit: RateLimit) -> dict[str, Any]:
    """One of `limits`."""
    return {
        "per": list(limit.per),
        "tenants": sorted(limit.tenants),
        "roles": sorted(limit.roles),
        "keys": sorted(limit.keys),
        "models": sorted(limit.models),
        "requests": flow(limit.requests, limit.burst),
        "tokens": flow(limit.tokens, limit.burst),
        "concurrent": limit.concurrent,
    }


def flow(rate: Rate | None, burst_s: float | None) -> dict[str, float] | None:
    """A rate, and what it gives in the time of the burst."""
    if rate is None:
        return None
    burst = rate.count * (burst_s if burst_s is not None else rate.period_s) / rate.period_s
    return {"count": rate.count, "period_s": rate.period_s, "burst": burst}


def price(price: Price) -> dict[str, int]:
    """One of `prices`."""
    return {
        "prompt_nano": nano(price.prompt.amount),
        "cached_nano": nano((price.cached or price.prompt).amount),
        "completion_nano": nano(price.completion.amount),
    }


def budget(budget: Budget) -> dict[str, Any]:
    """One of `budgets`."""
    return {
        "amount_nano": nano(budget.amount.amount),
        "period": budget.amount.period,
        "timezone": budget.timezone,
        "warn_at": budget.warn_at,
        "warn_webhook": budget.warn_webhook or "",
        "per": list(budget.per),
        "tenants": sorted(budget.tenants),
        "keys": sorted(budget.keys),
        "models": sorted(budget.models),
    }


def idempotency(kept: Idempotency) -> dict[str, float]:
    """How long answers are kept for their Idempotency-Key, and how many bytes of them."""
    return {"lifetime_s": kept.lifetime, "memory_bytes": kept.memory}


def fairness(fairness: Fairness | None) -> dict[str, Any] | None:
    """How a full engine is shared."""
    if fairness is None:
        return None
    return {
        "queue": fairness.queue,
        "max_wait_s": fairness.max_wait,
        "max_in_flight": fairness.max_in_flight or 0,
        "batch_share": fairness.batch_share,
        "batch_beside": fairness.batch_beside,
        "batch_roles": sorted(fairness.batch_roles),
        "tenants": dict(sorted(fairness.tenants.items())),
        "roles": dict(sorted(fairness.roles.items())),
    }


def nano(amount: Decimal) -> int:
    """Billionths; the spec has seen to it that nothing is rounded."""
    return int(amount * NANO)


def currency(spec: Spec) -> str:
    """The one currency of all prices and budgets; "" where there are none."""
    named = [each.prompt.currency for each in spec.prices.values()]
    named += [each.amount.currency for each in spec.budgets.values()]
    return next(iter(named), "")
