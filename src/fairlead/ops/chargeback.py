"""What is charged to whom, as files that other programs add up: one line a key, model, operation and day.

The sum of the lines is the ledger's, to the token and to the billionth: costs are integers in the ledger, written when
a request ended, so that a later change of a price changes no line.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from decimal import Decimal

from fairlead.store.contract import ChargeLine

NANO = 10**9
COLUMNS = (*(field.name for field in fields(ChargeLine)), "cost", "currency")


def money(nano: int) -> str:
    """Billionths as an exact decimal number, with all its digits: columns add up by eye."""
    return f"{Decimal(nano).scaleb(-9):.9f}"


def row(line: ChargeLine, currency: str) -> dict[str, str | int]:
    """A line with its cost as people read it."""
    return {**asdict(line), "cost": money(line.cost_nano), "currency": currency}


def csv_text(lines: Iterable[ChargeLine], currency: str) -> str:
    """RFC 4180, with a head. A name that a spreadsheet would take for a formula is quoted with an apostrophe."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for line in lines:
        writer.writerow({name: harmless(value) for name, value in row(line, currency).items()})
    return text.getvalue()


def harmless(value: str | int) -> str | int:
    """Tenants name themselves where tokens name tenants: `=cmd|...` must stay a text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def jsonl_text(lines: Iterable[ChargeLine], currency: str) -> str:
    """One JSON object a line."""
    return "".join(f"{json.dumps(row(line, currency))}\n" for line in lines)


EXPORTS: Mapping[str, Callable[[Iterable[ChargeLine], str], str]] = {"csv": csv_text, "jsonl": jsonl_text}
