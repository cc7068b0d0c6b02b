"""A batch gives way: beside callers in a hurry one of its requests runs in a replica, alone it has all the room."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from gateway.conftest import Build, House
from gateway.harness import question
from gateway.upstream import Manner, eventually

from .conftest import Official, answered, batching, create, ended, row, upload

SLOW = Manner(first_byte_s=0.1)


@contextmanager
def in_a_hurry(house: House) -> Iterator[list[float]]:
    """A caller who asks again and again; how often it was answered."""
    told, seen = threading.Event(), list[float]()

    def ask() -> None:
        with house.gateway.client() as client:
            while not told.is_set():
                seen.append(client.post("/v1/chat/completions", json=question("hurry")).elapsed.total_seconds())

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert eventually(lambda: len(seen) > 1)
        yield seen
    finally:
        told.set()
        thread.join()


def test_rows_beside_somebody_in_a_hurry_run_one_at_a_time(build: Build, official: Official) -> None:
    house = build(change=batching(concurrency=8))
    house.replicas[0].manner = SLOW
    client = official(house)
    record = house.replicas[0].record
    with in_a_hurry(house) as seen:
        batch_id = create(client, upload(client, [row(number) for number in range(400)]))
        assert eventually(lambda: answered(client, batch_id) > 8), "the batch starves"
        assert record.peak_open == 2, "one row and one in a hurry"
        assert len(seen) > 8
    assert eventually(lambda: record.peak_open == 8, within_s=20.0), "alone, the batch has all the room"
    client.batches.cancel(batch_id)


def test_callers_in_a_hurry_wait_hardly_longer(build: Build, official: Official) -> None:
    """An engine with two places: batch takes one of them, and never the one that somebody comes for."""

    def change(config: dict[str, Any]) -> None:
        batching(concurrency=8)(config)
        config["fairness"]["max_in_flight"] = 2

    house = build(change=change)
    house.replicas[0].manner = Manner(first_byte_s=0.2)
    client = official(house)
    alone, beside = list[float](), list[float]()
    with in_a_hurry(house) as seen:
        for _ in range(2):
            alone += next_of(seen)
            batch_id = create(client, upload(client, [row(number) for number in range(400)]))
            assert eventually(lambda batch_id=batch_id: answered(client, batch_id) > 0)  # type: ignore[misc]
            beside += next_of(seen)
            assert client.batches.cancel(batch_id).status in {"cancelling", "cancelled"}
            ended(client, batch_id)
    assert p95(beside) <= 1.5 * p95(alone)


def next_of(seen: list[float]) -> list[float]:
    """The next answers' times."""
    start = len(seen)
    assert eventually(lambda: len(seen) >= start + 15, within_s=60.0)
    return seen[start:]


def p95(times: list[float]) -> float:
    return sorted(times)[len(times) * 95 // 100]


def test_how_many_rows_run_beside_others_is_declared(build: Build, official: Official) -> None:
    def change(config: dict[str, Any]) -> None:
        batching(concurrency=8)(config)
        config["fairness"]["batch_beside"] = 3

    house = build(change=change)
    house.replicas[0].manner = SLOW
    client = official(house)
    with in_a_hurry(house):
        batch_id = create(client, upload(client, [row(number) for number in range(400)]))
        assert eventually(lambda: answered(client, batch_id) > 20)
        assert house.replicas[0].record.peak_open == 4
    client.batches.cancel(batch_id)


def test_rows_that_may_not_run_beside_others_get_their_share_all_the_same(build: Build, official: Official) -> None:
    share = 0.2

    def change(config: dict[str, Any]) -> None:
        batching(concurrency=8)(config)
        config["fairness"] |= {"batch_beside": 0, "batch_share": share}

    house = build(change=change)
    house.replicas[0].manner = Manner(first_byte_s=0.02)
    client = official(house)
    record = house.replicas[0].record
    with in_a_hurry(house) as seen:
        batch_id = create(client, upload(client, [row(number) for number in range(400)]))
        assert eventually(lambda: answered(client, batch_id) > 8, within_s=60.0), "the batch starves"
        assert record.peak_open == 2, "one row and one in a hurry"
        rows, others = weights(house)
        assert len(seen) > 8
        assert rows <= share / (1.0 - share) * others + max_weight(house)
    assert eventually(lambda: record.peak_open == 8, within_s=20.0), "alone, the batch has all the room"
    client.batches.cancel(batch_id)


def records(house: House) -> list[dict[str, Any]]:
    return [json.loads(line) for line in house.gateway.log_lines() if '"event":"request"' in line]


def weight(record: dict[str, Any]) -> float:
    """As the fair queue counts tokens."""
    return float(record["prompt_tokens"] + 2 * record["completion_tokens"])


def weights(house: House) -> tuple[float, float]:
    """Of the rows that were answered, and of all else."""
    told = records(house)
    rows = sum(weight(record) for record in told if record["request_id"].startswith("row-"))
    return rows, sum(map(weight, told)) - rows


def max_weight(house: House) -> float:
    return max(map(weight, records(house)))


def test_anybody_may_say_that_a_request_can_wait(build: Build) -> None:
    house = build(change=batching())
    house.replicas[0].manner = SLOW
    headers = {"Authorization": f"Bearer {house.gateway.key}", "x-fairlead-priority": "batch"}

    async def flood() -> list[int]:
        async with httpx.AsyncClient(base_url=house.gateway.url, headers=headers, timeout=60.0) as client:
            asked = [client.post("/v1/chat/completions", json=question("slow")) for _ in range(20)]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    with in_a_hurry(house) as seen:
        assert asyncio.run(flood()) == [200] * 20, "who says so is patient: no max_wait turns it away"
        assert house.replicas[0].record.peak_open == 2
        assert len(seen) > 10
    bodies = [json.loads(request.body)["messages"][0]["content"] for request in house.seen]
    assert bodies.count("slow") == 20
