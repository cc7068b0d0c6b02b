"""A limit that limits nothing, a budget that cannot count, a name that nobody has: refused, with its place."""

from __future__ import annotations

import pytest

from fairlead.errors import UserError
from fairlead.spec.load import load

from .conftest import Write

BASE = """
models: {demo: {source: "demo:v1"}}
routes: {alias: {model: demo}}
"""
PRICES = "prices: {demo: {prompt: 1 USD, completion: 2 USD}}\n"
MISTAKES = {
    "a limit of nothing": ("limits: {calm: {per: tenant}}", "limits nothing"),
    "a burst of nothing": ("limits: {calm: {concurrent: 2, burst: 3s}}", "no rate that it could be a burst of"),
    "a burst too short": ("limits: {calm: {requests: 6/min, burst: 5s}}", "too short for a single one of requests"),
    "a rate of zero": ("limits: {calm: {requests: 0/min, tokens: 1/s}}", "must be more than 0"),
    "a part twice": ("limits: {calm: {per: [tenant, tenant], requests: 1/s}}", "names something twice"),
    "an unknown part": ("limits: {calm: {per: team, requests: 1/s}}", "limits.calm.per"),
    "an unknown model": ("limits: {calm: {models: [dem], requests: 1/s}}", "there is no model 'dem'"),
    "a route for a model": ("limits: {calm: {models: [alias], requests: 1/s}}", "counts as the model behind it: demo"),
    "an unknown role": ("limits: {calm: {roles: [usr], requests: 1/s}}", "there is no role 'usr'"),
    "a budget without a period": (PRICES + "budgets: {b: {amount: 5 USD}}", "says no period"),
    "a budget of nothing": (PRICES + "budgets: {b: {amount: 0 USD/day}}", "must be more than 0"),
    "a budget that cannot count": ("budgets: {b: {amount: 5 USD/day}}", "cannot count demo: no price is given"),
    "two currencies": (PRICES + "budgets: {b: {amount: 5 EUR/day}}", "EUR beside USD"),
    "a price with a period": ("prices: {demo: {prompt: 1 USD/day, completion: 2 USD}}", "a price has no period"),
    "a price too fine": ("prices: {demo: {prompt: 0.0000000001 USD, completion: 2 USD}}", "cannot be counted exactly"),
    "a price of no model": ("prices: {dmo: {prompt: 1 USD, completion: 2 USD}}", "there is no model 'dmo'"),
    "no timezone": (PRICES + "budgets: {b: {amount: 5 USD/day, timezone: Mars}}", "'Mars' is no timezone"),
    "no webhook": (PRICES + "budgets: {b: {amount: 5 USD/day, warn_webhook: slack}}", "no URL to post to"),
    "a weight of zero": ("fairness: {tenants: {acme: 0.0}}", "fairness.tenants.acme"),
    "an unknown batch role": ("fairness: {batch_roles: [nigthly]}", "there is no role 'nigthly'"),
    "no lifetime": ("gateway: {idempotency: {lifetime: 0s}}", "gateway.idempotency.lifetime"),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(write: Write, text: str, told: str) -> None:
    path = write(BASE + text)
    with pytest.raises(UserError) as raised:
        load(path)
    (problem,) = raised.value.problems
    assert told in str(raised.value)
    assert f"{path.name}:" in str(problem.where)


def test_a_price_of_everything_is_asked_for_only_where_a_budget_counts_it(write: Write) -> None:
    assert load(write(BASE + PRICES)).prices["demo"].cached is None
    assert load(write(BASE + PRICES + "budgets: {b: {amount: 5 USD/day, models: [demo]}}")).budgets
