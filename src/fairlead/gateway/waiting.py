"""The requests of a model whose replicas are full: who runs, who waits, who is next. `policy/fair.py` decides.

A turn begins when a request is let in and ends when it is accounted for, however it ends. Whoever waits is looked at
again when a turn ends, and at each sweep, which also turns away those that have waited too long. While somebody in a
hurry uses the model, or did just now, only `beside` batch requests run in a replica, whatever room there is: each one
more makes the engine's next step longer for all. With `beside` 0 one runs at a time, and only as often as batch's share
of the tokens asks for.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from fairlead.gateway.allowance import shed
from fairlead.gateway.head import Refused
from fairlead.policy.fair import TINY, Entry, FairQueue

if TYPE_CHECKING:
    from fairlead.gateway.exchange import Exchange
    from fairlead.gateway.tables import ModelTable


QUIET_S = 5.0  # without a request in a hurry, before batch may have all the room


class Turn:
    """The place of one request, waiting or running."""

    __slots__ = ("entry", "room")

    def __init__(self, room: Room, entry: Entry) -> None:
        self.room = room
        self.entry = entry

    def end(self, prompt: int, completion: int, now: float) -> None:
        """The request has ended, having used so many tokens."""
        self.room.leave(self.entry, prompt, completion, now)


class Room:
    """One model: `each` requests run in a replica that is up, `beside` of batch beside others; the rest waits."""

    def __init__(self, model: ModelTable, queue: FairQueue, each: int, beside: int = 1) -> None:
        self.queue = queue
        self.shed: dict[str, int] = {}  # by reason
        self._running: set[Entry] = set()
        self._batch_running = 0
        self._owed = 0.0  # tokens, by their weight, that batch may have while others use the model and `beside` is 0
        self._now = self._hurried_at = -inf
        self._woken = False
        self.configure(model, each, beside)

    def configure(self, model: ModelTable, each: int, beside: int = 1) -> None:
        """Take up another configuration. `each` 0: nobody waits any more."""
        self.model = model
        self._each, self._beside = each, beside
        self._count()

    def enter(self, exchange: Exchange, entry: Entry, now: float) -> None:
        """Start the request if there is room; else let it wait, or turn somebody away."""
        entry.item = exchange
        exchange.turn = Turn(self, entry)
        self._now = now
        if not entry.batch:
            self._hurried_at = now
        if self._may_start(entry):
            self.queue.start(entry)
            self._run(entry)
            return
        if (told := self.queue.push(entry, now)) is not None:
            self._turn_away(told.entry, shed(told), told.reason)

    def leave(self, entry: Entry, prompt: int, completion: int, now: float) -> None:
        """A turn has ended."""
        if entry not in self._running:
            self.queue.cancel(entry)
            return
        self._running.discard(entry)
        self._batch_running -= entry.batch
        self._now = now
        if not self._most_batch:
            self._owe(entry, self.queue.terms.service(prompt, completion))
        self.queue.held = self._held()
        self.queue.settle(entry, prompt, completion, now)
        if self.queue and not self._woken:  # not at once: the one that ends has not let go of its connection yet
            self._woken = True
            asyncio.get_running_loop().call_soon(self.admit)

    def admit(self) -> None:
        """Start as many of those that wait as there is room for."""
        self._woken = False
        while len(self._running) < self._capacity:
            entry = self.queue.pop(batch=not self._held())
            if entry is None:
                return
            self._run(entry)

    def tick(self, now: float) -> None:
        """Turn away who has waited too long, and notice replicas that came or went."""
        self._now = now
        self._count()
        for told in self.queue.expire(now):
            self._turn_away(told.entry, shed(told), told.reason)
        if self.queue:
            self.admit()

    def _run(self, entry: Entry) -> None:
        self._running.add(entry)
        self._batch_running += entry.batch
        entry.item.start()

    def _may_start(self, entry: Entry) -> bool:
        """Whether there is room now, and nobody before this one."""
        if len(self._running) >= self._capacity:
            return False
        if not self.queue:
            return not (entry.batch and self._held())
        return not entry.batch and not self.queue.hurried and self._held()

    def _held(self) -> bool:
        """Whether no further batch request may start, because somebody in a hurry is here."""
        if self._batch_running < self._most_batch or (self._owed > 0.0 and not self._batch_running):
            return False
        return self._batch_running < len(self._running) or self._now - self._hurried_at < QUIET_S

    def _owe(self, entry: Entry, service: float) -> None:
        """Batch gets its share of what others got, and pays what it took: no credit and no debt for more than one."""
        if entry.batch:
            self._owed = max(self._owed, 0.0) - service
            return
        share = self.queue.terms.batch_share
        self._owed = min(self._owed, 0.0) + service * share / max(1.0 - share, TINY)

    def _count(self) -> None:
        up = sum(replica.up for replica in self.model.replicas)
        self._most_batch = self._beside * up if self._each and up else inf
        self._owed = 0.0 if self._most_batch else self._owed
        # none up: whoever comes is told so by the exchange, and need not wait for it
        self._capacity = self._each * up if self._each and up else inf

    def _turn_away(self, entry: Entry, refused: Refused, reason: str) -> None:
        self.shed[reason] = self.shed.get(reason, 0) + 1
        entry.item.turn_away(refused)
