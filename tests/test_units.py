"""Quantities: each kind reads what people write, refuses the rest with a hint, and reads back what it prints."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from fairlead import units
from fairlead.units import Money, QuantityError, Rate

READS: dict[str, tuple[Callable[[object], object], object, object]] = {
    "binary size": (units.parse_bytes, "24Gi", 24 * 2**30),
    "decimal size": (units.parse_bytes, "4M", 4_000_000),
    "plain bytes": (units.parse_bytes, 4096, 4096),
    "bytes as text": (units.parse_bytes, "4096", 4096),
    "half a gibibyte": (units.parse_bytes, "0.5Gi", 2**29),
    "milliseconds": (units.parse_seconds, "800ms", 0.8),
    "minutes": (units.parse_seconds, "10m", 600.0),
    "minutes spelt as in rates": (units.parse_seconds, "10min", 600.0),
    "days": (units.parse_seconds, "90d", 7_776_000.0),
    "hours and minutes": (units.parse_seconds, "1h30m", 5400.0),
    "millicores": (units.parse_cores, "500m", 0.5),
    "cores": (units.parse_cores, 2, 2.0),
    "parts of a core": (units.parse_cores, 0.25, 0.25),
    "rate a minute": (units.parse_rate, "20k/min", Rate(20_000.0, 60)),
    "rate a second": (units.parse_rate, "5/s", Rate(5.0, 1)),
    "money a day": (units.parse_money, "5 USD/day", Money(Decimal(5), "USD", "day")),
    "money at all": (units.parse_money, "12.50 EUR", Money(Decimal("12.50"), "EUR")),
}

REFUSES: dict[str, tuple[Callable[[object], object], object]] = {
    "a size with B": (units.parse_bytes, "24GB"),
    "a small binary letter": (units.parse_bytes, "24gi"),
    "a negative size": (units.parse_bytes, -1),
    "a truth value as size": (units.parse_bytes, True),
    "part of a byte": (units.parse_bytes, "0.3"),
    "a float as size": (units.parse_bytes, 1.5),
    "digits of another script": (units.parse_bytes, "٣Gi"),
    "a size with a line break": (units.parse_bytes, "1Gi\n"),
    "a bare number as duration": (units.parse_seconds, 60),
    "a duration without unit": (units.parse_seconds, "60"),
    "a truth value as duration": (units.parse_seconds, True),
    "an unknown unit of time": (units.parse_seconds, "3y"),
    "units in the wrong order": (units.parse_seconds, "30m1h"),
    "a unit twice": (units.parse_seconds, "1m1min"),
    "no number": (units.parse_seconds, "s"),
    "not a number": (units.parse_seconds, "nans"),
    "finer than a millicore": (units.parse_cores, 0.0001),
    "cores as truth value": (units.parse_cores, True),
    "a rate without period": (units.parse_rate, "20k"),
    "a rate in an unknown period": (units.parse_rate, "20k/fortnight"),
    "money without currency": (units.parse_money, "5/day"),
    "money in small letters": (units.parse_money, "5 usd"),
    "nothing": (units.parse_money, None),
}


numbers = st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=6)


@pytest.mark.parametrize(("parse", "text", "value"), READS.values(), ids=READS)
def test_a_quantity_is_read(parse: Callable[[object], object], text: object, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(("parse", "text"), REFUSES.values(), ids=REFUSES)
def test_another_text_is_refused_with_a_hint(parse: Callable[[object], object], text: object) -> None:
    with pytest.raises(QuantityError) as refusal:
        parse(text)
    assert refusal.value.hint
    assert "for example" in refusal.value.hint


@given(st.integers(min_value=0, max_value=2**60))
def test_sizes_survive_the_round_trip(size: int) -> None:
    assert units.parse_bytes(units.format_bytes(size)) == size


@given(st.floats(min_value=1e-9, max_value=1e14) | st.just(0.0))
def test_durations_survive_the_round_trip(seconds: float) -> None:
    assert units.parse_seconds(units.format_seconds(seconds)) == seconds


@given(st.integers(min_value=0, max_value=10**9))
def test_cores_survive_the_round_trip(millicores: int) -> None:
    assert units.parse_cores(units.format_cores(millicores / 1000)) == millicores / 1000


@given(numbers, st.sampled_from([1, 60, 3600, 86_400]))
def test_rates_survive_the_round_trip(count: Decimal, period_s: int) -> None:
    rate = Rate(float(count), period_s)
    assert units.parse_rate(units.format_rate(rate)) == rate


@given(numbers, st.sampled_from(["USD", "EUR"]), st.sampled_from(["", "h", "day", "week", "month"]))
def test_money_survives_the_round_trip(amount: Decimal, currency: str, period: str) -> None:
    money = Money(amount, currency, period)
    assert units.parse_money(units.format_money(money)) == money


@given(st.text(max_size=40))
def test_no_text_raises_anything_but_a_quantity_error(text: str) -> None:
    for parse in (units.parse_bytes, units.parse_seconds, units.parse_cores, units.parse_rate, units.parse_money):
        with contextlib.suppress(QuantityError):
            parse(text)


def test_a_rate_says_what_it_means_in_a_second() -> None:
    assert Rate(120.0, 60).per_second == 2.0


class Sample(BaseModel):
    """A model with one field of each annotated type."""

    timeout: units.Seconds = Field(600.0, gt=0)
    cache: units.Bytes = 2**28


def test_pydantic_models_hold_numbers_and_print_what_a_user_would_write() -> None:
    sample = Sample.model_validate({"timeout": "90s", "cache": "1Gi"})
    assert (sample.timeout, sample.cache) == (90.0, 2**30)
    assert sample.model_dump(mode="json") == {"timeout": "90s", "cache": "1Gi"}


def test_pydantic_bounds_hold_for_quantities() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Sample.model_validate({"timeout": "0s"})


def test_the_schema_of_a_quantity_is_a_pattern() -> None:
    timeout = Sample.model_json_schema()["properties"]["timeout"]
    assert timeout["type"] == "string"
    assert re.match(timeout["pattern"], "1h30m")
