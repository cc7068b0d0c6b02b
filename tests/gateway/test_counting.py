"""A prompt that the engine's tokenizer counts is reserved to the token; when it cannot, the estimate has to do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import Build, House
from .harness import HASTY, question
from .upstream import Manner, eventually
from .wire import Answer, ask, connection, post

LIMIT = 10_000


def exact(config: dict[str, Any]) -> None:
    tokens = {"count": LIMIT, "period_s": 86_400 * 1e6, "burst": LIMIT}
    config["models"]["m0"]["exact_prompts"] = True
    config["rate_limits"] = {"all": {"tokens": tokens, "concurrent": 50}}


def send(house: House, *fields: str, **asked: Any) -> Answer:
    return asyncio.run(ask(house.gateway.port, post(house.gateway.key, question(**asked), *fields)))


def left(answer: Answer) -> int:
    return int(answer.fields["x-ratelimit-remaining-tokens"])


@pytest.mark.parametrize("stream", [False, True])
def test_the_engine_says_what_is_reserved(build: Build, stream: bool) -> None:
    """A few bytes of 6,000 tokens: they do not fit twice, and the second is refused before it reaches the engine."""
    house = build(change=exact)
    assert send(house, seed=6000, max_tokens=10, stream=stream).status == 200
    refused = send(house, seed=6000, max_tokens=10, stream=stream)
    assert (refused.status, refused.json["error"]["code"], left(refused)) == (429, "rate_limit_exceeded", LIMIT - 6010)
    assert (len(house.seen), house.replicas[0].record.tokenized) == (1, 2)
    answer = send(house, seed=100, max_tokens=10)
    assert (answer.status, left(answer)) == (200, LIMIT - 6010 - 110)


def test_a_model_without_limits_is_not_asked(build: Build) -> None:
    house = build(change=lambda config: config["models"]["m0"].update(exact_prompts=True))
    assert send(house).status == 200
    assert house.replicas[0].record.tokenized == 0


def test_an_engine_that_cannot_count_is_no_reason_to_refuse(build: Build) -> None:
    house = build(change=exact)
    house.replicas[0].manner = Manner(tokenizes=False)
    assert send(house, seed=6000, max_tokens=10).status == 200
    assert len(house.seen) == 1


def test_a_client_that_leaves_and_a_deadline_while_it_counts(build: Build) -> None:
    """Nothing was reserved, and the idempotency key is free again."""
    house = build(change=exact)
    house.replicas[0].manner = Manner(first_byte_s=1.0)
    asyncio.run(leave(house))
    late = send(house, "Idempotency-Key: a", model=HASTY)
    assert late.status == 504
    house.replicas[0].manner = Manner()
    answer = send(house, "Idempotency-Key: a", seed=10, max_tokens=5)
    assert (answer.status, left(answer)) == (200, LIMIT - 15)
    again = send(house, "Idempotency-Key: a", seed=10, max_tokens=5)
    assert (again.body, left(again)) == (answer.body, LIMIT - 15)
    assert len(house.seen) == 1


async def leave(house: House) -> None:
    async with connection(house.gateway.port) as (_, writer):
        writer.write(post(house.gateway.key, question(), "Idempotency-Key: a"))
        assert await asyncio.to_thread(eventually, lambda: house.replicas[0].record.tokenized == 1)


def test_many_at_once(build: Build) -> None:
    house = build(replicas=2, change=exact)
    answers = asyncio.run(many(house, 40))
    assert {answer.status for answer in answers} == {200}
    assert left(send(house, seed=50, max_tokens=5)) == LIMIT - 41 * 55
    assert sum(one.record.tokenized for one in house.replicas) == 41


async def many(house: House, count: int) -> list[Answer]:
    request = post(house.gateway.key, question(seed=50, max_tokens=5))
    return list(await asyncio.gather(*(ask(house.gateway.port, request) for _ in range(count))))
