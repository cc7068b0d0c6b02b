"""No payload of the smuggling table runs its hidden request, and no more are accepted than by Node's parser."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import House
from .smuggling import HIDDEN, Wire, payloads
from .wire import ask, exchange, exchange_all, head, statuses

Answers = dict[str, list[int]]


@pytest.fixture(scope="module")
def answers(shared_house: House) -> tuple[Answers, set[str]]:
    """What the gateway answers to the table, and the payloads whose hidden request reached an engine."""
    for one in shared_house.replicas:
        one.forget()
    table = payloads(shared_house.gateway.key)
    answered = asyncio.run(exchange_all(shared_house.gateway.port, table))
    smuggled = {"some payload"} if any(HIDDEN in request.body for request in shared_house.seen) else set()
    return answered, smuggled and find_smugglers(shared_house, table)


def find_smugglers(house: House, table: dict[str, bytes]) -> set[str]:
    """The same once more, one by one, to name them."""
    found = set()
    for name, raw in table.items():
        for one in house.replicas:
            one.forget()
        asyncio.run(exchange(house.gateway.port, raw, quiet_s=0.2))
        if any(HIDDEN in request.body for request in house.seen):
            found.add(name)
    return found


@pytest.fixture(scope="module")
def node_port() -> Iterator[int]:
    node = shutil.which("node")
    if not node:
        pytest.skip("no `node` on PATH to compare with")
    script = Path(__file__).with_name("node_server.mjs")
    with subprocess.Popen([node, str(script)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.terminate()


def test_the_table_is_large_and_its_hidden_request_is_one_that_runs(house: House) -> None:
    table = payloads(house.gateway.key)
    assert len(table) >= 76
    raw = table["hop: request after connection: close"]
    alone = raw[raw.index(b"POST ") :]
    answer = asyncio.run(exchange(house.gateway.port, alone))
    assert statuses(answer) == [200], answer
    assert [HIDDEN in request.body for request in house.seen] == [True]


def test_no_hidden_request_is_run(answers: tuple[Answers, set[str]]) -> None:
    assert answers[1] == set()


def test_none_is_answered_twice(answers: tuple[Answers, set[str]]) -> None:
    assert {name: codes for name, codes in answers[0].items() if len(codes) > 1} == {}


def test_every_payload_is_answered_or_cut_and_never_a_fault_of_ours(answers: tuple[Answers, set[str]]) -> None:
    assert {
        name: codes for name, codes in answers[0].items() if any(code >= 500 and code != 501 for code in codes)
    } == {}


def test_no_more_are_accepted_than_by_node(answers: tuple[Answers, set[str]], node_port: int) -> None:
    theirs = accepted(asyncio.run(exchange_all(node_port, payloads("sk-fl-node"))))
    ours = accepted(answers[0])
    print(f"accepted: gateway {len(ours)}, node {len(theirs)}; only by the gateway: {sorted(ours - theirs)}")
    assert len(ours) <= len(theirs), sorted(ours - theirs)


REFUSED_EVEN_ALONE = {
    "two codings": ("POST /v1/chat/completions HTTP/1.1", "Transfer-Encoding: gzip, chunked"),
    "identity, chunked": ("POST /v1/chat/completions HTTP/1.1", "Transfer-Encoding: identity, chunked"),
    "chunked twice": ("POST /v1/chat/completions HTTP/1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "chunks in HTTP/1.0": ("POST /v1/chat/completions HTTP/1.0", "Transfer-Encoding: chunked"),
    "compressed": ("POST /v1/chat/completions HTTP/1.1", "Transfer-Encoding: chunked\r\nContent-Encoding: gzip"),
    "two keys": ("POST /v1/chat/completions HTTP/1.1", "Transfer-Encoding: chunked\r\nAuthorization: Bearer other"),
}


@pytest.mark.parametrize(("line", "fields"), REFUSED_EVEN_ALONE.values(), ids=REFUSED_EVEN_ALONE)
def test_what_could_be_read_in_two_ways_is_refused_with_nothing_behind_it(house: House, line: str, fields: str) -> None:
    raw = head(line, house.gateway.key, fields) + Wire(b"", "m0").chunked
    assert statuses(asyncio.run(exchange(house.gateway.port, raw)))[0] in (400, 415, 501)
    assert house.seen == []
    clean = head("POST /v1/chat/completions HTTP/1.1", house.gateway.key, "Transfer-Encoding: chunked")
    assert asyncio.run(ask(house.gateway.port, clean + Wire(b"", "m0").chunked)).status == 200


def accepted(answers: Answers) -> set[str]:
    return {name for name, codes in answers.items() if codes and codes[0] // 100 == 2}
