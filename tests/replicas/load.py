"""Two gateways that share limits, and callers that want more than there is."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from gateway.harness import Gateway, compiled, free_port, question
from gateway.upstream import Upstream
from gateway.wire import connection, post, read_answer

CONNECTIONS = 6  # to each gateway


@dataclass(slots=True)
class Count:
    """What callers got. `seconds`: from the first question to the last yes, by their clock."""

    statuses: Counter[int] = field(default_factory=Counter)
    tokens: int = 0
    began: float = field(default_factory=monotonic)
    seconds: float = 0.0
    ids: list[str] = field(default_factory=list)
    lost: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        return self.statuses[200]


def shared(config: dict[str, Any], *, when_gone: str = "share", lease_s: float = 1.0) -> dict[str, Any]:
    """The same file for two replicas with Redis."""
    redis = {"url_env": "THE_REDIS", "lease_s": lease_s, "when_gone": when_gone}
    return config | {"replicas": 2, "store": {"postgres": None, "redis": redis}}


@contextmanager
def two_gateways(
    engine: Upstream, folder: Path, redis_url: str, *, when_gone: str = "share", **parts: Any
) -> Iterator[tuple[Gateway, Gateway]]:
    """Two replicas of one service on one state folder; `parts` are further keys of gateway.json."""
    gateways: list[Gateway] = []
    try:
        for number in range(2):
            own = folder / f"replica-{number}"
            own.mkdir()
            config = shared(compiled(folder / "state", {"m0": (engine,)}), when_gone=when_gone) | parts
            config["name"] = folder.name
            config["admin"]["port"] = free_port()
            gateway = Gateway(config, own, environ={"THE_REDIS": redis_url})
            gateways.append(gateway)
            gateway.start()
        yield gateways[0], gateways[1]
    finally:
        for gateway in gateways:
            if gateway.process:
                gateway.stop()
            gateway.keys.close()
    for gateway in gateways:
        assert "Traceback" not in gateway.log_path.read_text(), gateway.log_path.read_text()[-4000:]


async def press(gateways: Sequence[Gateway], key: str, *, a_second: float, seconds: float, **asked: Any) -> Count:
    """Ask all gateways evenly, `a_second` times a second together."""
    count = Count()
    pause_s = CONNECTIONS * len(gateways) / a_second
    raw = post(key, question(**asked))
    began = count.began
    callers = [
        caller(gateway.port, raw, pause_s, (number + 1) * pause_s / CONNECTIONS, began + seconds, count)
        for gateway in gateways
        for number in range(CONNECTIONS)
    ]
    await asyncio.gather(*callers)
    return count


async def caller(port: int, raw: bytes, pause_s: float, first_s: float, end: float, count: Count) -> None:
    """One connection, opened again when it is lost. Late requests are caught up with."""
    due = monotonic() + first_s
    while due < end:
        try:
            async with connection(port) as (reader, writer):
                while due < end:
                    await asyncio.sleep(max(0.0, due - monotonic()))
                    due += pause_s
                    writer.write(raw)
                    answer = await asyncio.wait_for(read_answer(reader), 30.0)
                    note(count, answer)
        except (OSError, asyncio.IncompleteReadError):
            count.lost += 1
            due = max(due, monotonic() + 0.05)
            await asyncio.sleep(0.05)


def note(count: Count, answer: Any) -> None:
    count.statuses[answer.status] += 1
    told = json.loads(answer.body)
    if answer.status == 200:
        count.seconds = monotonic() - count.began
        count.tokens += told["usage"]["total_tokens"]
        count.ids.append(answer.fields["x-request-id"])
    else:
        count.codes[told["error"]["code"]] += 1
