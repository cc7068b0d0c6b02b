"""The gateway's process: `python -m fairlead.gateway gateway.json [NUMBER]`. SIGTERM drains, SIGHUP reloads.

Replicas of one file on one machine differ by their number alone: it is added to the admin port.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from fairlead.errors import UserError
from fairlead.gateway import admin
from fairlead.gateway.accounting import Accounting
from fairlead.gateway.app import App
from fairlead.gateway.config import Config, load
from fairlead.gateway.connection import ClientConnection
from fairlead.gateway.spending import FIRST_PATIENCE_S
from fairlead.gateway.tls import Listener
from fairlead.store.contract import KnownKeys, Unshipped
from fairlead.store.journal import Journal
from fairlead.store.keys import KeyStore
from fairlead.store.ledger import Ledger
from fairlead.store.mirror import Mirror
from fairlead.store.shipping import Backlog

CERTIFICATE_EVERY_S = 1.0
GC_ALLOCATIONS = 20_000  # requests leave no cycles behind: looking for some 30 times less often is enough


def main() -> int:
    """Run until told to stop. Exit code 0 after a drain, 2 when the configuration is wrong."""
    number = sys.argv[2] if len(sys.argv) == 3 else "0"
    if len(sys.argv) not in {2, 3} or not number.isdecimal():
        sys.stderr.write("usage: python -m fairlead.gateway GATEWAY_JSON [NUMBER]\n")
        return 2
    path = Path(sys.argv[1])
    try:
        config = load(path)
        run(path, config, int(number))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def run(path: Path, config: Config, number: int = 0) -> None:
    """Serve on uvloop where there is one."""
    raise_file_limit(config.limits.max_connections * 2 + 256)
    with contextlib.suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(path, config, number))
        return
    asyncio.run(serve(path, config, number))


async def serve(path: Path, config: Config, number: int) -> None:
    """Open the state, listen, and end everything in order."""
    state = Path(config.state_dir)
    with stores(config) as (keys, ledger):
        accounting = Accounting(Journal(state / "journal"), log_fd=sys.stdout.fileno())
        try:
            await listen_until_told(App(path, config, keys, accounting, ledger), number)
        finally:
            accounting.close()


@contextlib.contextmanager
def stores(config: Config) -> Iterator[tuple[KnownKeys, Unshipped]]:
    """The databases beside us; of one elsewhere only what the shipper writes down here. Raises UserError."""
    state, postgres = Path(config.state_dir), config.store.postgres
    with contextlib.ExitStack() as stack:
        if postgres is not None:
            from fairlead.store.stores import place_of

            place_of(state, postgres.url_env)  # the shipper needs it: told here, where somebody looks
            mirror = Mirror(state, stale_for_s=postgres.keys_stale_for_s)
            yield stack.enter_context(contextlib.closing(mirror)), Backlog(state)
            return
        keys = stack.enter_context(contextlib.closing(KeyStore(state / "keys.db")))
        yield keys, stack.enter_context(contextlib.closing(Ledger(state / "ledger.db", state / "journal")))


async def listen_until_told(app: App, number: int) -> None:
    """Listen until SIGTERM or SIGINT, then drain. A task that dies ends the gateway."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for end in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(end, told.set)
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    await app.first_probe()
    await app.spending.ask(FIRST_PATIENCE_S)
    if app.leases is not None:
        await app.leases.ask_all()
    config = app.config
    public = Listener(config, lambda: ClientConnection(app))
    await public.open()
    app.certificate_expiry = public.expiry
    private = await asyncio.start_server(
        functools.partial(admin.serve, app), config.admin.host, config.admin.port + number, limit=admin.MAX_HEAD_BYTES
    )
    gc.freeze()  # what lives as long as the process need not be looked at again
    gc.set_threshold(GC_ALLOCATIONS)
    async with asyncio.TaskGroup() as tasks:
        upkeep = [tasks.create_task(task()) for task in (app.sweep, app.watch, app.probe, app.ship, app.keep_keys)]
        upkeep += [tasks.create_task(task()) for task in (app.spending.keep, app.spending.post)]
        upkeep.append(tasks.create_task(keep_certificate(app, public)))
        if app.batches is not None:
            upkeep.append(tasks.create_task(app.batches.keep()))
        if app.leases is not None:
            upkeep.append(tasks.create_task(app.leases.keep()))
        app.accounting.event("listening", host=config.listen.host, port=config.listen.port, pid=os.getpid())
        await told.wait()
        app.accounting.event("draining")
        public.close()
        await app.drain()
        for task in upkeep:
            task.cancel()
    private.close()
    if app.leases is not None:
        await app.leases.close()
    app.accounting.event("stopped")


async def keep_certificate(app: App, listener: Listener) -> None:
    """Take up a changed certificate; one that cannot be used is told, and the old one stays."""
    while True:
        await asyncio.sleep(CERTIFICATE_EVERY_S)
        try:
            if await listener.renew():
                app.certificate_expiry = listener.expiry
                app.accounting.event("certificate_changed")
        except UserError as error:
            app.accounting.event("certificate_refused", level="error", reason=str(error))


def raise_file_limit(wanted: int) -> None:
    """Allow as many open files as connections may need, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and limit > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


if __name__ == "__main__":
    sys.exit(main())
