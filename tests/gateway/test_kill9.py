"""`kill -9` under load, again and again: the ledger holds every answer that a client completed, and nothing invented.

Each request carries a serial number that the engine reports as its prompt tokens, so that a ledger row names its
request. A row without a completed answer must be of a request that was under way at a kill: its record was written,
and the gateway was gone before the last byte was.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from .harness import Gateway, compiled, question
from .upstream import eventually, upstream
from .wire import ask, post

KILLS = int(os.environ.get("FAIRLEAD_KILLS", "200"))
WORKERS = 6
FIRST_SERIAL = 1000


@dataclass(slots=True)
class Books:
    """What the clients know: serial -> completion tokens, of answers received whole and of requests cut off."""

    completed: dict[int, int] = field(default_factory=dict)
    cut: dict[int, int] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_completed_answer_is_missing_from_the_ledger(tmp_path: Path) -> None:
    with upstream() as first, upstream() as second:
        gateway = Gateway(compiled(tmp_path / "state", {"m0": (first, second)}), tmp_path)
        try:
            books = asyncio.run(kill_again_and_again(gateway))
            gateway.start()
            rows = settled_rows(gateway, len(books.completed))
        finally:
            gateway.stop()
            gateway.keys.close()
    compare(books, rows)
    assert "Traceback" not in gateway.log_path.read_text()


async def kill_again_and_again(gateway: Gateway) -> Books:
    """KILLS times: start, let the clients work for a moment, kill -9."""
    books, serials, dice = Books(), count(FIRST_SERIAL), random.Random(9)
    for _ in range(KILLS):
        await asyncio.to_thread(gateway.start)
        clients = [asyncio.create_task(work(gateway, books, serials)) for _ in range(WORKERS)]
        await asyncio.wait(clients, timeout=dice.uniform(0.02, 0.2))
        gateway.kill()
        await asyncio.gather(*clients)
    return books


async def work(gateway: Gateway, books: Books, serials: Iterable[int]) -> None:
    """Ask, streamed and not, until the gateway is gone."""
    for serial in serials:
        tokens = serial % 13 + 1
        asked: dict[str, Any] = {"seed": serial, "max_tokens": tokens}
        if serial % 2:
            asked |= {"stream": True, "stream_options": {"include_usage": bool(serial % 4 == 1)}}
        books.cut[serial] = tokens
        try:
            answer = await ask(gateway.port, post(gateway.key, question(**asked)))
        except (OSError, asyncio.IncompleteReadError):
            return
        del books.cut[serial]
        if answer.status == 200:
            books.completed[serial] = tokens
        else:
            books.odd.append(f"{answer.status} {answer.body!r}")


def settled_rows(gateway: Gateway, at_least: int) -> list[dict[str, Any]]:
    """The ledger once the journal is in it: all completed answers are there, or nothing has come for a while."""
    sizes: list[int] = []

    def settled() -> bool:
        sizes.append(len(gateway.ledger()))
        return len(sizes) > 20 and sizes[-20] == sizes[-1] >= at_least

    eventually(settled, within_s=30.0, every_s=0.05)
    return gateway.ledger()


def compare(books: Books, rows: list[dict[str, Any]]) -> None:
    charged = {row["prompt_tokens"]: row["completion_tokens"] for row in rows}
    extra = {serial: tokens for serial, tokens in charged.items() if serial not in books.completed}
    print(
        f"{KILLS} kills; {len(books.completed)} answers completed with {sum(books.completed.values())} tokens; "
        f"ledger: {len(rows)} rows with {sum(charged.values())} tokens, "
        f"{len(extra)} of them ({sum(extra.values())} tokens) of the {len(books.cut)} requests that a kill cut off"
    )
    assert books.odd == []
    assert len(books.completed) > KILLS, "hardly any load"
    assert len(charged) == len(rows), "a request was charged twice"
    assert {serial: charged.get(serial) for serial in books.completed} == books.completed
    assert {serial: books.cut.get(serial) for serial in extra} == extra
    assert all(row["status"] == 200 and not row["estimated"] for row in rows)
