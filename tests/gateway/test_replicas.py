"""Work goes to the replica with the least of it; a dead one costs no request, and a second try none its first byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .conftest import Build, House
from .harness import question
from .test_access import refused
from .upstream import Manner, eventually


def chats(house: House, number: int, *, at_once: int = 1) -> list[int]:
    """Status codes of `number` chats, on as many keep-alive connections as run at once."""
    with house.gateway.client() as client, ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda _: chat(client), range(number)))


def chat(client: httpx.Client) -> int:
    return client.post("/v1/chat/completions", json=question()).status_code


def test_work_at_the_same_time_spreads_evenly(build: Build) -> None:
    house = build(replicas=3)
    for one in house.replicas:
        one.manner = Manner(first_byte_s=0.3)
    assert set(chats(house, 24, at_once=24)) == {200}
    assert [one.record.peak_open for one in house.replicas] == [8, 8, 8]


def test_a_slow_replica_gets_less(build: Build) -> None:
    house = build(replicas=2)
    slow, quick = house.replicas
    slow.manner = Manner(first_byte_s=0.4)
    assert set(chats(house, 40, at_once=4)) == {200}
    assert len(slow.record.seen) * 2 < len(quick.record.seen)


def test_ties_are_broken_fairly(build: Build) -> None:
    house = build(replicas=4)
    assert set(chats(house, 40)) == {200}
    assert min(len(one.record.seen) for one in house.replicas) >= 8


@pytest.mark.parametrize("die", ["before", "head"])
def test_a_retry_goes_to_another_replica_before_the_first_byte(build: Build, die: str) -> None:
    house = build(replicas=2)
    bad, good = house.replicas
    bad.manner = Manner(die=die)
    assert set(chats(house, 6)) == {200}
    assert bad.record.seen
    assert len(good.record.seen) == 6


def test_a_busy_replica_is_passed_over(build: Build) -> None:
    house = build(replicas=2)
    house.replicas[0].manner = Manner(status=503, fields=(("Retry-After", "1"),))
    assert set(chats(house, 6)) == {200}


def test_two_replicas_that_die_make_one_502_after_two_attempts(build: Build) -> None:
    """No connection is kept yet: one that is could have been closed meanwhile, and is worth another try."""
    house = build(replicas=2)
    for one in house.replicas:
        one.manner = Manner(die="before")
    refused(house.gateway.chat(), 502)
    assert len(house.seen) == 2


def test_an_overloaded_engine_is_503_with_its_retry_after(build: Build) -> None:
    house = build()
    house.replicas[0].manner = Manner(status=503, fields=(("Retry-After", "9"),), error="full")
    answer = house.gateway.chat()
    assert refused(answer, 503)["message"] == "full"
    assert answer.headers["retry-after"] == "9"


def test_retries_are_held_to_their_budget(build: Build) -> None:
    """With every engine broken, an outage is not doubled: some reserve, then a tenth."""
    house = build(replicas=2)
    for one in house.replicas:
        one.manner = Manner(die="before")
    codes = chats(house, 100, at_once=4)
    assert set(codes) <= {502, 503}
    assert len(house.seen) - len(codes) <= 10 + 0.1 * len(codes) + 1


def test_a_dead_replica_costs_no_request_and_comes_back(build: Build) -> None:
    house = build(replicas=2)
    dead, alive = house.replicas
    dead.vanish()
    assert set(chats(house, 60, at_once=4)) == {200}
    assert len(alive.record.seen) == 60
    assert eventually(lambda: up(house) == {dead.url: False, alive.url: True})
    dead.listen()
    assert eventually(lambda: up(house) == {dead.url: True, alive.url: True})
    assert set(chats(house, 10)) == {200}
    assert dead.record.seen


def up(house: House) -> dict[str, bool]:
    return {replica["url"]: replica["up"] for replica in house.gateway.admin("/status").json()["models"]["m0"]}


def test_an_unhealthy_replica_is_taken_out_and_comes_back(build: Build) -> None:
    house = build(replicas=2)
    ill, well = house.replicas
    ill.manner = Manner(healthy=False)
    assert eventually(lambda: up(house) == {ill.url: False, well.url: True}, within_s=15.0)
    assert set(chats(house, 10)) == {200}
    assert ill.record.seen == []
    ill.manner = Manner()
    assert eventually(lambda: up(house) == {ill.url: True, well.url: True})


def test_without_any_replica_the_answer_is_503_and_readyz_says_so(build: Build) -> None:
    house = build()
    (one,) = house.replicas
    one.vanish()
    assert house.gateway.chat().status_code in (502, 503)
    assert eventually(lambda: house.gateway.admin("/readyz").status_code == 503, within_s=15.0)
    assert house.gateway.admin("/readyz/gateway").status_code == 200  # it can still serve other models
    answer = house.gateway.chat()
    refused(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    one.listen()
    assert eventually(lambda: house.gateway.admin("/readyz").status_code == 200)
    assert house.gateway.chat().status_code == 200


def test_a_kept_connection_that_the_engine_closed_costs_no_request(build: Build) -> None:
    """An engine restarted between two requests: the kept connection is dead, the engine is not."""
    house = build()
    (one,) = house.replicas
    for _ in range(5):
        assert house.gateway.chat().status_code == 200
        one.vanish()
        one.listen()
    assert house.gateway.chat().status_code == 200
