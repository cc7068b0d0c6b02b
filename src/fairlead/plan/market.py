"""The instances that a service may be put on, at the prices that it pays."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

from fairlead.catalog.accelerators import accelerator
from fairlead.catalog.instances import STALE_DAYS, Instance, instance, instances
from fairlead.errors import Problem, UserError
from fairlead.plan.service import Pool
from fairlead.spec.planning import Hardware, HourPrices

VENDORS = ("NVIDIA", "AMD")
MONTH_H = 730.0  # 365 days x 24 h / 12


def priced(hardware: Hardware, name: str, *, subject: str) -> Instance:
    """The instance called `name` in the spec's cloud, at the spec's price. Raises UserError."""
    try:
        found = instance(name)
    except UserError as error:
        problems = [Problem(each.message, subject=subject, hint=each.hint) for each in error.problems]
        raise UserError(problems=problems) from None
    if found.cloud.lower() != hardware.cloud:
        message, hint = f"{found.name} is an instance of {found.cloud}", counterparts(found, hardware.cloud)
        raise UserError(problems=[Problem(message, subject=subject, hint=hint)])
    if found.gpus and not runs_engines(found):
        made = accelerator(found.gpu).vendor
        raise UserError(problems=[Problem(f"{found.name} has {made}'s {found.gpu}: not planned for", subject=subject)])
    own = next((price for known, price in hardware.prices.items() if known == name), None)
    return repriced(found, own) if own else found


def counterparts(found: Instance, cloud: str) -> str:
    """What a cloud has in place of another's instance: those with the same accelerator, or all that there are."""
    there = [each for each in instances().values() if each.cloud.lower() == cloud and runs_engines(each)]
    same = [each.name for each in there if each.gpu == found.gpu]
    if same or not found.gpu:
        return f"with {found.gpu} {cloud} has {', '.join(same)}" if same else f"an instance of {cloud}"
    return f"{cloud} has no {found.gpu}; it has {', '.join(dict.fromkeys(each.gpu for each in there))}"


def repriced(found: Instance, own: HourPrices) -> Instance:
    """The instance at a price of one's own."""
    spot = float(own.spot.amount) if own.spot else found.usd_hour_spot
    return replace(found, usd_hour=float(own.on_demand.amount), usd_hour_spot=spot, source="hardware.prices")


def offered(hardware: Hardware) -> tuple[Instance, ...]:
    """What a plan may choose from: `hardware.instances`, else all of the cloud that have an accelerator."""
    names = hardware.instances or tuple(
        each.name for each in instances().values() if each.cloud.lower() == hardware.cloud and runs_engines(each)
    )
    return tuple(priced(hardware, name, subject="hardware.instances") for name in names)


def runs_engines(found: Instance) -> bool:
    """Whether it has accelerators that the engine's images are built for."""
    return bool(found.gpus) and accelerator(found.gpu).vendor in VENDORS


def usd_hour(pool: Pool) -> float:
    """What an hour of one node costs."""
    return pool.instance.usd_hour_spot or pool.instance.usd_hour if pool.spot else pool.instance.usd_hour


def price_warnings(hardware: Hardware, pools: tuple[Pool, ...], today: datetime.date) -> Iterator[Problem]:
    """Prices that are old, of another region, or missing."""
    own = set(hardware.prices)
    unknown = sorted(own - set(instances()))
    for name in unknown:
        yield Problem("has a price, but the catalog does not know it", subject=f"hardware.prices.{name}")
    for found in {pool.instance.name: pool.instance for pool in pools}.values():
        if found.name in own:
            continue
        subject, hint = f"price of {found.name}", f"write yours: hardware.prices: {{{found.name}: {{on_demand: ...}}}}"
        if found.is_stale(today):
            age = f"is {found.age_days(today)} days old ({found.date}); older than {STALE_DAYS} is not to be trusted"
            yield Problem(age, subject=subject, hint=hint)
        if found.region != hardware.region:
            yield Problem(f"is that of {found.region}, not of {hardware.region}", subject=subject, hint=hint)
    for pool in pools:
        if pool.spot and not pool.instance.usd_hour_spot:
            yield Problem("has no spot price: counted at the full one", subject=f"pool {pool.name}")
