"""Instances and their prices. A price has a date, and an old one says so."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fairlead.catalog.files import table
from fairlead.catalog.names import find

STALE_DAYS = 90


@dataclass(frozen=True, slots=True)
class Instance:
    """A machine for hire; `gpu` is empty and `gpus` 0 where it has none.

    `usd_hour` is on demand; `usd_hour_spot` None where no spot price was found.
    """

    name: str
    cloud: str
    gpu: str
    gpus: int
    vcpus: int | None
    memory_gib: float | None
    region: str
    usd_hour: float
    usd_hour_spot: float | None
    date: datetime.date
    source: str

    def age_days(self, today: datetime.date) -> int:
        """How old the price is."""
        return (today - self.date).days

    def is_stale(self, today: datetime.date) -> bool:
        """Whether the price should be looked up again before money is spent on it."""
        return self.age_days(today) > STALE_DAYS


@cache
def instances() -> Mapping[str, Instance]:
    """Every instance, by name."""
    return {row["name"]: _instance(row) for row in table("instances.csv")}


def instance(name: str) -> Instance:
    """The instance called `name`. Raises UserError."""
    return find(instances(), name, kind="instance")


def _instance(row: Mapping[str, str]) -> Instance:
    return Instance(
        name=row["name"],
        cloud=row["cloud"],
        gpu=row["gpu"],
        gpus=int(row["gpus"]),
        vcpus=int(row["vcpus"]) if row["vcpus"] else None,
        memory_gib=float(row["memory_gib"]) if row["memory_gib"] else None,
        region=row["region"],
        usd_hour=float(row["usd_hour"]),
        usd_hour_spot=float(row["usd_hour_spot"]) if row["usd_hour_spot"] else None,
        date=datetime.date.fromisoformat(row["date"]),
        source=row["source"],
    )
