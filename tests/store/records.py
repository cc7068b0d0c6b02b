"""Usage records with numbers that can be told apart, and what of them is in a PostgreSQL ledger."""

from __future__ import annotations

import msgspec
import psycopg

from fairlead.store.journal import Journal
from fairlead.store.usage import Usage, encode


def usage(number: int, tenant: str = "t") -> Usage:
    return Usage(1e9 + number, f"req-{number}", tenant, "k", "m", "m", "chat", 200, 5, 1, 7, 1.5, 20.0, False)


def priced(number: int, cost_nano: int, tenant: str = "t") -> Usage:
    return msgspec.structs.replace(usage(number, tenant), cost_nano=cost_nano)


def fill(journal: Journal, numbers: range) -> None:
    for number in numbers:
        journal.append(encode(usage(number)) + b"\n")


def ledger_numbers(url: str) -> list[int]:
    """The numbers of the records in the ledger, sorted; one that is there twice comes twice."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT request_id FROM fairlead.usage").fetchall()
    return sorted(int(row[0].removeprefix("req-")) for row in rows)
