"""The Files and Batch API of one gateway: the batches that it works on, and the thread that does all work of the store.

Nothing here is on the way of a request to a model; a row of a batch goes that way like everybody's, behind the others.
Where gateways share a database each batch is held by one of them, for as long as that one renews it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from fairlead.errors import UserError
from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.batches_run import Run
from fairlead.gateway.config import BATCH
from fairlead.gateway.head import Refused
from fairlead.gateway.tables import Caller
from fairlead.policy.batch import ENDED
from fairlead.store.batches import BatchStore, File, Held
from fairlead.store.stores import open_batches, place_of

if TYPE_CHECKING:
    from fairlead.gateway.app import App
    from fairlead.gateway.config import Batches as Rules
    from fairlead.gateway.config import Config

TEND_EVERY_S = 1.0
CLAIMS_AT_ONCE = 2  # a dead gateway's batches spread over those that live
EXPIRE_EVERY_S = 60.0
AWAY_S = 1.0  # what has just failed for want of the database is not tried again: nobody waits in a queue for it
LAST_WORDS_S = 3.0  # for a stopping gateway to write down what was answered

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Batches:
    """Opened with the gateway."""

    AWAY = Refusal(503, "storage_unavailable", "Files and batches cannot be reached now.", "server_error", None, 5)

    def __init__(self, app: App, rules: Rules) -> None:
        self.app = app
        self.rules = rules
        self.store = opened(app.config)
        self.runs: dict[str, Run] = {}
        self.rows: Counter[str] = Counter()  # by result, since the start
        self.slots = asyncio.Semaphore(rules.concurrency)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._tasks: set[asyncio.Task[None]] = set()
        self._away_until = 0.0

    # -- for the others of this room ----------------------------------------------------------------------------------

    def check(self, caller: Caller) -> None:
        """Raises Refused (403) for a role that may not use the Batch API."""
        if BATCH not in caller.allowed:
            raise Refused(answers.forbidden_operation(caller.role, BATCH))

    async def do(self, work: Callable[Given, Made], *given: Given.args, **named: Given.kwargs) -> Made:
        """Work of the store, one piece after the other, beside the loop. What has begun is finished, whoever waits.

        Raises OSError, also for what a database says of its disk, or while it is away.
        """
        piece = partial(self._work, partial(work, *given, **named))
        return await asyncio.get_running_loop().run_in_executor(self._thread, piece)

    def do_later(self, work: Callable[[], None]) -> None:
        """Work of the store behind all that was asked before, for which nobody waits; close() does."""
        self._thread.submit(work)

    def _work(self, work: Callable[[], Made]) -> Made:
        """In the thread."""
        if time.monotonic() < self._away_until:
            raise OSError("the database was away just now")
        try:
            return work()
        except sqlite3.Error as error:
            raise OSError(str(error)) from error
        except UserError as error:
            self._away_until = time.monotonic() + AWAY_S
            raise OSError(str(error)) from error

    def new_file(self, file_id: str, tenant: str, size: int, filename: str, purpose: str) -> File:
        """The record of a file that is made now."""
        now = int(self.app.wall())
        return File(file_id, tenant, now, now + int(self.rules.retention_s), size, filename, purpose)

    def begin(self, held: Held, since: float) -> None:
        """Let a batch run that is held since then."""
        run = self.runs[held.batch.id] = Run(self, held, since + self.store.lease_s)
        task = asyncio.get_running_loop().create_task(self._go(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self.ended)

    async def _go(self, run: Run) -> None:
        try:
            await run.go()
        finally:
            if not self.app.draining and self.runs.get(run.batch.id) is run:  # else it is let go of when all has ended
                del self.runs[run.batch.id]
        if run.batch.status in ENDED:
            self.app.accounting.event("batch_ended", batch=run.batch.id, status=run.batch.status)

    def ended(self, task: asyncio.Task[None]) -> None:
        """A task of this room has ended: what it did not foresee is told."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.app.accounting.event("batch_task_died", level="error", reason=repr(error))

    # -- for the gateway ----------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Hold on to what runs here, take up what nobody holds, and delete what is too old."""
        expire_at = 0.0
        while True:
            try:
                await self._tend()
                if self.app.now() >= expire_at:
                    now = time.time()
                    if not await self.do(self.store.expire, now, now - self.rules.retention_s):
                        expire_at = self.app.now() + EXPIRE_EVERY_S
            except OSError as error:
                self.app.accounting.event("batch_store_failed", level="error", reason=str(error))
            await asyncio.sleep(TEND_EVERY_S)

    async def _tend(self) -> None:
        began, before = self.app.now(), [run.held for run in self.runs.values()]
        kept = {each.batch.id: each for each in await self.do(self.store.keep, before)}
        for each in before:
            if (run := self.runs.get(each.batch.id)) is not None:
                run.tick(kept.get(each.batch.id), began + self.store.lease_s)
        if self.app.draining:
            return
        began = self.app.now()
        for held in await self.do(self.store.claim, CLAIMS_AT_ONCE):
            self.app.accounting.event("batch_claimed", batch=held.batch.id, status=held.batch.status)
            self.begin(held, began)

    def stop(self) -> None:
        """The gateway drains: no further row begins."""
        for run in self.runs.values():
            run.stop()

    async def close(self) -> None:
        """End what still runs, and let others have it. What was answered is in the store when this returns."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_WORDS_S)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(OSError):
            await self.do(self.store.release, [run.held for run in self.runs.values()])
        await asyncio.get_running_loop().run_in_executor(self._thread, self.store.close)
        self._thread.shutdown()


def opened(config: Config) -> BatchStore:
    """Where the files and batches of a service are: beside its keys. Raises UserError."""
    postgres = config.store.postgres
    return open_batches(place_of(Path(config.state_dir), postgres.url_env if postgres else ""), ENDED)
