"""What would limit nothing, could never trip, or names nobody is told: a control that is declared has to hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fairlead.spec.consumption import Budget, Fairness, Price, RateLimit
from fairlead.spec.problems import Finding, Path, nearest
from fairlead.units import format_seconds


@dataclass(frozen=True, slots=True)
class Consumption:
    """The parts of a file that say how much may be used, each checked alone; None where it is broken in itself."""

    limits: Mapping[str, RateLimit | None]
    prices: Mapping[str, Price | None]
    budgets: Mapping[str, Budget | None]
    fairness: Fairness | None
    models: Mapping[str, int | None]  # model -> requests that a replica runs at once, None where nobody says
    routes: Mapping[str, str]  # public name -> model
    roles: frozenset[str]


def findings(parts: Consumption) -> Iterator[Finding]:
    """Every contradiction."""
    for name, limit in parts.limits.items():
        if limit is not None:
            yield from _limit(("limits", name), limit, parts)
    for name, budget in parts.budgets.items():
        if budget is not None:
            yield from _budget(("budgets", name), budget, parts)
    for name in parts.prices:
        yield from _models(("prices",), [name], parts, at_key=True)
    yield from _currencies(parts)
    if parts.fairness is not None:
        yield from _fairness(parts.fairness, parts)


def _limit(path: Path, limit: RateLimit, parts: Consumption) -> Iterator[Finding]:
    yield from _models((*path, "models"), limit.models, parts)
    yield from _roles((*path, "roles"), limit.roles, parts)
    if limit.requests is None and limit.tokens is None and limit.concurrent is None:
        yield Finding(path, "limits nothing", "give it requests, tokens or concurrent", at_key=True)
    if limit.burst is None:
        return
    if limit.requests is None and limit.tokens is None:
        yield Finding((*path, "burst"), "there is no rate that it could be a burst of", "give requests or tokens")
    for kind, rate in (("requests", limit.requests), ("tokens", limit.tokens)):
        if rate is not None and rate.per_second * limit.burst < 1:
            hint = f"at least {format_seconds(rate.period_s / rate.count)}"
            yield Finding((*path, "burst"), f"is too short for a single one of {kind}: nothing would pass", hint)


def _budget(path: Path, budget: Budget, parts: Consumption) -> Iterator[Finding]:
    yield from _models((*path, "models"), budget.models, parts)
    unpriced = [name for name in budget.models or sorted(parts.models) if name not in parts.prices]
    unpriced = [name for name in unpriced if name in parts.models]
    if unpriced:
        message = f"cannot count {', '.join(unpriced)}: no price is given"
        yield Finding(path, message, f"add prices.{unpriced[0]}", at_key=True)


def _currencies(parts: Consumption) -> Iterator[Finding]:
    amounts: list[tuple[Path, str]] = []
    for name, price in parts.prices.items():
        for field in ("prompt", "cached", "completion") if price else ():
            if (money := getattr(price, field)) is not None:
                amounts.append((("prices", name, field), money.currency))
    amounts += [(("budgets", name, "amount"), each.amount.currency) for name, each in parts.budgets.items() if each]
    for path, currency in amounts:
        if currency != amounts[0][1]:
            yield Finding(path, f"{currency} beside {amounts[0][1]}", "nothing is converted: use one currency")


def _fairness(fairness: Fairness, parts: Consumption) -> Iterator[Finding]:
    for role in fairness.roles:
        yield from _roles(("fairness", "roles"), [role], parts, at_key=True)
    yield from _roles(("fairness", "batch_roles"), fairness.batch_roles, parts)
    for name, most in parts.models.items():
        if most is None and fairness.max_in_flight is None:
            message = f"nobody says when {name} is full"
            yield Finding(("fairness",), message, "set fairness.max_in_flight: requests running in a replica", True)


def _models(path: Path, names: Iterable[str], parts: Consumption, *, at_key: bool = False) -> Iterator[Finding]:
    for index, name in enumerate(names):
        if name in parts.models:
            continue
        hint = nearest(name, parts.models, otherwise="models")
        if name in parts.routes:
            hint = f"a route counts as the model behind it: {parts.routes[name]}"
        yield Finding((*path, name if at_key else index), f"there is no model {name!r}", hint, at_key=at_key)


def _roles(path: Path, names: Iterable[str], parts: Consumption, *, at_key: bool = False) -> Iterator[Finding]:
    for index, name in enumerate(names):
        if name not in parts.roles:
            hint = nearest(name, parts.roles, otherwise="roles")
            yield Finding((*path, name if at_key else index), f"there is no role {name!r}", hint, at_key=at_key)
