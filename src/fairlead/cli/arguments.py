"""What several commands take from the command line."""

from __future__ import annotations

from fairlead.errors import UserError
from fairlead.units import QuantityError, parse_seconds


def duration(option: str, text: str) -> float:
    """Seconds. Raises UserError that names the option."""
    try:
        return parse_seconds(text)
    except QuantityError as error:
        raise UserError(f"{option}: {error}", hint="a number and a unit, for example 90s, 24h or 30d") from None
