"""What callers may use, and what it costs: limits, prices, budgets, and fairness when the engines are full.

Each is enforced in the gateway by `fairlead.gateway.consumption`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic.types import Strict

from fairlead.spec.fields import Closed, Count, Label, ModelName, Share, Text, WebhookUrl
from fairlead.spec.problems import FieldError
from fairlead.units import Bytes, Money, MoneyText, Rate, RateText, Seconds

NANO = 10**9
LARGEST_AMOUNT = 10**9  # in the currency: billionths of it still fit into 64 bits
Part = Literal["tenant", "role", "key", "model"]
BudgetPart = Literal["tenant", "key", "model"]


def _listed(value: Any) -> Any:
    """`per: tenant` is `per: [tenant]`."""
    return [value] if isinstance(value, str) else value


def _per(*parts: str) -> WithJsonSchema:
    one = {"enum": list(parts)}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one, "uniqueItems": True}]})


def _check_once(parts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(parts)) != len(parts):
        raise FieldError("names something twice", "for example [tenant, model]")
    return parts


def _check_rate(rate: Rate) -> Rate:
    if rate.count <= 0:
        raise FieldError("must be more than 0", "to deny something, leave it out of access.roles")
    return rate


def _check_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FieldError(f"{name[:60]!r} is no timezone", "a name such as UTC or Europe/Berlin") from None


def _check_price(price: Money) -> Money:
    if price.period:
        raise FieldError("a price has no period", "the price of a million tokens, for example 0.15 USD")
    return _check_amount(price)


def _check_budget(amount: Money) -> Money:
    if not amount.period:
        raise FieldError("says no period", f"for example {amount.amount:f} {amount.currency}/month")
    if amount.amount <= 0:
        raise FieldError("must be more than 0", "to deny something, leave it out of access.roles")
    return _check_amount(amount)


def _check_amount(money: Money) -> Money:
    nano = money.amount * NANO
    if nano != nano.to_integral_value() or money.amount > LARGEST_AMOUNT:
        hint = f"at most {LARGEST_AMOUNT} and nine decimals, so that sums are exact"
        raise FieldError(f"{money.amount} cannot be counted exactly", hint)
    return money


Pers = Annotated[
    tuple[Part, ...], BeforeValidator(_listed), AfterValidator(_check_once), _per("tenant", "role", "key", "model")
]
BudgetPers = Annotated[
    tuple[BudgetPart, ...], BeforeValidator(_listed), AfterValidator(_check_once), _per("tenant", "key", "model")
]
Names = tuple[Text, ...]
PositiveRate = Annotated[RateText, AfterValidator(_check_rate)]
PriceText = Annotated[MoneyText, AfterValidator(_check_price)]
BudgetText = Annotated[MoneyText, AfterValidator(_check_budget)]
Timezone = Annotated[str, AfterValidator(_check_zone)]
Weight = Annotated[float, Strict(), Field(ge=0.001, le=1000, allow_inf_nan=False)]


class RateLimit(Closed):
    """How many requests and tokens, and how many at once, for whom the lists name; an empty list is everybody."""

    per: Pers = ()
    """What gets its own allowance: tenant, role, key, model or several. Default: one for all together."""
    requests: PositiveRate | None = None
    """Requests, for example 600/min."""
    tokens: PositiveRate | None = None
    """Tokens of prompts and answers together, for example 60k/min; reserved before a call, settled after it."""
    burst: Seconds | None = Field(None, gt=0)
    """How much may come at once: what the rate gives in this time. Default: the rate's own period."""
    concurrent: Count | None = Field(None, ge=1)
    """Requests running at once, in each gateway."""
    tenants: Names = ()
    """Tenants that it is for."""
    roles: tuple[Label, ...] = ()
    """Roles that it is for."""
    keys: Names = ()
    """Ids of the keys that it is for."""
    models: tuple[ModelName, ...] = ()
    """Models that it is for, also when they are asked by another public name."""


class Price(Closed):
    """What a million tokens of a model cost."""

    prompt: PriceText
    """A million tokens of prompts, for example 0.15 USD."""
    cached: PriceText | None = None
    """A million tokens of prompts that the engine found in its prefix cache. Default: as prompt."""
    completion: PriceText
    """A million tokens of answers."""


class Budget(Closed):
    """How much money, for whom the lists name; an empty list is everybody."""

    amount: BudgetText
    """Money in each h, day, week or month: 500 USD/month. A request that could go beyond it is refused with 429."""
    per: BudgetPers = ()
    """What gets its own budget: tenant, key, model or several. Default: one for all together."""
    timezone: Timezone = "UTC"
    """Where the day, week or month begins at midnight."""
    warn_at: Share = 0.8
    """Share of the amount that is told of when it is reached, once a period."""
    warn_webhook: WebhookUrl | None = None
    """URL that a JSON object is posted to when warn_at is reached; a secret in it belongs into a ${VARIABLE}."""
    tenants: Names = ()
    """Tenants that it is for."""
    keys: Names = ()
    """Ids of the keys that it is for."""
    models: tuple[ModelName, ...] = ()
    """Models that it is for."""


class Idempotency(Closed):
    """Answers that are kept in each gateway's memory, to be given again to the same Idempotency-Key."""

    lifetime: Seconds = Field(86_400.0, gt=0)
    """How long a key's answer is kept. A restart of the gateway forgets it."""
    memory: Bytes = Field(64 * 2**20, ge=2**20)
    """Memory for answers in each gateway; the oldest go first."""


class Fairness(Closed):
    """Who is next when every replica of a model is full: tenants share it by weight in tokens."""

    tenants: Mapping[Text, Weight] = Field(default_factory=dict)
    """Weights of tenants. Default: the weight of the role."""
    roles: Mapping[Label, Weight] = Field(default_factory=dict)
    """Weights of the tenants that call with a role. Default: 1."""
    queue: Count = Field(256, ge=0, le=100_000)
    """Requests waiting for each model in each gateway; one more pushes out the newest of the greediest tenant."""
    max_wait: Seconds = Field(10.0, gt=0)
    """A request that would wait longer, or does, is answered with 503."""
    max_in_flight: Count | None = Field(None, ge=1)
    """Requests running in a replica before others wait. Default: the model's max_num_seqs."""
    batch_roles: tuple[Label, ...] = ()
    """Roles whose requests wait behind all others; those of batches do whatever their role."""
    batch_share: Share = 0.05
    """Share of the tokens that they get all the same, so that they never starve."""
    batch_beside: Count = Field(1, ge=0)
    """How many of them run in a replica while others use the model, or did in the last 5 s; alone they get all room. 0:
    now and then one, for their share."""
