"""One batch from its first line to its files. Whoever works on it may die at any moment: another goes on from there.

What has been answered, and the batch's state, are in the store alone. A state that a batch ends in is written when all
that it leaves behind is in its place. A store that is away is waited for, with what is to be written in hand.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec

from fairlead.gateway.admission import route_of
from fairlead.gateway.batches_row import ask, caller_of, operation_of
from fairlead.gateway.head import Refused
from fairlead.policy.again import wait_s
from fairlead.policy.batch import CANCELLABLE, ENDED, NEXT, stamp_of
from fairlead.store.batch_rows import Answer, BadRow, Row, duplicate, parse
from fairlead.store.batches import Batch, Counts, Held, LeaseLost, Numbered

if TYPE_CHECKING:
    from fairlead.gateway.batches import Batches

SLICE_S = 0.001  # of work on lines before the loop may turn: callers in a hurry wait no longer for it
MOST_ERRORS = 100  # of a file's wrong lines that are told
STORE_BACK_OFF_S = 1.0
ROW_BACK_OFF_S = 1.0  # while nobody can say whether a row may be asked
SETTLED_AT_ONCE = 500
FRAMING_BYTES = 64 * 1024  # of a line, beside the request's body
KEY_ENDED = ({"code": "key_ended", "message": "The key that made this batch has ended.", "param": None, "line": None},)
EXPIRED = "This request could not be executed before the completion window expired."

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Overtaken(Exception):
    """The batch is in another state by now: somebody has cancelled it, or what was tried before had worked."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch.status)
        self.batch = batch


class Run:
    """A batch that has not ended and that this gateway holds, up to a moment of the app's clock."""

    def __init__(self, batches: Batches, held: Held, until: float) -> None:
        self.held = held
        self.batch = held.batch
        self._batches = batches
        self._app = batches.app
        self._until = until
        self._lost = False
        self._stop = asyncio.Event()  # no further row begins
        self._settled = set[str]()
        self._fresh: list[Numbered] = []
        self._writing = asyncio.Lock()

    async def go(self) -> None:
        """To the end of the batch, or until the gateway stops or no longer holds it."""
        while self.batch.status not in ENDED and not self._app.draining and not self._lost:
            try:
                await self._go()
            except Overtaken as overtaken:
                self.take_up(overtaken.batch)
            except LeaseLost:
                self._lose()

    async def _go(self) -> None:
        late = asyncio.get_running_loop().call_later(max(0.0, self.batch.expires_at - self._app.wall()), self._stop.set)
        try:
            if self.batch.status == "validating":
                await self._validate()
            if self.batch.status in ENDED or self.batch.status == "validating":
                return
            self._settled = set(await self._lasting(self._batches.store.answered, self.held))
            if self.batch.status == "in_progress":
                await self._answer()
            await self._end()
        finally:
            late.cancel()

    def take_up(self, batch: Batch) -> None:
        """Go on from a state that somebody else has brought about."""
        self.batch = batch
        if batch.status == "cancelling":  # those that run are answered
            self._stop.set()

    def stop(self) -> None:
        """The gateway stops: no further row begins."""
        self._stop.set()

    def tick(self, held: Held | None, until: float) -> None:
        """What the store says of us: held until then, or by somebody else."""
        if held is None:
            self._lose()
            return
        self._until = until
        if held.batch.status == "cancelling" and self.batch.status in CANCELLABLE:
            self.take_up(held.batch)
        if self._key_ended:
            self._stop.set()

    def _lose(self) -> None:
        if not self._lost:
            self._app.accounting.event("batch_lost", level="warning", batch=self.batch.id)
        self._lost = True
        self._stop.set()

    # -- validating ---------------------------------------------------------------------------------------------------

    async def _validate(self) -> None:
        """Look at every line before any is asked."""
        rules, ids, errors, total = self._batches.rules, set[str](), list[BadRow](), 0
        async for number, line in self._lines():
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
        if self.batch.status != "validating" or self._app.draining or self._lost:
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

    async def _lines(self) -> AsyncIterator[tuple[int, bytes]]:
        """The input's lines and their numbers, without empty ones; the loop turns between slices of work.

        A line that is longer than any row is cut off: what is left of it is no JSON.
        """
        loop, most = asyncio.get_running_loop(), self._app.config.limits.max_body_bytes + FRAMING_BYTES
        number, rest = 0, b""
        mark: int | None = 0
        while mark is not None:
            piece = await self._lasting(self._batches.store.read, self.batch.input_file_id, mark)
            mark, began = piece.following, loop.time()
            *lines, rest = (rest + piece.content).split(b"\n")
            for line in lines if mark is not None else [*lines, rest]:
                number += 1
                if line.strip():
                    yield number, line
                if loop.time() - began > SLICE_S:
                    await asyncio.sleep(0)
                    began = loop.time()
            rest = rest[:most]

    # -- answering ----------------------------------------------------------------------------------------------------

    async def _answer(self) -> None:
        """Ask every row that has no answer, so many at once."""
        most = asyncio.Semaphore(self._batches.rules.concurrency)
        async with asyncio.TaskGroup() as tasks:
            async for row in self._unanswered():
                await most.acquire()
                if self._stop.is_set():
                    break
                tasks.create_task(self._ask(row)).add_done_callback(lambda _: most.release())

    async def _unanswered(self) -> AsyncIterator[Row]:
        done = frozenset(self._settled)
        async for number, line in self._lines():
            row = parse(line, number)
            if row.custom_id not in done:
                yield row

    async def _ask(self, row: Row) -> None:
        """One row, again and again while that may help."""
        tries = 0
        while not self._stop.is_set():
            if self._app.keys_freshness == "expired" or self._app.now() > self._until:
                await self._pause(ROW_BACK_OFF_S)  # the key may have ended, or another gateway may work on this
                continue
            async with self._batches.slots:
                if self._stop.is_set():
                    return
                tries += 1
                answer, fields = await ask(self._app, self.batch, row)
            again = wait_s(answer.status, fields, tries, random.random())  # noqa: S311 - only spreads retries
            if again is None or (not answer.status and answer.code):
                if await self._settle((row.line, answer)):
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

    async def _settle(self, *answers: Numbered) -> bool:
        """Write answers down, those that wait for the store together; whether we still hold the batch."""
        self._fresh += answers
        async with self._writing:
            fresh, self._fresh = self._fresh, []
            if fresh and not self._lost:
                try:
                    await self._lasting(self._batches.store.settle, self.held, fresh)
                except LeaseLost:
                    self._lose()
                else:
                    self._settled |= {answer.custom_id for _, answer in fresh}
        return not self._lost

    # -- ending -------------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        """Put the files in their places, then say that it has ended. Nothing, when only this gateway stops."""
        if self._lost:
            return
        if self.batch.status == "in_progress":
            event = self._verdict()
            if event is None:
                return
            if event == "late":
                await self._expire_rows()
            if event != "answered":
                told = {"errors": KEY_ENDED} if event == "key ended" else {}
                await self._move(event, **await self._publish(), **told)
                return
            await self._move(event)
        await self._move("published", **await self._publish())

    def _verdict(self) -> str | None:
        """What has happened to a batch in progress; None while it only waits for the next start."""
        if len(self._settled) >= self.batch.counts.total:
            return "answered"
        if self._is_late:
            return "late"
        return "key ended" if self._key_ended else None

    async def _expire_rows(self) -> None:
        late = list[Numbered]()
        async for row in self._unanswered():
            late.append((row.line, Answer(row.custom_id, code="batch_expired", message=EXPIRED)))
            if len(late) >= SETTLED_AT_ONCE:
                await self._settle(*late)
                late.clear()
        if late:
            await self._settle(*late)

    async def _publish(self) -> dict[str, object]:
        """Make the output and the error file; what changes in the batch by it."""
        changes: dict[str, object] = {}
        batch, batches = self.batch, self._batches
        for good, kind in ((True, "output"), (False, "error")):
            file_id = f"file-{batch.id.removeprefix('batch_')}-{kind}"  # the same each time
            file = batches.new_file(file_id, batch.tenant, 0, f"{batch.id}_{kind}.jsonl", "batch_output")
            made = await self._lasting(batches.store.publish, self.held, file, good=good)
            changes[f"{kind}_file_id"] = file_id if made else None
        return changes

    async def _move(self, event: str, **changes: object) -> None:
        """To the next state. Raises Overtaken, LeaseLost."""
        now = int(self._app.wall())

        def moved(batch: Batch) -> Batch:
            status = NEXT.get((batch.status, event))
            if status is None:
                raise Overtaken(batch)
            return changed(batch, status, now, **changes)

        self.batch = await self._lasting(self._batches.store.move, self.held, moved)

    async def _lasting(self, work: Callable[Given, Made], *given: Given.args, **named: Given.kwargs) -> Made:
        """What the store says, however long it is away. Raises what is not the store's trouble."""
        while True:
            try:
                return await self._batches.do(work, *given, **named)
            except OSError as error:
                batch, reason = self.batch.id, str(error)
                self._app.accounting.event("batch_store_failed", level="error", batch=batch, reason=reason)
                await asyncio.sleep(STORE_BACK_OFF_S)

    @property
    def _is_late(self) -> bool:
        return self._app.wall() >= self.batch.expires_at

    @property
    def _key_ended(self) -> bool:
        return self.batch.key_id in self._app.tables.ended


def changed(batch: Batch, status: str, now: int, **changes: object) -> Batch:
    """A batch in its next state, stamped."""
    stamps = {**batch.stamps, stamp_of(status): now}
    return msgspec.structs.replace(batch, status=status, stamps=stamps, **changes)
