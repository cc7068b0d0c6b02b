"""What budgets know of the world and the world of them: spent sums come from the ledger, crossed thresholds go out.

Sums are exact: the ledger is asked for what ended before this process began to count, after the journal was shipped.
While it cannot be asked, budgets count from zero, log and metrics say so, and it is asked again: a service goes on
when its database is away. A threshold is told in the log, in the metrics and, where the file names one, to a webhook:
off the hot path, with retries, never waited for.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.errors import UserError
from fairlead.policy.budget import NANO, Crossed
from fairlead.policy.limits import Subject
from fairlead.store.contract import Ledger, Spent

if TYPE_CHECKING:
    from fairlead.gateway.app import App

ASK_AGAIN_S = 1.0
FIRST_PATIENCE_S = 5.0  # before a gateway begins to listen: a slow machine needs seconds, a mute database has no more
LATER_PATIENCE_S = 60.0
MOST_POSTS = 1000  # waiting for a webhook that does not answer; then the oldest news stay and new ones are dropped
POST_TIMEOUT_S = 5.0
PAUSES_S = (1.0, 4.0, 15.0, 60.0)  # between the attempts at one post


@dataclass(frozen=True, slots=True)
class Unknown:
    """Budgets whose sums are not known yet, for what ended before `until`."""

    names: frozenset[str]
    until: float


class Spending:
    """The sums and the news of one gateway's budgets."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._unknown: list[Unknown] = []
        self._posts: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(MOST_POSTS)
        self._told_of_trouble = False

    # -- in: what was spent before ----------------------------------------------------------------------------------

    def restore(self, names: Iterable[str], until: float) -> None:
        """Note that budgets have to be restored; `ask` does it."""
        if names := frozenset(names):
            self._unknown.append(Unknown(names, until))

    @property
    def known(self) -> bool:
        """Whether every budget counts what was spent before."""
        return not self._unknown

    async def ask(self, patience_s: float) -> None:
        """Ask the ledger for what is not known yet. What goes wrong is told once, and tried again by `keep`."""
        while self._unknown:
            unknown, consumption = self._unknown[0], self._app.consumption
            starts = consumption.periods(self._app.wall()) if consumption is not None else {}
            wanted = {name: starts[name] for name in unknown.names & starts.keys()}
            try:
                async with asyncio.timeout(patience_s):
                    spent = await asyncio.to_thread(read, self.open_ledger, frozenset(wanted.values()), unknown.until)
            except (OSError, sqlite3.Error, UserError) as error:
                if not self._told_of_trouble:
                    self._app.accounting.event(
                        "budgets_unknown", level="error", reason=str(error) or "it does not answer in time"
                    )
                self._told_of_trouble = True
                return
            self._told_of_trouble = False
            self._unknown.pop(0)
            for name, start in wanted.items():
                for row in spent[start]:
                    if self._app.consumption is not None:
                        subject = Subject(row.tenant, "", row.key, row.model)
                        self._app.consumption.restore(name, subject, row.cost_nano, self._app.wall())

    def open_ledger(self) -> Ledger:
        """A connection of its own, for the thread that asks."""
        from fairlead.store.stores import open_ledger, place_of  # a driver that few gateways need

        config = self._app.config
        return open_ledger(
            place_of(Path(config.state_dir), config.store.postgres.url_env if config.store.postgres else "")
        )

    async def keep(self) -> None:
        """Ask again for what is not known, as often as it takes."""
        while True:
            await self.ask(LATER_PATIENCE_S)
            await asyncio.sleep(ASK_AGAIN_S)

    # -- out: crossed thresholds ------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Tell of every threshold that was crossed since the last time. Called by the sweep."""
        consumption = self._app.consumption
        if consumption is None or not consumption.crossings:
            return
        crossings, consumption.crossings[:] = tuple(consumption.crossings), ()
        for crossed in crossings:
            news = self._news(crossed)
            self._app.accounting.counters.budget_warnings[crossed.budget] += 1
            self._app.accounting.event(
                "budget_threshold", level="warning", **{k: v for k, v in news.items() if k != "event"}
            )
            budget = self._app.config.budgets.get(crossed.budget)
            if budget is not None and budget.warn_webhook:
                self._enqueue(budget.warn_webhook, news)

    def _news(self, crossed: Crossed) -> dict[str, Any]:
        budget = self._app.config.budgets.get(crossed.budget)
        return {
            "event": "budget_threshold",
            "service": self._app.config.name,
            "budget": crossed.budget,
            "owner": dict(zip(budget.per, crossed.owner, strict=True)) if budget is not None else {},
            "spent": money(crossed.spent),
            "amount": money(crossed.amount),
            "currency": self._app.config.currency,
            "period_start": datetime.fromtimestamp(crossed.period_start, UTC).isoformat(),
        }

    def _enqueue(self, url: str, news: dict[str, Any]) -> None:
        try:
            self._posts.put_nowait((url, news))
        except asyncio.QueueFull:
            self._app.accounting.counters.webhooks["dropped"] += 1

    async def post(self) -> None:
        """Send what waits, one after the other."""
        while True:
            url, news = await self._posts.get()
            self._app.accounting.counters.webhooks["sent" if await delivered(url, news) else "failed"] += 1


def read(open_ledger: Any, starts: frozenset[float], until: float) -> dict[float, list[Spent]]:
    """What was spent from each start on. Raises what the database raises. Runs in a thread."""
    with closing(open_ledger()) as ledger:
        ledger.ship()
        return {start: list(ledger.spent(start, until)) for start in starts}


async def delivered(url: str, news: dict[str, Any]) -> bool:
    """Post until it is taken, or until all attempts are used up."""
    import httpx  # never needed before the first threshold is crossed

    for pause_s in (*PAUSES_S, 0.0):
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=POST_TIMEOUT_S) as client:
                if (await client.post(url, json=news)).is_success:
                    return True
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            pass  # not shown: the URL may hold a secret
        await asyncio.sleep(pause_s)
    return False


def money(nano: int) -> str:
    """Billionths as an exact decimal number."""
    return f"{(Decimal(nano) / NANO).normalize():f}"
