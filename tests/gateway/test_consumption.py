"""Limits and budgets in the real process: what is reserved comes back, whatever happens to a request."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from .conftest import Build, House
from .harness import question, running
from .upstream import Manner, eventually, upstream
from .wire import Answer, ask, connection, post, read_answer, read_head

PRICE = {"prompt_nano": 10**9, "cached_nano": 10**9, "completion_nano": 2 * 10**9}  # 1 and 2 USD per million
DOLLAR = 10**9


def limit(**fields: Any) -> dict[str, Any]:
    return {"per": ["tenant"], **fields}


def flow(count: float, period_s: float, burst: float | None = None) -> dict[str, float]:
    return {"count": count, "period_s": period_s, "burst": count if burst is None else burst}


def with_limits(**limits: Any) -> Any:
    return lambda config: config.update(rate_limits=limits)


def with_budget(**fields: Any) -> Any:
    budget = {"period": "day", "per": ["tenant"], **fields}
    return lambda config: config.update(prices={"m0": PRICE}, currency="USD", budgets={"purse": budget})


def send(house: House, **fields: Any) -> Answer:
    return asyncio.run(ask(house.gateway.port, post(house.gateway.key, question(**fields))))


def error(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = answer.json["error"]
    return found


def test_an_answer_tells_what_is_left(build: Build) -> None:
    house = build(change=with_limits(calm=limit(requests=flow(10, 3600), tokens=flow(10_000, 3600))))
    for stream in (False, True):
        answer = send(house, max_tokens=5, seed=100, stream=stream)
        fields = answer.fields
        assert (fields["x-ratelimit-limit-requests"], fields["x-ratelimit-limit-tokens"]) == ("10", "10000")
        assert int(fields["x-ratelimit-remaining-requests"]) == (8 if stream else 9)
        assert re.fullmatch(r"(\d+h)?(\d+m)?\d+s", fields["x-ratelimit-reset-requests"])
    # both are settled to 105 tokens each, whatever was reserved for them
    used = 10_000 - int(send(house, max_tokens=5, seed=100).fields["x-ratelimit-remaining-tokens"])
    assert used == pytest.approx(3 * 105, abs=10)


def test_who_asks_for_too_much_is_told_when_to_come_back(build: Build) -> None:
    house = build(change=with_limits(calm=limit(requests=flow(2, 10))))
    assert [send(house).status for _ in range(2)] == [200, 200]
    answer = send(house)
    assert answer.status == 429
    assert (error(answer)["code"], error(answer)["type"]) == ("rate_limit_exceeded", "requests")
    assert 0 < int(answer.fields["retry-after-ms"]) <= 5000
    assert 1 <= int(answer.fields["retry-after"]) <= 5
    assert answer.fields["x-should-retry"] == "true"
    assert answer.fields["x-ratelimit-remaining-requests"] == "0"
    assert len(house.seen) == 2
    other = house.gateway.new_key(tenant="another")
    assert eventually(lambda: house.gateway.chat(key=other).status_code == 200)


def test_who_can_never_get_it_is_told_not_to_try(build: Build) -> None:
    house = build(change=with_limits(calm=limit(tokens=flow(1000, 60))))
    answer = send(house, max_tokens=5000)
    assert (answer.status, answer.fields["x-should-retry"]) == (429, "false")
    assert "retry-after" not in answer.fields
    assert send(house, max_tokens=10).status == 200


def test_only_so_many_run_at_once(build: Build) -> None:
    house = build(change=with_limits(few=limit(concurrent=3)))
    for one in house.replicas:
        one.manner = Manner(first_byte_s=0.3)
    answers = asyncio.run(at_once(house, 10))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 7
    assert house.replicas[0].record.peak_open == 3
    assert {answer.status for answer in asyncio.run(at_once(house, 3))} == {200}


async def at_once(house: House, count: int, **fields: Any) -> list[Answer]:
    request = post(house.gateway.key, question(**fields))
    return list(await asyncio.gather(*(ask(house.gateway.port, request) for _ in range(count))))


def test_a_storm_of_aborts_leaks_nothing(build: Build) -> None:
    """Answered, streamed, left early, broken off, refused, unreadable: afterwards all that was held is back."""
    budget = {"amount_nano": 1000 * DOLLAR, "period": "day"}
    house = build(
        replicas=2,
        change=lambda config: config.update(
            rate_limits={"all": {"tokens": flow(1e9, 86_400 * 1e6), "concurrent": 64}},
            prices={"m0": PRICE},
            budgets={"purse": budget},
        ),
    )
    manners = [
        Manner(),
        Manner(gap_s=0.02),
        Manner(die="before"),
        Manner(die="middle"),
        Manner(status=400),
        Manner(raw=b"x"),
    ]
    for number in range(24):
        for one in house.replicas:
            one.manner = manners[number % len(manners)]
        asyncio.run(storm(house))
    for one in house.replicas:
        one.manner = Manner()
    assert eventually(lambda: house.open == 0)
    answer = send(house, max_tokens=1, seed=1)
    gone = 10**9 - int(answer.fields["x-ratelimit-remaining-tokens"])
    assert eventually(lambda: sum(tokens_of(row) for row in house.gateway.ledger()) == gone), gone
    samples = house.gateway.metrics()
    assert samples["fairlead_budget_reserved", (("budget", "purse"), ("owner", ""))] == 0
    spent = samples["fairlead_budget_spent", (("budget", "purse"), ("owner", ""))]
    assert spent == pytest.approx(sum(row["cost_nano"] for row in house.gateway.ledger()) / DOLLAR, abs=1e-12)


def tokens_of(row: dict[str, Any]) -> int:
    return int(row["prompt_tokens"] + row["completion_tokens"])


async def storm(house: House) -> None:
    kinds: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: ask(house.gateway.port, post(house.gateway.key, question(max_tokens=3))),
        lambda: ask(house.gateway.port, post(house.gateway.key, b'{"model": "m0", "max_tokens": "x"}')),
        lambda: ask(house.gateway.port, post(house.gateway.key, question(model="nobody"))),
        lambda: leave(house, question(max_tokens=30)),
        lambda: leave(house, question(max_tokens=30, stream=True)),
        lambda: leave(house, question(max_tokens=30, stream=True), after_head=True),
    ]
    await asyncio.gather(*(kind() for kind in kinds), return_exceptions=True)


async def leave(house: House, asked: dict[str, Any], *, after_head: bool = False) -> None:
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(post(house.gateway.key, asked))
        await writer.drain()
        if after_head:
            await asyncio.wait_for(read_head(reader), 5.0)


def test_five_fold_overload_gets_the_limit_and_the_burst(build: Build) -> None:
    """By the gateway's own times: what was let in until a refusal is the burst and the rate's share of the time, +-2 %.

    Whoever is refused finds an empty bucket; behind the last refusal nobody knows what is left in it.
    """
    rate, burst, tokens = 300.0, 150.0, 30
    house = build(
        change=with_limits(
            all={"requests": flow(rate * 60, 60, burst), "tokens": flow(rate * 3 * tokens * 60, 60, burst * 3 * tokens)}
        )
    )
    send(house, max_tokens=1)  # connections are warm, the callers' table is there
    asyncio.run(overload(house, workers=24, for_s=4.0, tokens=tokens))
    lines = [json.loads(line) for line in house.gateway.log_lines() if '"event":"re' in line]
    refused = [line["at"] for line in lines if line["event"] == "refused"]
    began = sorted(line["at"] - line["duration_ms"] / 1e3 for line in lines if line["event"] == "request")[1:]
    let_in = [at for at in began if at < max(refused)]
    assert len(refused) > len(let_in), "no overload"
    assert len(let_in) == pytest.approx(burst + rate * (max(refused) - let_in[0]), rel=0.02)


async def overload(house: House, *, workers: int, for_s: float, tokens: int) -> None:
    request = post(house.gateway.key, question(max_tokens=tokens, seed=tokens))
    end = time.monotonic() + for_s

    async def work() -> None:
        async with connection(house.gateway.port) as (reader, writer):
            while time.monotonic() < end:
                writer.write(request)
                await read_answer(reader)

    await asyncio.gather(*(work() for _ in range(workers)))


PROMPTS = {"an honest prompt": 10, "a prompt of far more tokens than its bytes tell": 2000}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_a_budget_stops_at_its_amount(build: Build, prompt: int) -> None:
    """1 USD, 32 callers: no more is spent than the budget, and what ran beyond its reserve; books and answers agree."""
    house = build(replicas=2, change=with_budget(amount_nano=DOLLAR))
    for one in house.replicas:
        one.manner = Manner(first_byte_s=0.01)
    answers = asyncio.run(until_refused(house, callers=32, max_tokens=4000, seed=prompt))
    paid = [answer for answer in answers if answer.status == 200]
    each = prompt * 1000 + 4000 * 2000  # billionths: about 0.01 USD
    assert {error(answer)["code"] for answer in answers if answer.status != 200} == {"insufficient_quota"}
    rows = house.gateway.ledger_rows(len(paid))
    spent = sum(row["cost_nano"] for row in rows)
    assert spent == len(paid) * each
    unforeseen = 32 * prompt * 1000 if prompt > 1000 else 0  # prompts in flight
    assert DOLLAR - 32 * each < spent <= DOLLAR + unforeseen
    assert sum(tokens_of(row) for row in rows) == sum(answer.json["usage"]["total_tokens"] for answer in paid)
    last = send(house, max_tokens=20_000, seed=prompt)
    assert (last.status, last.fields["x-should-retry"]) == (429, "false")


async def until_refused(house: House, *, callers: int, **fields: Any) -> list[Answer]:
    request = post(house.gateway.key, question(**fields))

    async def caller() -> list[Answer]:
        got: list[Answer] = []
        while not got or got[-1].status == 200:
            got.append(await ask(house.gateway.port, request))
        return got

    return [answer for got in await asyncio.gather(*(caller() for _ in range(callers))) for answer in got]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_forgets_nothing_that_was_spent(build: Build, tmp_path: Path, end: str) -> None:
    house = build(change=with_budget(amount_nano=DOLLAR // 10))
    assert send(house, max_tokens=40_000, seed=1000).status == 200  # 0.081 of 0.1 USD
    getattr(house.gateway, end)()
    with running(house.gateway.config, tmp_path) as again:
        key = again.new_key()
        assert eventually(lambda: again.chat(key=key, max_tokens=1, seed=1).status_code == 200)
        assert again.chat(key=key, max_tokens=12_000, seed=1).status_code == 429


def test_a_threshold_is_told_once_to_log_metrics_and_webhook(build: Build) -> None:
    """The webhook says 500 at first: it is told again. Requests do not wait for it."""
    sent = ("fairlead_budget_webhooks_total", (("result", "sent"),))
    with upstream() as hook:
        hook.manner = Manner(status=500)
        house = build(change=with_budget(amount_nano=DOLLAR // 10, warn_webhook=f"{hook.url}/hook"))
        for _ in range(2):
            assert send(house, max_tokens=20_000, seed=1000).status == 200  # 0.041 each: the second crosses 0.08
        assert eventually(lambda: len(hook.record.seen) == 1)
        hook.manner = Manner()
        assert send(house, max_tokens=100, seed=1).status == 200
        assert eventually(lambda: house.gateway.metrics().get(sent) == 1)
        first, second = hook.record.seen
    told = second.json
    assert first.json == told
    assert (told["budget"], told["owner"], told["amount"], told["currency"]) == ("purse", {"tenant": "t"}, "0.1", "USD")
    assert 0.08 <= float(told["spent"]) < 0.1
    assert house.gateway.metrics()["fairlead_budget_warnings_total", (("budget", "purse"),)] == 1
    assert sum('"event":"budget_threshold"' in line for line in house.gateway.log_lines()) == 1


def answered(house: House, status: int) -> bool:
    return send(house, max_tokens=12_000, seed=1).status == status


def test_a_reload_keeps_what_was_used_and_takes_up_what_changed(build: Build) -> None:
    house = build(change=with_budget(amount_nano=DOLLAR // 10))
    assert send(house, max_tokens=40_000, seed=1000).status == 200
    config = house.gateway.config
    purse = config["budgets"]["purse"]
    for amount, status in ((DOLLAR // 20, 429), (DOLLAR, 200)):
        config["budgets"] = {"purse": purse | {"amount_nano": amount}}
        house.gateway.write(config)
        assert eventually(partial(answered, house, status))
    config["budgets"] = {"fresh": purse | {"amount_nano": DOLLAR // 10}}  # counts what the ledger knows
    house.gateway.write(config)
    assert eventually(partial(answered, house, 429))


def test_a_limit_that_appears_by_a_reload_holds(build: Build) -> None:
    house = build()
    assert "x-ratelimit-limit-requests" not in send(house).fields
    house.gateway.write(house.gateway.config | {"rate_limits": {"one": limit(requests=flow(1, 3600))}})
    assert eventually(lambda: send(house).status == 429)
    house.gateway.write({**house.gateway.config, "rate_limits": {}})
    assert eventually(lambda: send(house).status == 200)


def test_a_ledger_that_cannot_be_asked_delays_nobody_and_is_asked_again(build: Build, tmp_path: Path) -> None:
    """Budgets count from zero meanwhile, and what was spent before is added once it is known."""
    house = build(change=with_budget(amount_nano=DOLLAR // 10))
    assert send(house, max_tokens=40_000, seed=1000).status == 200  # 0.081 of 0.1 USD
    house.gateway.stop()
    ledger = house.gateway.state_dir / "ledger.db"
    with sqlite3.connect(ledger, isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")  # WAL: others read, and cannot ship
        with running(house.gateway.config, tmp_path) as again:
            key = again.new_key()
            assert eventually(lambda: again.chat(key=key, max_tokens=1, seed=1).status_code == 200)
            assert again.metrics()["fairlead_budgets_known", ()] == 0
            database.execute("ROLLBACK")
            assert eventually(lambda: again.metrics()["fairlead_budgets_known", ()] == 1, within_s=20.0)
            assert again.chat(key=key, max_tokens=12_000, seed=1).status_code == 429
    database.close()
