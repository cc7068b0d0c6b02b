"""One batch from its first line to its files. Killed at any moment, it goes on from there at the next start.

What has been answered stands in the batch's own folder (`store/batch_output.py`); the database holds its state alone.
A state that a batch ends in is written when all that it leaves behind is in its place.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fairlead.gateway.admission import route_of
from fairlead.gateway.batches_row import ask, caller_of, operation_of
from fairlead.gateway.head import Refused
from fairlead.policy.again import wait_s
from fairlead.policy.batch import ENDED, next_state, stamp_of
from fairlead.store.batch_output import BatchOutput
from fairlead.store.batch_rows import Answer, BadRow, Row, duplicate, parse
from fairlead.store.batches import Batch, Counts

if TYPE_CHECKING:
    from fairlead.gateway.batches import Batches

SLICE_S = 0.001  # of work on lines before the loop may turn: callers in a hurry wait no longer for it
MOST_ERRORS = 100  # of a file's wrong lines that are told
DISK_BACK_OFF_S = 5.0
KEYS_BACK_OFF_S = 1.0
KEY_ENDED = ({"code": "key_ended", "message": "The key that made this batch has ended.", "param": None, "line": None},)
EXPIRED = "This request could not be executed before the completion window expired."


class Run:
    """A batch that has not ended."""

    def __init__(self, batches: Batches, batch: Batch) -> None:
        self.batch = batch
        self._batches = batches
        self._app = batches.app
        self._out: BatchOutput | None = None
        self._stop = asyncio.Event()  # no further row begins

    @property
    def counts(self) -> Counts:
        """Rows so far."""
        if self._out is None:
            return self.batch.counts
        return Counts(self.batch.counts.total, self._out.good, self._out.failed)

    async def go(self) -> None:
        """To the end of the batch, or until the gateway stops. A full disk is waited for."""
        while self.batch.status not in ENDED and not self._app.draining:
            try:
                await self._go()
            except* OSError as group:
                reason = str(group.exceptions[0])
                self._app.accounting.event("batch_disk_failed", level="error", batch=self.batch.id, reason=reason)
                await asyncio.sleep(DISK_BACK_OFF_S)

    async def _go(self) -> None:
        late = asyncio.get_running_loop().call_later(max(0.0, self.batch.expires_at - self._app.wall()), self._stop.set)
        try:
            if self.batch.status == "validating":
                await self._validate()
            if self.batch.status in ENDED or self.batch.status == "validating":
                return
            self._out = await self._batches.do(BatchOutput, self._batches.store.part(self.batch.id))
            try:
                if self.batch.status == "in_progress":
                    await self._answer(self._out)
                await self._end(self._out)
            finally:
                await self._batches.do(self._out.close)
        finally:
            late.cancel()

    async def cancel(self) -> None:
        """No further row begins; those that run are answered. Raises KeyError when it is too late."""
        move = self._move("cancel")
        self._stop.set()
        await move

    def stop(self) -> None:
        """The gateway stops: no further row begins."""
        self._stop.set()

    def tick(self) -> None:
        """Stop when the key that answers for the rows has ended."""
        if self._key_ended:
            self._stop.set()

    async def sync(self) -> None:
        """Bring the answers so far to the disk."""
        if self._out is not None:
            await self._batches.do(self._out.sync)

    # -- validating ---------------------------------------------------------------------------------------------------

    async def _validate(self) -> None:
        """Look at every line before any is asked."""
        rules, ids, errors, total = self._batches.rules, set[str](), list[BadRow](), 0
        async for number, line in lines_of(self._input):
            total += 1
            if total > rules.max_rows:
                errors = [BadRow("too_many_tasks", f"The file has more than {rules.max_rows} requests.")]
                break
            try:
                self._check(parse(line, number, (self.batch.endpoint,)), ids)
            except BadRow as wrong:
                errors.append(wrong)
            if len(errors) >= MOST_ERRORS or self._stop.is_set():
                break
        if not total:
            errors.append(BadRow("empty_file", "The input file has no requests."))
        if self.batch.status != "validating" or self._app.draining:
            return
        if self._key_ended:
            await self._move("key ended", errors=KEY_ENDED)
        elif errors:
            told = tuple(wrong.as_json() for wrong in errors)
            await self._move("invalid", errors=told, counts=Counts(total))
        elif self._is_late:
            await self._move("late")
        else:
            await self._move("valid", counts=Counts(total))

    def _check(self, row: Row, ids: set[str]) -> None:
        """Raises BadRow for what this batch's caller cannot ask."""
        if row.custom_id in ids:
            raise duplicate(row)
        ids.add(row.custom_id)
        most = self._app.config.limits.max_body_bytes
        if len(row.body) > most:
            raise BadRow("invalid_request", f"The body is larger than {most} bytes.", line=row.line, param="body")
        try:
            route_of(self._app.tables, caller_of(self._app, self.batch), operation_of(row.url), row.model)
        except Refused as refused:
            refusal = refused.refusal
            raise BadRow(refusal.code, refusal.message, line=row.line, param="body.model") from None

    # -- answering ----------------------------------------------------------------------------------------------------

    async def _answer(self, out: BatchOutput) -> None:
        """Ask every row that has no answer, so many at once."""
        most = asyncio.Semaphore(self._batches.rules.concurrency)
        async with asyncio.TaskGroup() as tasks:
            async for row in self._unanswered(frozenset(out.done)):
                await most.acquire()
                if self._stop.is_set():
                    break
                tasks.create_task(self._ask(row, out)).add_done_callback(lambda _: most.release())

    async def _unanswered(self, done: Collection[str]) -> AsyncIterator[Row]:
        async for number, line in lines_of(self._input):
            row = parse(line, number)
            if row.custom_id not in done:
                yield row

    async def _ask(self, row: Row, out: BatchOutput) -> None:
        """One row, again and again while that may help."""
        tries = 0
        while not self._stop.is_set():
            if self._app.keys_freshness == "expired":  # nobody can say whether the key still works
                await self._pause(KEYS_BACK_OFF_S)
                continue
            async with self._batches.slots:
                if self._stop.is_set():
                    return
                tries += 1
                answer, fields = await ask(self._app, self.batch, row)
            again = wait_s(answer.status, fields, tries, random.random())  # noqa: S311 - only spreads retries
            if again is None or (not answer.status and answer.code):
                out.add(answer)
                self._batches.rows["answered" if answer.good else "failed"] += 1
                return
            self._batches.rows["retried"] += 1
            await self._pause(again)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    # -- ending -------------------------------------------------------------------------------------------------------

    async def _end(self, out: BatchOutput) -> None:
        """Put the files in their places, then say that it has ended. Nothing, when only the gateway stops."""
        if self.batch.status == "in_progress":
            event = self._verdict(out)
            if event is None:
                return
            if event == "late":
                await self._expire_rows(out)
            if event != "answered":
                told = {"errors": KEY_ENDED} if event == "key ended" else {}
                await self._move(event, **await self._publish(out), **told)
                return
            await self._move(event)
        await self._move("published", **await self._publish(out))

    def _verdict(self, out: BatchOutput) -> str | None:
        """What has happened to a batch in progress; None while it only waits for the next start."""
        if out.good + out.failed >= self.batch.counts.total:
            return "answered"
        if self._is_late:
            return "late"
        return "key ended" if self._key_ended else None

    async def _expire_rows(self, out: BatchOutput) -> None:
        async for row in self._unanswered(frozenset(out.done)):
            out.add(Answer(row.custom_id, code="batch_expired", message=EXPIRED))

    async def _publish(self, out: BatchOutput) -> dict[str, object]:
        """Make the output and the error file; what changes in the batch by it."""
        await self._batches.do(out.sync)
        changes: dict[str, object] = {"counts": self.counts}
        made = ((out.results, "output", "output_file_id"), (out.errors, "error", "error_file_id"))
        for path, kind, field in made:
            changes[field] = await self._batches.publish(self.batch, path, kind)
        return changes

    async def _move(self, event: str, **changes: object) -> None:
        """To the next state, in memory at once, on the disk when this returns. Raises OSError: it is then as before."""
        before = self.batch
        status = next_state(before.status, event)
        stamps = {**before.stamps, stamp_of(status): int(self._app.wall())}
        self.batch = msgspec.structs.replace(before, status=status, stamps=stamps, **changes)
        try:
            await self._batches.do(self._batches.store.save, self.batch)
        except OSError:
            self.batch = before
            raise

    @property
    def _input(self) -> Path:
        return self._batches.store.content(self.batch.input_file_id)

    @property
    def _is_late(self) -> bool:
        return self._app.wall() >= self.batch.expires_at

    @property
    def _key_ended(self) -> bool:
        return self.batch.key_id in self._app.tables.ended


async def lines_of(path: Path) -> AsyncIterator[tuple[int, bytes]]:
    """A file's lines and their numbers, without empty ones; the loop turns between slices of work."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line
            if loop.time() - began > SLICE_S:
                await asyncio.sleep(0)
                began = loop.time()
