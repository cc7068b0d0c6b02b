"""The Files and Batch API of one gateway: its files, the batches that run, and the thread that does all disk work.

Nothing here is on the way of a request to a model; a row of a batch goes that way like everybody's, behind the others.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.batches_run import Run
from fairlead.gateway.config import BATCH
from fairlead.gateway.head import Refused
from fairlead.gateway.tables import Caller
from fairlead.policy.batch import ENDED
from fairlead.store.batches import Batch, BatchStore, File, publish

if TYPE_CHECKING:
    from fairlead.gateway.app import App
    from fairlead.gateway.config import Batches as Rules

SYNC_EVERY_S = 1.0
EXPIRE_EVERY_S = 60.0
FOLDER = "batches"

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Batches:
    """Opened with the gateway, which is the only one to write there."""

    DISK = Refusal(503, "storage_unavailable", "Files cannot be written now.", "server_error", retry_after_s=5)

    def __init__(self, app: App, rules: Rules) -> None:
        self.app = app
        self.rules = rules
        self.store = BatchStore(Path(app.config.state_dir) / FOLDER)
        self.store.tidy(ENDED)
        self.runs: dict[str, Run] = {batch.id: Run(self, batch) for batch in self.store.unended(ENDED)}
        self.rows: Counter[str] = Counter()  # by result, since the start
        self.slots = asyncio.Semaphore(rules.concurrency)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._tasks: set[asyncio.Task[None]] = set()

    # -- for the others of this room ----------------------------------------------------------------------------------

    def check(self, caller: Caller) -> None:
        """Raises Refused (403) for a role that may not use the Batch API."""
        if BATCH not in caller.allowed:
            raise Refused(answers.forbidden_operation(caller.role, BATCH))

    async def do(self, work: Callable[Given, Made], *given: Given.args, **named: Given.kwargs) -> Made:
        """Disk work, one piece after the other, beside the loop. What has begun is finished, whoever stops waiting.

        Raises OSError, also for what SQLite says of the disk.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *given, **named))
        except sqlite3.Error as error:
            raise OSError(str(error)) from error

    def new_file(self, file_id: str, tenant: str, size: int, filename: str, purpose: str) -> File:
        """The record of a file that is made now."""
        now = int(self.app.wall())
        return File(file_id, tenant, now, now + int(self.rules.retention_s), size, filename, purpose)

    async def publish(self, batch: Batch, path: Path, kind: str) -> str | None:
        """A batch's output as a file; its id, the same each time. None where it is empty."""
        file_id = f"file-{batch.id.removeprefix('batch_')}-{kind}"
        size = await self.do(publish, path, self.store.content(file_id))
        if not size:
            return None
        file = self.new_file(file_id, batch.tenant, size, f"{batch.id}_{kind}.jsonl", "batch_output")
        await self.do(self.store.add_file, file)
        return file_id

    def begin(self, run: Run) -> None:
        """Let a batch run."""
        task = asyncio.get_running_loop().create_task(self._go(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self.ended)

    async def _go(self, run: Run) -> None:
        await run.go()
        if run.batch.status in ENDED:
            del self.runs[run.batch.id]
            self.app.accounting.event("batch_ended", batch=run.batch.id, status=run.batch.status)

    def ended(self, task: asyncio.Task[None]) -> None:
        """A task of this room has ended: what it did not foresee is told."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.app.accounting.event("batch_task_died", level="error", reason=repr(error))

    # -- for the gateway ----------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Go on with what had not ended; then bring answers to the disk, and delete what is too old."""
        for run in tuple(self.runs.values()):
            self.begin(run)
        expire_at = 0.0
        while True:
            try:
                await self._sync()
                if self.app.now() >= expire_at:
                    expire_at = self.app.now() + EXPIRE_EVERY_S
                    now = time.time()
                    await self.do(self.store.expire, now, now - self.rules.retention_s, ENDED)
            except OSError as error:
                self.app.accounting.event("batch_disk_failed", level="error", reason=str(error))
            await asyncio.sleep(SYNC_EVERY_S)

    async def _sync(self) -> None:
        for run in tuple(self.runs.values()):
            run.tick()
            await run.sync()

    def stop(self) -> None:
        """The gateway drains: no further row begins."""
        for run in self.runs.values():
            run.stop()

    async def close(self) -> None:
        """End what still runs, and close the files. What was answered is on the disk when this returns."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.do(self.store.close)
        self._thread.shutdown()
