"""Idempotency-Key: one key, one run, one charge; the same answer again, streamed or not."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from .conftest import Build, House
from .harness import question
from .upstream import Manner, eventually
from .wire import Answer, ask, connection, post, read_head

CHAT = "/v1/chat/completions"


def keyed(house: House, name: str, *, key: str = "", path: str = CHAT, **fields: Any) -> Answer:
    asked = post(key or house.gateway.key, question(**fields), f"Idempotency-Key: {name}", path=path)
    return asyncio.run(ask(house.gateway.port, asked))


def code(answer: Answer) -> str:
    return str(answer.json["error"]["code"])


def rows(house: House) -> int:
    return sum(row["prompt_tokens"] > 0 for row in house.gateway.ledger())


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_again_is_answered_from_memory(build: Build, stream: bool) -> None:
    house = build(replicas=2)
    first, again = (keyed(house, "a", max_tokens=5, stream=stream) for _ in range(2))
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert again.fields["content-type"] == first.fields["content-type"]
    assert again.fields["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.fields
    assert len(house.seen) == 1
    assert eventually(lambda: rows(house) == 1)


def test_a_key_belongs_to_a_tenant_and_a_body(build: Build) -> None:
    house = build()
    assert keyed(house, "a", max_tokens=5).status == 200
    other = keyed(house, "a", max_tokens=6)
    assert (other.status, code(other), other.fields["x-should-retry"]) == (422, "idempotency_key_reused", "false")
    assert keyed(house, "a", max_tokens=5, path="/v1/completions").status == 422
    stranger = house.gateway.new_key(tenant="another")
    assert eventually(lambda: keyed(house, "a", key=stranger, max_tokens=6).status == 200)
    assert keyed(house, "b", max_tokens=6).status == 200
    assert len(house.seen) == 3


def test_a_duplicate_of_a_running_request_is_told_to_come_back(build: Build) -> None:
    house = build()
    house.replicas[0].manner = Manner(first_byte_s=0.4)
    answers = asyncio.run(duplicates(house, 5))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409]
    busy = next(answer for answer in answers if answer.status == 409)
    assert (code(busy), busy.fields["x-should-retry"]) == ("idempotency_key_in_use", "true")
    assert keyed(house, "a", max_tokens=5).status == 200
    assert len(house.seen) == 1


async def duplicates(house: House, count: int) -> list[Answer]:
    asked = post(house.gateway.key, question(max_tokens=5), "Idempotency-Key: a")
    return list(await asyncio.gather(*(ask(house.gateway.port, asked) for _ in range(count))))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_lost_its_connection_gets_the_answer_the_second_time(build: Build, stream: bool) -> None:
    """The run is not cut: the client that comes back finds it, and both together are charged once."""
    house = build()
    house.replicas[0].manner = Manner(first_byte_s=0.2, gap_s=0.02)
    asyncio.run(leave(house, stream=stream))
    assert eventually(partial(was_kept, house, stream=stream))
    again = keyed(house, "a", max_tokens=20, seed=50, stream=stream)
    assert again.fields["idempotent-replayed"] == "true"
    assert not stream or again.body.endswith(b"data: [DONE]\n\n")
    assert len(house.seen) == 1
    assert house.cancelled == 0
    (row,) = house.gateway.ledger_rows(1)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (50, 20)
    assert house.gateway.metrics()["fairlead_connections", ()] <= 1


def was_kept(house: House, *, stream: bool) -> bool:
    return keyed(house, "a", max_tokens=20, seed=50, stream=stream).status == 200


async def leave(house: House, *, stream: bool) -> None:
    asked = post(house.gateway.key, question(max_tokens=20, seed=50, stream=stream), "Idempotency-Key: a")
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(asked)
        if stream:
            await read_head(reader)
        else:
            assert await asyncio.to_thread(eventually, lambda: house.open == 1)


@pytest.mark.parametrize("manner", [Manner(die="before"), Manner(status=500), Manner(status=400)], ids=str)
def test_a_run_that_cost_nothing_may_be_tried_again(build: Build, manner: Manner) -> None:
    house = build()
    house.replicas[0].manner = manner
    assert keyed(house, "a").status >= 400
    house.replicas[0].manner = Manner()
    assert keyed(house, "a").status == 200
    assert eventually(lambda: rows(house) == 1)


def test_a_stream_that_broke_is_replayed_as_it_was(build: Build) -> None:
    """It was charged for: a second run would be a second charge."""
    house = build()
    house.replicas[0].manner = Manner(die="middle", die_after=4)
    first = keyed(house, "a", max_tokens=9, stream=True)
    assert b"engine_lost" in first.body
    house.replicas[0].manner = Manner()
    assert keyed(house, "a", max_tokens=9, stream=True).body == first.body
    assert eventually(lambda: rows(house) == 1)


def test_a_request_that_a_limit_refused_may_be_tried_again(build: Build) -> None:
    tokens = {"count": 1000, "period_s": 1, "burst": 1000}
    house = build(change=lambda config: config.update(rate_limits={"all": {"tokens": tokens}}))
    assert keyed(house, "fill", max_tokens=900, seed=1).status == 200
    assert keyed(house, "a", max_tokens=900, seed=1).status == 429
    assert eventually(lambda: keyed(house, "a", max_tokens=900, seed=1).status == 200)
    replayed = keyed(house, "a", max_tokens=900, seed=1)
    assert replayed.fields["x-ratelimit-limit-tokens"] == "1000"
    assert len(house.seen) == 2


def test_keys_are_forgotten_after_their_lifetime_and_when_memory_is_short(build: Build) -> None:
    house = build(change=lambda config: config.update(idempotency={"lifetime_s": 1.0, "memory_bytes": 16_384}))
    assert keyed(house, "a", max_tokens=900).status == 200  # some 9 KB
    assert keyed(house, "b", max_tokens=900).status == 200  # takes the place of the first
    keyed(house, "b", max_tokens=900)
    assert len(house.seen) == 2
    keyed(house, "a", max_tokens=900)
    assert len(house.seen) == 3
    assert eventually(lambda: "idempotent-replayed" not in keyed(house, "a", max_tokens=900).fields)


@pytest.mark.parametrize("name", ["", "x" * 256, "two words"])
def test_a_key_that_is_none_is_refused(build: Build, name: str) -> None:
    house = build()
    answer = keyed(house, name)
    assert (answer.status, code(answer)) == (400, "invalid_idempotency_key")
    assert house.seen == []
