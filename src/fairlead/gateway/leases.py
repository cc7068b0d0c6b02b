"""Limits and budgets that replicas share: this process's slices of them, and the loop that asks Redis for more.

A request takes from a slice and never waits. The loop asks when a slice runs low, in one round trip for all that do,
and twice in a slice's life in any case, which tells Redis that this replica lives. While Redis is away it is tried
again, and every slice goes on by itself as the file says.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from weakref import WeakKeyDictionary, WeakSet

from fairlead.errors import UserError
from fairlead.gateway.config import Config
from fairlead.policy.budget import Budget
from fairlead.policy.lease import PATIENCE_LIVES, UNKNOWN, Ask, Grant, Lease, Terms
from fairlead.policy.limits import Flow, Rule
from fairlead.policy.shared_budget import Answer, SharedAccount
from fairlead.policy.shared_budget import Claim as Claimed
from fairlead.store.redis_counters import MOST_QUESTIONS, Claim, CountersGone, RedisCounters, Take, Told

STARVED_EVERY_S = 0.05  # how often what could not be had is asked for again
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 1.0
DAY_S = 86_400

Event = Callable[..., None]


class Leases:
    """All that this process holds of shared limits and budgets."""

    def __init__(self, counters: RedisCounters, config: Config, *, wall: Callable[[], float], event: Event) -> None:
        assert config.store.redis is not None
        self._counters = counters
        self._life_s = config.store.redis.lease_s
        self._alone = config.store.redis.when_gone == "share"
        self._declared = config.replicas
        self._wall = wall
        self._event = event
        self._keys: WeakKeyDictionary[Lease, str] = WeakKeyDictionary()  # of every lease, its bucket's
        self._accounts: WeakSet[SharedAccount] = WeakSet()
        self._hungry: set[Lease | SharedAccount] = set()
        self._starved: set[Lease | SharedAccount] = set()
        self._wake = asyncio.Event()
        self._memory = ""
        self._sweep_at = self._asked_at = 0.0
        self.up = True
        self.replicas = config.replicas
        self.rounds: defaultdict[str, int] = defaultdict(int)

    # -- what Consumption makes its meters and accounts of ------------------------------------------------------------

    def pool(self, rule: Rule, kind: str, owner: tuple[str, ...], flow: Flow, now: float) -> Lease:
        """A lease on the bucket of one owner."""
        terms = Terms(flow.per_second, flow.burst, self._life_s, self._declared, self._alone)
        lease = Lease(terms, now, self._call)
        self._keys[lease] = f"limit:{rule.name}:{kind}:{named(owner)}"
        if not self.up:
            lease.lost(now)
        return lease

    def account(self, budget: Budget, owner: tuple[str, ...], now: float) -> SharedAccount:
        """A share of one owner's budget."""
        account = SharedAccount(budget, owner, now, replicas=self._declared, hungry=self._call)
        self._accounts.add(account)
        if not self.up:
            account.lost(alone=self._alone)
        return account

    def denying(self) -> bool:
        """Whether Redis is away and the file says that nothing is given out then."""
        return not self.up and not self._alone

    def __len__(self) -> int:
        return len(self._keys) + len(self._accounts)

    # -- the loop -----------------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Ask for what runs low, for ever."""
        retry_s = FIRST_RETRY_S
        now = asyncio.get_running_loop().time
        while True:
            if not self.up:
                await asyncio.sleep(retry_s)
                retry_s = min(LAST_RETRY_S, 2 * retry_s)
                await self.ask_all()
                continue
            retry_s = FIRST_RETRY_S
            starved_at = self._asked_at + STARVED_EVERY_S
            await self._woken(min(self._sweep_at, starved_at if self._starved else self._sweep_at) - now())
            if now() >= self._sweep_at:
                await self.ask_all()
            elif self._hungry or now() >= starved_at:
                await self._ask_hungry(starved=now() >= starved_at)

    async def ask_all(self) -> None:
        """Ask for everything that wants something; in any case this says that the replica lives."""
        self._sweep_at = asyncio.get_running_loop().time() + self._life_s / 2
        self._hungry.clear()
        self._starved.clear()
        await self._ask(tuple(self._keys), tuple(self._accounts), heartbeat=True)

    async def close(self) -> None:
        """Give everything back and close the connection. All requests have ended."""
        asks = [(lease, ask) for lease in tuple(self._keys) if (ask := lease.release()) is not None]
        claims = [(each, claim) for each in tuple(self._accounts) if (claim := each.release()) is not None]
        now = self._wall()
        with suppress(CountersGone):
            for some_asks, some_claims in batches(asks, claims, heartbeat=False):
                takes = [take(self._keys[lease], lease.terms, ask) for lease, ask in some_asks]
                await self._counters.ask(takes, [claimed(each, claim, now) for each, claim in some_claims])
        await self._counters.close()

    def _call(self, who: Lease | SharedAccount) -> None:
        """Something runs low. What could not be had the last time has time until the next tick."""
        if who.starved:
            self._starved.add(who)
        else:
            self._hungry.add(who)
        self._wake.set()

    async def _woken(self, within_s: float) -> None:
        """Wait until something has run low, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, within_s)):
                await self._wake.wait()
        self._wake.clear()

    async def _ask_hungry(self, *, starved: bool) -> None:
        who, self._hungry = self._hungry, set()
        if starved:
            who, self._starved = who | self._starved, set()
            self._asked_at = asyncio.get_running_loop().time()
        leases = [each for each in who if isinstance(each, Lease)]
        await self._ask(leases, [each for each in who if isinstance(each, SharedAccount)])

    async def _ask(
        self,
        leases: Iterable[Lease],
        accounts: Iterable[SharedAccount],
        *,
        heartbeat: bool = False,
        again: bool = False,
    ) -> None:
        now = self._wall()
        asks = [(lease, ask) for lease in leases if (ask := lease.ask(now)) is not None]
        claims = [(each, claim) for each in accounts if (claim := each.claim(now, again=again)) is not None]
        for some_asks, some_claims in batches(asks, claims, heartbeat=heartbeat):
            takes = [take(self._keys[lease], lease.terms, ask) for lease, ask in some_asks]
            try:
                told = await self._counters.ask(takes, [claimed(each, claim, now) for each, claim in some_claims])
            except CountersGone as error:
                self._lose(str(error))
                return
            self._take_up(told, some_asks, some_claims)
            if self._memory not in {"", told.memory} and not again:
                self._memory = told.memory
                self._event("leases_memory_lost", level="warning")
                await self._ask((), tuple(self._accounts), again=True)
            self._memory = told.memory

    def _take_up(self, told: Told, asks: list[tuple[Lease, Ask]], claims: list[tuple[SharedAccount, Claimed]]) -> None:
        self.rounds["ok"] += 1
        self.replicas = told.replicas
        if not self.up:
            self.up = True
            self._event("leases_store_back")
        now = self._wall()
        for (lease, ask), (amount, left) in zip(asks, told.takes, strict=True):
            lease.granted(ask, Grant(amount, told.replicas, left), now)
        for (account, claim), (more, total) in zip(claims, told.claims, strict=True):
            account.answered(claim, Answer(more, total, told.replicas))

    def _lose(self, reason: str) -> None:
        self.rounds["failed"] += 1
        now = self._wall()
        for lease in tuple(self._keys):
            lease.lost(now)
        for account in tuple(self._accounts):
            account.lost(alone=self._alone)
        if self.up:
            self.up = False
            self._event("leases_store_gone", level="error", reason=reason)


def batches(
    asks: list[tuple[Lease, Ask]], claims: list[tuple[SharedAccount, Claimed]], *, heartbeat: bool
) -> Iterator[tuple[list[tuple[Lease, Ask]], list[tuple[SharedAccount, Claimed]]]]:
    """As many as one script takes at a time; one without any question where only a heartbeat is due."""
    most = max(len(asks), len(claims), 1 if heartbeat else 0)
    for start in range(0, most, MOST_QUESTIONS // 2):
        end = start + MOST_QUESTIONS // 2
        yield asks[start:end], claims[start:end]


def take(key: str, terms: Terms, ask: Ask) -> Take:
    """A lease's question as the script reads it."""
    known = "" if ask.known == UNKNOWN else ask.known
    return Take(key, terms.rate, terms.burst, ask.want, ask.back, ask.owed, known, ask.away_s)


def claimed(account: SharedAccount, claim: Claimed, now: float) -> Claim:
    """An account's question as the script reads it. Another scope or period under the same name is another budget."""
    budget = account.budget
    scope = budget.scope
    lists = [sorted(names) for names in (scope.tenants, scope.keys, scope.models)]
    counts = hashlib.sha256(repr((scope.per, lists, budget.period, budget.zone.key)).encode()).hexdigest()[:12]
    key = f"budget:{budget.name}:{counts}:{named(account.owner)}:{int(account.start)}"
    return Claim(key, claim.have, claim.want, claim.base, budget.amount, int(account.end - now) + DAY_S)


def named(owner: tuple[str, ...]) -> str:
    """An owner as part of a key; two owners never have one name."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in owner)


def open_leases(
    config: Config, *, wall: Callable[[], float], event: Event, environ: Mapping[str, str] = os.environ
) -> Leases | None:
    """The leases of this process; None where the file shares nothing. Raises UserError."""
    redis = config.store.redis
    if redis is None:
        return None
    url = environ.get(redis.url_env, "")
    if not url:
        hint = "it holds the URL of Redis: store.redis.url_env"
        raise UserError(f"environment variable not set: {redis.url_env}", hint=hint)
    counters = RedisCounters(url, config.name, uuid.uuid4().hex, life_s=redis.lease_s, patience_lives=PATIENCE_LIVES)
    return Leases(counters, config, wall=wall, event=event)
