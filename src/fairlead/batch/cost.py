"""What answers cost by the prices of a service's file, in billionths of its currency: counted as its ledger does."""

from __future__ import annotations

from decimal import Decimal

from fairlead.batch.job import Charge
from fairlead.spec.consumption import NANO, Price
from fairlead.spec.types import Spec
from fairlead.store.batch_rows import Tokens

PRICED_TOKENS = 1_000_000  # a price is of so many


def charge_by(spec: Spec) -> Charge:
    """The cost of an answer by the public name that was asked; a model without a price costs nothing."""

    def charge(name: str, used: Tokens) -> int:
        route = spec.routes.get(name)
        price = spec.prices.get(route.model if route else name)
        return cost_nano(price, used) if price else 0

    return charge


def cost_nano(price: Price, used: Tokens) -> int:
    """Billionths, rounded up once a request."""
    cached = min(used.cached, used.prompt)
    amounts = (
        (price.prompt.amount, used.prompt - cached),
        ((price.cached or price.prompt).amount, cached),
        (price.completion.amount, used.completion),
    )
    total = sum((amount * NANO * tokens for amount, tokens in amounts), Decimal())
    return -(-int(total) // PRICED_TOKENS)


def currency(spec: Spec) -> str:
    """The file's currency; "" where nothing has a price."""
    return next((price.prompt.currency for price in spec.prices.values()), "")
