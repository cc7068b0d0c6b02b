"""One gateway process: what all its connections share, and the tasks that keep it fresh."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead.errors import UserError
from fairlead.gateway import tables as tables_of
from fairlead.gateway.accounting import Accounting
from fairlead.gateway.admission import Heads
from fairlead.gateway.config import Config, api_keys, load
from fairlead.gateway.connection import ClientConnection
from fairlead.gateway.consumption import Consumption
from fairlead.gateway.desk import Desk
from fairlead.gateway.leases import open_leases
from fairlead.gateway.once import Recorder
from fairlead.gateway.spending import Spending
from fairlead.gateway.upstream import Replica
from fairlead.gateway.waiting import Room
from fairlead.policy.idempotency import IdempotencyKeys
from fairlead.policy.retry import RetryBudget
from fairlead.store.contract import KnownKeys, Unshipped
from fairlead.store.keys import Freshness

if TYPE_CHECKING:
    from fairlead.gateway.batches import Batches
    from fairlead.gateway.batches_row import RowClient
    from fairlead.gateway.tokens import Tokens

SWEEP_EVERY_S = 0.1
WATCH_EVERY_S = 0.2  # a revoked key or a changed file is noticed within this time
PROBE_UP_EVERY_S = 2.0
PROBE_DOWN_EVERY_S = 0.25
MISSES_TO_DOWN = 3
SHIPPER_BACK_OFF_S = 1.0


class App:
    """Configuration, tables, books and connections. Everything runs on one event loop."""

    def __init__(self, path: Path, config: Config, keys: KnownKeys, accounting: Accounting, ledger: Unshipped) -> None:
        self.config = config
        self.accounting = accounting
        self.ledger = ledger
        self.connections: set[ClientConnection | Recorder | RowClient] = set()
        self.retry_budget = RetryBudget(config.retry.budget)
        self.draining = False
        self.ledger_ok = True
        self.replicas: dict[str, Replica] = {}
        self.now = time.monotonic  # a loop's own clock may count whole milliseconds
        self.coarse_now = self.now()  # renewed by the sweep: good enough for deadlines
        self.wall_offset = time.time() - self.now()
        self.certificate_expiry = 0.0  # seconds since 1970; 0 without TLS
        self._path = path
        self._config_stamp = stamp(path)
        self._keys = keys
        self._request_prefix = b"req-" + os.urandom(5).hex().encode()
        self._request_number = 0
        self.tables = self._build(config)
        self.tokens = self._issuer(config, None)
        self.heads = Heads()
        self.desk = Desk(self)
        self.batches = open_batches(self)
        self.once = IdempotencyKeys(life_s=config.idempotency.lifetime_s, most_bytes=config.idempotency.memory_bytes)
        self.rooms: dict[str, Room] = {}
        self.consumption: Consumption | None = None  # None: nothing is limited, priced or shared
        self.spending = Spending(self)
        self.leases = open_leases(config, wall=self.wall, event=accounting.event)
        self._consume(config)
        self._promise()

    # -- what a request needs ---------------------------------------------------------------------------------------

    def new_request_id(self) -> bytes:
        """An id that no other request of any gateway has."""
        self._request_number += 1
        return b"%b-%x" % (self._request_prefix, self._request_number)

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.now() + self.wall_offset

    @property
    def wall_now(self) -> float:
        """Seconds since 1970, renewed by the sweep."""
        return self.coarse_now + self.wall_offset

    @property
    def keys_freshness(self) -> Freshness:
        """How good the keys are that callers are let in by."""
        return self.tables.keys_freshness

    def ledger_failed(self) -> None:
        """A record could not be written; said once, and in /readyz until it works again."""
        if self.ledger_ok:
            self.accounting.event("ledger_unavailable", level="error")
        self.ledger_ok = False

    # -- configuration ----------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read gateway.json again; a file that is wrong changes nothing."""
        try:
            config = load(self._path)
            tables = self._build(config)
        except UserError as error:
            self.accounting.counters.reloads["refused"] += 1
            self.accounting.event("reload_refused", level="error", reason=str(error))
            return
        if fixed(config) != fixed(self.config):
            reason = "listen, admin, tls, state_dir, store, replicas or batches changed"
            self.accounting.event("reload_needs_restart", level="warning", reason=reason)
        if config.retry.budget != self.config.retry.budget:
            self.retry_budget = RetryBudget(config.retry.budget)
        self.tokens = self._issuer(config, self.tokens)
        self.config, self.tables, self.heads = config, tables, Heads()
        self._forget_replicas()
        self._consume(config)
        self._promise()
        self.accounting.counters.reloads["applied"] += 1
        self.accounting.event("reloaded")

    def _promise(self) -> None:
        for name, model in self.config.models.items():
            self.accounting.counters.promise(name, model.ttft_promise_s)

    def _build(self, config: Config) -> tables_of.Tables:
        engine_keys = api_keys(config)
        for model in config.models.values():
            for url, shown in zip(model.upstreams, model.shown or model.upstreams, strict=True):
                self.replicas.setdefault(url, Replica(url, model.health_path, shown))
        tables = tables_of.build(config, self.replicas, engine_keys)
        tables_of.take_up(tables, self._keys, time.time())
        return tables

    def _issuer(self, config: Config, known: Tokens | None) -> Tokens | None:
        """Whose tokens are taken; an issuer whose rules are as before keeps its keys."""
        if config.jwt is None or known is None or known.rules != config.jwt:
            if known is not None:
                known.keyset.close()
            if config.jwt is None:
                return None
            from fairlead.gateway.keyset import KeySet
            from fairlead.gateway.tokens import Tokens

            return Tokens(config.jwt, KeySet(config.jwt.jwks_url, config.jwt.stale_for_s, self.now, self._rekeyed))
        known.forget()
        return known

    def _rekeyed(self, event: str) -> None:
        """When other keys count than before, nothing that was let in by the old ones is let in unread."""
        if event == "key_set_failed":
            trouble = self.tokens.keyset.trouble if self.tokens is not None else ""
            self.accounting.event(event, level="warning", reason=trouble)
            return
        self.accounting.event(event, level="info" if event == "key_set_changed" else "error")
        self.heads = Heads()
        if self.tokens is not None:
            self.tokens.forget()

    def _consume(self, config: Config) -> None:
        """Take up limits, prices, budgets and fairness; what was used of them stays used."""
        self.once.life_s, self.once.most_bytes = config.idempotency.lifetime_s, config.idempotency.memory_bytes
        now = self.wall()
        if not (config.rate_limits or config.prices or config.budgets or config.fairness):
            self.consumption = None
        elif self.consumption is None:
            self.consumption = self._consumption(config, now)
            self.spending.restore(tuple(config.budgets), now)
        else:
            self.spending.restore(self.consumption.reload(config, now), now)
        self._share(config, now)

    def _consumption(self, config: Config, now: float) -> Consumption:
        if self.leases is None:
            return Consumption(config, now)
        return Consumption(config, now, self.leases.pool, self.leases.account, self.leases.denying)

    def _share(self, config: Config, now: float) -> None:
        """A room for each model that tenants share fairly; whoever waits in one that goes may run."""
        shared = self.tables.models if config.fairness is not None else {}
        for name in self.rooms.keys() - shared.keys():
            room = self.rooms.pop(name)
            room.configure(room.model, 0)
            room.tick(now)
        for name, model in shared.items():
            assert self.consumption is not None
            engines, queue = config.models[name].engines, self.consumption.queues[name]
            each = self.consumption.in_flight(name) * engines
            beside = (config.fairness.batch_beside if config.fairness is not None else 1) * engines
            self.rooms.setdefault(name, Room(model, queue, each, beside)).configure(model, each, beside)

    def _forget_replicas(self) -> None:
        named = {url for model in self.config.models.values() for url in model.upstreams}
        for url in set(self.replicas) - named:
            self.replicas.pop(url).close_idle()

    # -- tasks ------------------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """End what has outlived its deadline."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            now = self.coarse_now = self.now()
            self.wall_offset = time.time() - now
            for connection in tuple(self.connections):
                if connection.deadline < now:
                    connection.on_deadline()
            for room in self.rooms.values():
                room.tick(self.wall_now)
            self.spending.tell()

    async def watch(self) -> None:
        """Take up changed keys and a changed gateway.json."""
        seen_file = self._config_stamp
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            if not self.ledger_ok and self.accounting.try_journal():
                self.ledger_ok = True
                self.accounting.event("ledger_available")
            if (file := stamp(self._path)) != seen_file:
                seen_file = file
                self.reload()
            if self._keys.version() != self.tables.keys_version:
                tables_of.take_up(self.tables, self._keys, time.time())
                self.heads = Heads()

    async def keep_keys(self) -> None:
        """Keep the issuer's key set fresh; it knows itself when it is due."""
        while True:
            if self.tokens is not None:
                self.tokens.keyset.tick()
            await asyncio.sleep(WATCH_EVERY_S)

    async def probe(self) -> None:
        """Ask every engine how it is, those that are down more often."""
        due: dict[str, float] = {}
        while True:
            now = self.now()
            probed = [replica for replica in self.replicas.values() if replica.health_path]
            waiting = [replica for replica in probed if due.get(replica.url, 0.0) <= now]
            await asyncio.gather(*(self._probe_one(replica) for replica in waiting))
            for replica in waiting:
                due[replica.url] = self.now() + (PROBE_UP_EVERY_S if replica.up else PROBE_DOWN_EVERY_S)
            await asyncio.sleep(PROBE_DOWN_EVERY_S)

    async def _probe_one(self, replica: Replica) -> None:
        was_up = replica.up
        if await replica.probe():
            replica.up, replica.misses = True, 0
        else:
            replica.misses += 1
            replica.up = replica.up and replica.misses < MISSES_TO_DOWN
        if was_up != replica.up:
            for room in self.rooms.values():
                room.tick(self.wall())
            self.accounting.event("replica", replica=replica.shown, state="up" if replica.up else "down")

    async def ship(self) -> None:
        """Keep a shipper beside us: the process that fills the ledger from the journal."""
        while True:
            postgres = self.config.store.postgres
            shipper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "fairlead.store.ship", self.config.state_dir),
                *((postgres.url_env,) if postgres is not None else ()),
                stdin=subprocess.PIPE,
            )
            try:
                await shipper.wait()
            finally:  # told to end: it ships what is left
                if shipper.stdin is not None:
                    shipper.stdin.close()
            self.accounting.event("shipper_died", level="error", code=shipper.returncode)
            await asyncio.sleep(SHIPPER_BACK_OFF_S)

    async def first_probe(self) -> None:
        """Ask every engine once, so that the first request finds those that are up."""
        await asyncio.gather(*(self._probe_one(replica) for replica in self.replicas.values() if replica.health_path))

    async def drain(self) -> None:
        """Let requests under way finish, as long as the configuration allows; then cut them off."""
        self.draining = True
        if self.batches is not None:
            self.batches.stop()
        for connection in tuple(self.connections):
            connection.close_idle()
        end = self.now() + self.config.drain_timeout_s
        while self.connections and self.now() < end:
            await asyncio.sleep(0.02)
            for connection in tuple(self.connections):
                connection.close_idle()
        self.desk.close()
        if self.batches is not None:
            await self.batches.close()
        for replica in self.replicas.values():
            replica.close_idle()

    def ready(self) -> list[str]:
        """Why not everything is served now; empty when it is."""
        return [*self.trouble(), *self.models_down()]

    def models_down(self) -> list[str]:
        """The models without a replica that is up."""
        return [
            f"no replica of {name} is up"
            for name, model in sorted(self.tables.models.items())
            if not any(replica.up for replica in model.replicas)
        ]

    def trouble(self) -> list[str]:
        """Why the gateway itself should not get traffic now, whatever its models do; empty when it should."""
        reasons = ["draining"] if self.draining else []
        if self.keys_freshness == "expired":
            reasons.append("the keys cannot be read from the database")
        if not self.ledger_ok:
            reasons.append("the ledger cannot be written")
        if self.tokens is not None and (unready := self.tokens.unready()):
            reasons.append(unready)
        return reasons


def open_batches(app: App) -> Batches | None:
    """The Files and Batch API, where it is declared."""
    if app.config.batches is None:
        return None
    from fairlead.gateway.batches import Batches

    return Batches(app, app.config.batches)


def fixed(config: Config) -> tuple[object, ...]:
    """What a running process cannot change."""
    return config.listen, config.admin, config.tls, config.state_dir, config.store, config.replicas, config.batches


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; None while it is away."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
