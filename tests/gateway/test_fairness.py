"""A model that is full is shared by weight in tokens, however many requests a tenant sends."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from .conftest import Build, House
from .harness import question
from .upstream import Manner, eventually
from .wire import Answer, ask, connection, post, read_answer

LONG_S = 3600.0
FAIR: dict[str, Any] = {"queue": 400, "max_wait_s": LONG_S, "max_in_flight": 4}


def shared(**fields: Any) -> Any:
    def change(config: dict[str, Any]) -> None:
        config["fairness"] = {**FAIR, **fields}
        config["roles"]["slow"] = config["roles"]["user"]

    return change


async def keep_busy(house: House, key: str, workers: int, end: float, **fields: Any) -> int:
    """So many callers, each of whom asks again when it is answered; the tokens that they got in all."""
    request = post(key, question(**fields))

    async def work() -> int:
        tokens = 0
        async with connection(house.gateway.port) as (reader, writer):
            while time.monotonic() < end:
                writer.write(request)
                answer = await read_answer(reader)
                if answer.status == 200 and time.monotonic() < end:
                    tokens += answer.json["usage"]["total_tokens"]
        return tokens

    return sum(await asyncio.gather(*(work() for _ in range(workers))))


async def race(house: House, for_s: float, *runners: dict[str, Any]) -> list[int]:
    end = time.monotonic() + for_s
    return list(await asyncio.gather(*(keep_busy(house, end=end, **runner) for runner in runners)))


def keys(house: House, *names: str, role: str = "user") -> list[str]:
    made = [house.gateway.new_key(tenant=name, role=role) for name in names]
    for key in made:
        assert eventually(lambda key=key: house.gateway.chat(key=key).status_code == 200)  # type: ignore[misc]
    return made


def test_ten_times_the_load_gets_no_more_than_its_share(build: Build) -> None:
    """One tenant sends 10 x the requests of the other, and longer ones; both always have some waiting."""
    house = build(replicas=2, change=shared())
    greedy, modest = keys(house, "greedy", "modest")
    for one in house.replicas:
        one.manner = Manner(first_byte_s=0.02)
    got = asyncio.run(
        race(
            house,
            4.0,
            {"key": greedy, "workers": 160, "max_tokens": 60, "seed": 60},
            {"key": modest, "workers": 16, "max_tokens": 20, "seed": 20},
        )
    )
    assert got[0] <= 1.2 * got[1]
    assert got[1] <= 1.2 * got[0]


def test_tokens_are_shared_by_weight(build: Build) -> None:
    house = build(change=shared(tenants={"gold": 3.0}))
    gold, tin = keys(house, "gold", "tin")
    house.replicas[0].manner = Manner(first_byte_s=0.02)
    runner = {"workers": 24, "max_tokens": 20, "seed": 20}
    got = asyncio.run(race(house, 3.0, {"key": gold, **runner}, {"key": tin, **runner}))
    assert 2.4 <= got[0] / got[1] <= 3.6


def test_batch_waits_behind_interactive_but_never_starves(build: Build) -> None:
    house = build(change=shared(batch_roles=["slow"], batch_share=0.1))
    (live,), (bulk,) = keys(house, "live"), keys(house, "bulk", role="slow")
    house.replicas[0].manner = Manner(first_byte_s=0.02)
    runner = {"workers": 24, "max_tokens": 20, "seed": 20}
    got = asyncio.run(race(house, 3.0, {"key": live, **runner}, {"key": bulk, **runner}))
    assert 0.05 <= got[1] / sum(got) <= 0.2


def test_engines_get_no_more_than_they_run(build: Build) -> None:
    house = build(replicas=2, change=shared())
    for one in house.replicas:
        one.manner = Manner(first_byte_s=0.1)
    answers = asyncio.run(many(house, 40))
    assert Counter(answer.status for answer in answers) == {200: 40}
    assert [one.record.peak_open for one in house.replicas] == [4, 4]


def test_a_service_takes_what_all_engines_behind_it_take(build: Build) -> None:
    """In a cluster one upstream stands for many pods."""

    def behind(config: dict[str, Any]) -> None:
        shared()(config)
        for model in config["models"].values():
            model["engines"] = 3

    house = build(replicas=1, change=behind)
    house.replicas[0].manner = Manner(first_byte_s=0.1)
    answers = asyncio.run(many(house, 40))
    assert Counter(answer.status for answer in answers) == {200: 40}
    assert house.replicas[0].record.peak_open == 12


async def many(house: House, count: int) -> list[Answer]:
    request = post(house.gateway.key, question())
    return list(await asyncio.gather(*(ask(house.gateway.port, request) for _ in range(count))))


def test_a_full_queue_sheds_early_and_says_so(build: Build) -> None:
    house = build(change=shared(queue=10))
    house.replicas[0].manner = Manner(first_byte_s=0.3)
    answers = asyncio.run(many(house, 40))
    counts = Counter(answer.status for answer in answers)
    assert counts == {200: 14, 429: 26}
    told = next(answer for answer in answers if answer.status == 429)
    assert told.json["error"]["code"] == "tenant_queue_full"
    assert int(told.fields["retry-after-ms"]) > 0
    assert house.gateway.metrics()["fairlead_shed_total", (("model", "m0"), ("reason", "queue_full"))] == 26


def test_who_waits_too_long_is_told(build: Build) -> None:
    house = build(change=shared(max_wait_s=0.3))
    house.replicas[0].manner = Manner(first_byte_s=1.0)
    answers = asyncio.run(many(house, 8))
    assert Counter(answer.status for answer in answers) == {200: 4, 503: 4}
    assert {answer.json["error"]["code"] for answer in answers if answer.status == 503} == {"overloaded"}
    assert len(house.seen) == 4


def test_who_leaves_the_queue_costs_nothing_and_holds_no_place(build: Build) -> None:
    house = build(change=shared(max_in_flight=1))
    house.replicas[0].manner = Manner(first_byte_s=0.3)
    asyncio.run(crowd(house, 12))
    assert eventually(lambda: house.open == 0)
    assert house.gateway.metrics()["fairlead_waiting_requests", (("model", "m0"),)] == 0
    house.replicas[0].manner = Manner()
    assert house.gateway.chat().status_code == 200
    assert eventually(lambda: len(house.gateway.ledger()) == 13)
    assert sum(row["prompt_tokens"] > 0 for row in house.gateway.ledger()) == len(house.seen) == 2


async def crowd(house: House, count: int) -> None:
    """One runs, the others wait; then all of them leave."""
    request = post(house.gateway.key, question())
    async with AsyncExitStack() as opened:
        for _ in range(count):
            _, writer = await opened.enter_async_context(connection(house.gateway.port))
            writer.write(request)
        waiting = ("fairlead_waiting_requests", (("model", "m0"),))
        assert await asyncio.to_thread(eventually, lambda: house.gateway.metrics()[waiting] == count - 1)
    await asyncio.sleep(0)


def test_fairness_that_is_taken_away_by_a_reload_lets_all_run(build: Build) -> None:
    house = build(change=shared(max_in_flight=1))
    house.replicas[0].manner = Manner(first_byte_s=0.5)
    answers = asyncio.run(reloaded(house))
    assert Counter(answer.status for answer in answers) == {200: 6}
    assert house.replicas[0].record.peak_open >= 5


async def reloaded(house: House) -> list[Answer]:
    asking = asyncio.create_task(many(house, 6))
    assert await asyncio.to_thread(eventually, lambda: house.open == 1)
    house.gateway.write(house.gateway.config | {"fairness": None})
    return await asking
