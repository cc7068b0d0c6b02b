"""Runs the gateway with one enforcement taken away: `python sabotage.py NAME gateway.json`. For tests alone."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import msgspec

from fairlead.gateway import __main__ as process
from fairlead.gateway import admission, answers, body, consumption, entrance, jwt, tls
from fairlead.gateway import config as gateway_config
from fairlead.gateway.accounting import Accounting
from fairlead.gateway.app import App
from fairlead.gateway.batches import Batches
from fairlead.gateway.connection import ClientConnection
from fairlead.gateway.consumption import Consumption
from fairlead.gateway.exchange import Exchange
from fairlead.gateway.head import Refused
from fairlead.gateway.keyset import KeySet
from fairlead.gateway.tls import Listener
from fairlead.policy.budget import Account
from fairlead.policy.fair import Counters, FairQueue
from fairlead.store import batch_output
from fairlead.store.batch_output import BatchOutput, write_all
from fairlead.store.batch_rows import result_line
from fairlead.store.batches import Held
from fairlead.store.mirror import Mirror
from fairlead.store.postgres_batches import PostgresBatches
from fairlead.store.sqlite_batches import SqliteBatches, file_of


def anybody(tables_: Any, head_: Any, now: float, tokens_: Any = None) -> Any:
    """Authentication removed: everybody is the first caller, as soon as there is one."""
    for caller in tables_.callers.values():
        return caller
    raise Refused(answers.WRONG_KEY)


def any_route(tables_: Any, caller: Any, operation: str, model: str) -> Any:
    """Authorization removed: whatever exists may be used."""
    return tables_.routes.get(model) or next(iter(tables_.routes.values()))


def leave_engine_working() -> None:
    """Cancellation removed: a client that leaves is not noticed."""
    ClientConnection.connection_lost = lambda self, exc: self._app.connections.discard(self)  # type: ignore[method-assign]


def no_deadline() -> None:
    """Deadlines removed."""
    Exchange.expire = lambda self: None  # type: ignore[method-assign]


def no_sizes() -> None:
    """Size limits removed."""
    load = gateway_config.load

    def endless(path: Any) -> Any:
        loaded = load(path)
        limits = msgspec.structs.replace(loaded.limits, max_header_bytes=1 << 40, max_body_bytes=1 << 40)
        return msgspec.structs.replace(loaded, limits=limits)

    setattr(process, "load", endless)  # noqa: B010  (the name is imported there, not exported)


def no_sweep() -> None:
    """Time limits of connections removed."""

    async def sleep(self: App) -> None:
        await asyncio.Event().wait()

    App.sweep = sleep  # type: ignore[method-assign]


def late_journal() -> None:
    """Durability removed: records are kept in memory and written when the process ends in peace."""
    record = Accounting.record
    kept: list[Any] = []
    Accounting.record = lambda self, usage: kept.append((self, usage))  # type: ignore[method-assign]
    close = Accounting.close

    def write_and_close(self: Accounting) -> None:
        for accounting, usage in kept:
            record(accounting, usage)
        close(self)

    Accounting.close = write_and_close  # type: ignore[method-assign]


def log_bodies() -> None:
    """Silence removed: the body is logged, as many a proxy does for debugging."""

    def decode_and_log(raw: bytes) -> Any:
        os.write(sys.stdout.fileno(), raw + b"\n")
        return body.decode(raw)

    setattr(entrance, "decode", decode_and_log)  # noqa: B010


def no_drain() -> None:
    """Draining removed: SIGTERM ends the process at once."""

    async def at_once(self: App) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1)

    App.drain = at_once  # type: ignore[method-assign]


def no_tls() -> None:
    """TLS removed: the gateway listens in clear."""
    Listener._context = lambda self: None  # type: ignore[method-assign]


def no_limits() -> None:
    """Limits removed: whatever is asked of them, they agree."""
    setattr(consumption, "reserve", lambda meters, now, tokens: None)  # noqa: B010
    setattr(consumption, "settle", lambda meters, now, surplus: None)  # noqa: B010


def no_budgets() -> None:
    """The hard stop removed: a budget counts, and says nothing."""
    Account.reserve = lambda self, now, cost: 0.0  # type: ignore[method-assign]


def first_come_first_served() -> None:
    """Fairness removed: who waits is served in the order of arrival."""
    Counters.least = lambda self, waiting: next(iter(waiting))  # type: ignore[method-assign]
    FairQueue.start = lambda self, entry: None  # type: ignore[method-assign]


def run_again() -> None:
    """Idempotency removed: the key is not looked at."""
    setattr(entrance, "IDEMPOTENCY_KEY", b"x-no-such-field")  # noqa: B010


def no_callers_certificates() -> None:
    """Client certificates removed: one is looked at where it is shown, and nobody has to show one."""
    context_of = tls.context_of

    def lenient(rules: Any) -> Any:
        context, expiry = context_of(rules)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context, expiry

    setattr(tls, "context_of", lenient)  # noqa: B010


def old_tls() -> None:
    """The floor of TLS removed: what OpenSSL can still speak is spoken."""
    context_of = tls.context_of

    def old(rules: Any) -> Any:
        context, expiry = context_of(rules)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
        return context, expiry

    setattr(tls, "context_of", old)  # noqa: B010


def any_claims() -> None:
    """The claims' checks removed: whose token it is, and until when, does not matter."""

    def anybodys(claims: Any, rules: Any, wall_now: float) -> jwt.Identity:
        return jwt.Identity("jwt-0", "anybody", ("basic",), wall_now + 60.0)

    setattr(jwt, "identity", anybodys)  # noqa: B010


def a_limit_each() -> None:
    """Sharing removed: each replica counts alone, as most do."""
    App._consumption = lambda self, config, now: Consumption(config, now)  # type: ignore[method-assign]


def keys_from_the_database_alone() -> None:
    """The copy removed: when the database is away, so is every key."""
    known = Mirror.all
    Mirror.all = lambda self: known(self) if self.freshness() == "fresh" else []  # type: ignore[method-assign]


def forget_what_was_answered() -> None:
    """Batches begin again after a death, and write what they have written."""

    def add(self: BatchOutput, answer: Any) -> bool:
        write_all(self._files[0 if answer.good else 1], result_line(answer))
        self.good += 1
        return True

    BatchOutput.add = add  # type: ignore[method-assign]
    setattr(batch_output, "mend", lambda path, known_, seen: set())  # noqa: B010


def anybodys_files() -> None:
    """Tenants removed: an id is enough."""
    everybodys = "SELECT * FROM files WHERE ? != '' AND id = ?"

    def file(self: SqliteBatches, tenant: str, file_id: str) -> Any:
        row = self._database.execute(everybodys, (tenant, file_id)).fetchone()
        return file_of(row) if row else None

    SqliteBatches.file = file  # type: ignore[method-assign]


def everybody_works_on_it() -> None:
    """Leases removed: a gateway claims what another one works on."""
    lawful = PostgresBatches.claim

    def claim(self: PostgresBatches, most: int) -> list[Held]:
        with self._database.transaction() as cursor:
            cursor.execute("UPDATE fairlead.batches SET held_until = now() - interval '1 second'")
        return lawful(self, most)

    PostgresBatches.claim = claim  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    "authn": lambda: setattr(admission, "caller_of", anybody),
    "authz": lambda: setattr(entrance, "route_of", any_route),
    "jwt": lambda: setattr(jwt, "has_signed", lambda key, told: True),
    "jwt:claims": any_claims,
    "jwt:outage": lambda: setattr(KeySet, "usable", lambda self: self.fetched_at is not None),
    "tls": no_tls,
    "tls:callers": no_callers_certificates,
    "tls:old": old_tls,
    "cancel": leave_engine_working,
    "deadline": no_deadline,
    "sizes": no_sizes,
    "slowness": no_sweep,
    "durability": late_journal,
    "shared-limits": a_limit_each,
    "fail-modes": keys_from_the_database_alone,
    "silence": log_bodies,
    "drain": no_drain,
    "limits": no_limits,
    "budgets": no_budgets,
    "fairness": first_come_first_served,
    "idempotency": run_again,
    "batches": forget_what_was_answered,
    "batches:tenants": anybodys_files,
    "shared-batches": everybody_works_on_it,
    "batches:rights": lambda: setattr(Batches, "check", lambda self, caller: None),
}

if __name__ == "__main__":
    name = sys.argv.pop(1)
    SABOTAGES[name]()
    sys.exit(process.main())
