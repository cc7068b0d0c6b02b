"""Every quantity that a user writes is parsed here and nowhere else; what a formatter writes, its parser reads back.

Plain functions raise `QuantityError`, a `ValueError` with a hint. The annotated types at the end are the same
functions for pydantic models: they hold numbers in one unit, and print as the text that a user would write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_NUMBER = r"\d{1,24}(?:\.\d{1,40})?"  # a bound on the work; 40 decimals hold the shortest repr of a float

_BYTES: Mapping[str, int] = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGTP", start=1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTP", start=1)},
}
_SECONDS: Mapping[str, Decimal] = {
    "w": Decimal(604_800),
    "d": Decimal(86_400),
    "h": Decimal(3600),
    "min": Decimal(60),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("1e-3"),
    "us": Decimal("1e-6"),
}
_COUNTS: Mapping[str, int] = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_RATE_PERIODS_S: Mapping[str, int] = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
_MONEY_PERIODS = ("h", "day", "week", "month")  # a month has no fixed length: the name is kept

_BYTES_PATTERN = rf"^({_NUMBER})([kMGTP]|[KMGTP]i)?$"
_SECONDS_PATTERN = rf"^(?:{_NUMBER}(?:w|d|h|min|ms|us|m|s))+$"
_CORES_PATTERN = r"^(\d{1,9})(m|\.\d{1,3})?$"
_RATE_PATTERN = rf"^({_NUMBER})([kMG])?/(s|min|h|day)$"
_MONEY_PATTERN = rf"^({_NUMBER}) ?([A-Z]{{3}})(?:/({'|'.join(_MONEY_PERIODS)}))?$"


class QuantityError(ValueError):
    """A text that is no quantity of the wanted kind. `hint` shows how to write one."""

    def __init__(self, value: object, kind: str, hint: str) -> None:
        self.hint = hint
        shown = value if isinstance(value, int | float) else repr(value)
        super().__init__(f"{str(shown)[:60]} is not {kind}")


def parse_bytes(value: object) -> int:
    """`24Gi`, `4M` or a plain number of bytes, as bytes."""
    wrong = QuantityError(value, "a size", "write a number and one of k M G T P Ki Mi Gi Ti Pi, for example 256Mi")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _match(_BYTES_PATTERN, value)
    if match is None:
        raise wrong
    size = Decimal(match[1]) * _BYTES[match[2] or ""]
    if size != size.to_integral_value():
        raise wrong
    return int(size)


def format_bytes(size: int) -> str:
    """The shortest exact way to write `size` bytes: 1073741824 is `1Gi`, 1500 is `1500`."""
    fitting = [(size // step, unit) for unit, step in _BYTES.items() if size % step == 0]
    count, unit = min(fitting, key=lambda pair: pair[0])
    return f"{count}{unit}" if size else "0"


def parse_seconds(value: object) -> float:
    """`800ms`, `60s`, `1h30m` or `90d`, as seconds. A bare number is refused: it does not say which unit it has."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise QuantityError(value, "a duration", f"add the unit, for example {value}s")
    wrong = QuantityError(value, "a duration", "write a number and one of us ms s m h d w, for example 90s or 1h30m")
    if _match(_SECONDS_PATTERN, value) is None:
        raise wrong
    parts = re.findall(rf"({_NUMBER})(w|d|h|min|ms|us|m|s)", str(value))
    units = [_SECONDS[unit] for _, unit in parts]
    if units != sorted(set(units), reverse=True):
        raise wrong
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in parts))


def format_seconds(seconds: float) -> str:
    """The largest unit that divides `seconds` evenly: 5400.0 is `90m`, 0.8 is `800ms`."""
    exact = Decimal(repr(seconds))
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if exact and exact % _SECONDS[unit] == 0:
            return f"{int(exact / _SECONDS[unit])}{unit}"
    return f"{exact:f}s" if exact else "0s"


def parse_cores(value: object) -> float:
    """`500m`, `2` or `0.5`, as CPU cores. Nothing finer than a thousandth exists."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    match = _match(_CORES_PATTERN, text)
    if match is None:
        raise QuantityError(value, "a number of cores", "write cores or millicores, for example 2 or 500m")
    return int(match[1]) / 1000 if match[2] == "m" else float(match[0])


def format_cores(cores: float) -> str:
    """`2` for whole cores, `500m` for parts of one."""
    millicores = round(cores * 1000)
    return f"{millicores}m" if millicores % 1000 else str(millicores // 1000)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a period of so many seconds. The period is kept: 60/min allows another burst than 1/s."""

    count: float
    period_s: int

    @property
    def per_second(self) -> float:
        """The mean rate."""
        return self.count / self.period_s


def parse_rate(value: object) -> Rate:
    """`20k/min`, `5/s`, `1.5M/day`."""
    match = _match(_RATE_PATTERN, value)
    if match is None:
        hint = "write a number and a period (s, min, h, day), for example 20k/min"
        raise QuantityError(value, "a rate", hint)
    return Rate(float(Decimal(match[1]) * _COUNTS[match[2] or ""]), _RATE_PERIODS_S[match[3]])


def format_rate(rate: Rate) -> str:
    """`Rate(20000.0, 60)` is `20k/min`."""
    period = next(name for name, seconds in _RATE_PERIODS_S.items() if seconds == rate.period_s)
    exact = Decimal(repr(rate.count))
    for unit, step in sorted(_COUNTS.items(), key=lambda item: -item[1]):
        if exact and exact % step == 0:
            return f"{int(exact / step)}{unit}/{period}"
    return f"{exact:f}/{period}"


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in a currency, in all or in each `period`."""

    amount: Decimal
    currency: str
    period: str = ""


def parse_money(value: object) -> Money:
    """`5 USD/day`, `12.50 EUR`."""
    match = _match(_MONEY_PATTERN, value)
    if match is None:
        hint = "write an amount, a currency and perhaps a period (h, day, week, month), for example 5 USD/day"
        raise QuantityError(value, "an amount of money", hint)
    return Money(Decimal(match[1]), match[2], match[3] or "")


def format_money(money: Money) -> str:
    """`Money(Decimal("5"), "USD", "day")` is `5 USD/day`."""
    period = f"/{money.period}" if money.period else ""
    return f"{money.amount:f} {money.currency}{period}"


def _match(pattern: str, value: object) -> re.Match[str] | None:
    return re.fullmatch(pattern, value, re.ASCII) if isinstance(value, str) else None


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    PlainSerializer(format_bytes, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": _BYTES_PATTERN, "minimum": 0, "examples": ["256Mi", "24Gi"]}
    ),
]
RateText = Annotated[
    Rate,
    BeforeValidator(parse_rate),
    PlainSerializer(format_rate, return_type=str, when_used="json"),
    _schema(_RATE_PATTERN, "600/min", "60k/min"),
]
MoneyText = Annotated[
    Money,
    BeforeValidator(parse_money),
    PlainSerializer(format_money, return_type=str, when_used="json"),
    _schema(_MONEY_PATTERN, "0.15 USD", "500 USD/month"),
]
Seconds = Annotated[
    float,
    BeforeValidator(parse_seconds),
    PlainSerializer(format_seconds, return_type=str, when_used="json"),
    _schema(_SECONDS_PATTERN, "800ms", "60s", "90d"),
]
