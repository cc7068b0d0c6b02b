"""Slow, large and many: each limit holds before the request reaches a model, and nobody else pays for it."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from .conftest import Build, House
from .harness import question
from .test_access import refused
from .upstream import Manner, eventually
from .wire import ask, connection, get, head, post, read_answer, read_chunks, read_head, statuses, until_end

IDLE_CONNECTIONS = 5000


async def drip(port: int, first: bytes, slow: bytes) -> tuple[int, bytes]:
    """Send `first` at once and `slow` a byte each 100 ms: how many bytes went before the cut, and what came back."""
    sent = 0
    async with connection(port) as (reader, writer):
        writer.write(first)
        ended = asyncio.create_task(until_end(reader, within_s=20.0))
        for byte in slow:
            await asyncio.wait({ended}, timeout=0.1)
            if ended.done():
                break
            writer.write(bytes((byte,)))
            sent += 1
        return sent, await ended


def test_slow_senders_are_cut(build: Build) -> None:
    """Heads, heads of a second request, bodies and chunked bodies; all at once, beside a client that says nothing."""
    house = build(header_timeout_s=0.6, body_timeout_s=0.6, idle_timeout_s=60.0)
    asyncio.run(drips(house))
    assert house.seen == []
    assert house.gateway.chat().status_code == 200


async def drips(house: House) -> None:
    port, key = house.gateway.port, house.gateway.key
    listing = get(key)
    first, body = post(key, question("x" * 200)).split(b"\r\n\r\n")
    chunked_head = head("POST /v1/chat/completions HTTP/1.1", key, "Transfer-Encoding: chunked")
    cases = {
        "head": (b"", listing, []),
        "second head": (listing, listing, [200]),
        "body": (first + b"\r\n\r\n", body, []),
        "chunked body": (chunked_head, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), []),
    }
    results = await asyncio.gather(*(drip(port, quick, slow) for quick, slow, _ in cases.values()))
    for (what, (_, slow, answered)), (sent, answer) in zip(cases.items(), results, strict=True):
        assert sent < len(slow) // 2, what
        assert statuses(answer) in (answered, [*answered, 408]), what


def test_a_connection_that_says_nothing_is_closed(build: Build) -> None:
    house = build(header_timeout_s=0.5, idle_timeout_s=0.5)
    raw = get(house.gateway.key)
    for sent, expected in ((b"", ([], [408])), (raw, ([200],))):
        assert statuses(asyncio.run(all_until_cut(house.gateway.port, sent))) in expected


async def all_until_cut(port: int, raw: bytes) -> bytes:
    async with connection(port) as (reader, writer):
        writer.write(raw)
        return await until_end(reader, within_s=20.0)


def test_a_stalled_request_under_way_is_not_idle(build: Build) -> None:
    """The idle limit must not cut an answer that takes its time."""
    house = build(header_timeout_s=0.3, body_timeout_s=0.3, idle_timeout_s=0.3)
    house.replicas[0].manner = Manner(first_byte_s=1.0)
    assert house.gateway.chat().status_code == 200


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_five_thousand_idle_connections_stop_nobody(build: Build, many_files: None) -> None:
    house = build(header_timeout_s=120.0)
    asyncio.run(crowd(house))


async def crowd(house: House) -> None:
    port, key = house.gateway.port, house.gateway.key
    await rate(port, key)  # warm
    alone = await rate(port, key)
    async with AsyncExitStack() as stack:
        for _ in range(IDLE_CONNECTIONS // 100):
            await asyncio.gather(*(stack.enter_async_context(idle(port)) for _ in range(100)))
        counted = await asyncio.to_thread(house.gateway.metrics)
        assert counted["fairlead_connections", ()] >= IDLE_CONNECTIONS
        crowded = max([await rate(port, key) for _ in range(2)])
        print(f"{alone:.0f} requests/s alone, {crowded:.0f} beside {IDLE_CONNECTIONS} idle connections")
    assert crowded > alone / 3


@asynccontextmanager
async def idle(port: int) -> AsyncIterator[None]:
    """A connection that has sent half a head."""
    async with connection(port) as (_, writer):
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n")
        await writer.drain()
        yield


async def rate(port: int, key: str, *, requests: int = 400) -> float:
    """Requests per second on one connection, one after the other."""
    raw = post(key, question())
    async with connection(port) as (reader, writer):
        begun = time.perf_counter()
        for _ in range(requests):
            writer.write(raw)
            assert (await read_answer(reader)).status == 200
        return requests / (time.perf_counter() - begun)


def test_a_head_over_the_limit_is_431(build: Build) -> None:
    house = build(max_header_bytes=2000)
    key = house.gateway.key
    refused(asyncio.run(ask(house.gateway.port, get(key, "/v1/models", "X-A: " + "b" * 3000))), 431)
    refused(asyncio.run(ask(house.gateway.port, get(key, "/v1/models", *(f"X-{n}: b" for n in range(400))))), 431)
    refused(asyncio.run(ask(house.gateway.port, get(key, "/v1/models?" + "a" * 3000))), 431)
    assert asyncio.run(ask(house.gateway.port, get(key, "/v1/models", "X-A: " + "b" * 1500))).status == 200


def test_a_head_without_end_is_431_before_its_end(build: Build) -> None:
    house = build(max_header_bytes=2000)
    first = get(house.gateway.key)[:-4] + b"\r\nX-A: " + b"b" * 5000
    assert statuses(asyncio.run(all_until_cut(house.gateway.port, first))) == [431]


def test_an_announced_body_over_the_limit_is_413_before_it_is_sent(build: Build) -> None:
    house = build(max_body_bytes=100_000)
    line = "POST /v1/chat/completions HTTP/1.1"
    for size in (100_001, 2**31, 10**18):
        raw = head(line, house.gateway.key, f"Content-Length: {size}")
        refused(asyncio.run(ask(house.gateway.port, raw)), 413)
        raw = head(line, house.gateway.key, f"Content-Length: {size}", "Expect: 100-continue")
        refused(asyncio.run(ask(house.gateway.port, raw)), 413)


def test_a_client_that_sends_its_too_large_body_anyway_gets_to_read_the_413(build: Build) -> None:
    house = build(max_body_bytes=100_000)
    refused(house.gateway.chat(prompt="x" * 3_000_000), 413)
    refused(asyncio.run(ask(house.gateway.port, chunked(house, [b"x" * 5000] * 30))), 413)
    assert house.seen == []


def test_a_body_just_under_the_limit_passes(build: Build) -> None:
    house = build(max_body_bytes=100_000)
    room = 100_000 - len(post("", question("")).split(b"\r\n\r\n")[1])
    assert house.gateway.chat(prompt="x" * (room - 50)).status_code == 200


def chunked(house: House, pieces: list[bytes]) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return head("POST /v1/chat/completions HTTP/1.1", house.gateway.key, "Transfer-Encoding: chunked") + body


def test_a_chunked_request_reaches_the_engine_whole(house: House) -> None:
    body = post("", question("hello " * 1000)).split(b"\r\n\r\n")[1]
    pieces = [body[start : start + 7] for start in range(0, len(body), 7)]
    assert asyncio.run(ask(house.gateway.port, chunked(house, pieces))).status == 200
    assert house.seen[0].body == body


def test_the_number_of_connections_is_limited(build: Build) -> None:
    house = build(max_connections=5)
    asyncio.run(one_too_many(house))
    assert eventually(lambda: house.gateway.chat().status_code == 200)


async def one_too_many(house: House) -> None:
    raw = get(house.gateway.key)
    async with AsyncExitStack() as stack:
        for _ in range(5):
            reader, writer = await stack.enter_async_context(connection(house.gateway.port))
            writer.write(raw)
            assert (await read_answer(reader)).status == 200
        answer = await all_until_cut(house.gateway.port, raw)
        assert statuses(answer) in ([], [503])
        writer.write(raw)
        assert (await read_answer(reader)).status == 200, "those inside go on"


def test_expect_100_continue_is_answered_before_the_body(house: House) -> None:
    asyncio.run(expect(house))


async def expect(house: House) -> None:
    raw = post(house.gateway.key, question(), "Expect: 100-continue")
    start, body = raw.split(b"\r\n\r\n")
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(start + b"\r\n\r\n")
        assert (await asyncio.wait_for(read_head(reader), 5.0))[0] == 100
        writer.write(body)
        assert (await asyncio.wait_for(read_answer(reader), 5.0)).status == 200


def test_expect_100_continue_without_a_good_key_invites_no_body(house: House) -> None:
    raw = post("sk-fl-wrong", question(), "Expect: 100-continue").split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    refused(asyncio.run(ask(house.gateway.port, raw)), 401)


def test_pipelined_requests_are_answered_in_order(house: House) -> None:
    house.replicas[0].manner = Manner(first_byte_s=0.05)
    asyncio.run(pipeline(house))


async def pipeline(house: House) -> None:
    """Twenty in one write: whole answers, streams, refusals and the list of models, all mixed."""
    key = house.gateway.key
    kinds: list[dict[str, Any]] = [{}, {"stream": True}, {"model": "no-such-model"}, {}]
    raw = b"".join(post(key, question(max_tokens=number + 1, **kinds[number % 4])) + get(key) for number in range(20))
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(raw)
        for number in range(20):
            answer = await asyncio.wait_for(read_answer(reader), 10.0)
            if number % 4 == 2:
                assert answer.status == 404
            elif number % 4 == 1:
                assert answer.body.count(b'"finish_reason"') == number + 1
            else:
                assert answer.json["usage"]["completion_tokens"] == number + 1
            assert (await asyncio.wait_for(read_answer(reader), 10.0)).json["object"] == "list"


def test_a_request_in_single_bytes_is_answered(house: House) -> None:
    async def send() -> int:
        async with connection(house.gateway.port) as (reader, writer):
            for byte in post(house.gateway.key, question()):
                writer.write(bytes((byte,)))
                await asyncio.sleep(0)
            return (await read_answer(reader)).status

    assert asyncio.run(send()) == 200


def test_connections_are_kept_on_both_sides(build: Build) -> None:
    house = build()
    before = house.replicas[0].record
    asyncio.run(rate(house.gateway.port, house.gateway.key, requests=50))
    checks = before.health_checks
    assert before.connections - checks <= 3
    assert len(before.seen) == 50


def test_a_prompt_of_200_kb_passes_whole(house: House) -> None:
    body = question("lorem ipsum " * 17_000)
    raw = post(house.gateway.key, body)
    assert len(raw) > 200_000
    for _ in range(3):
        assert asyncio.run(ask(house.gateway.port, raw)).status == 200
    assert all(request.json == body for request in house.seen)


FLOOD_BYTES = 50 * 2**20


def test_a_client_that_reads_slowly_holds_the_engine_back(build: Build) -> None:
    """The gateway's memory stays bounded while a fast engine has 50 MiB to stream; then all of it arrives."""
    house = build()
    (one,) = house.replicas
    assert house.gateway.chat().status_code == 200
    one.manner = Manner(flood_bytes=FLOOD_BYTES)
    asyncio.run(read_late(house))


async def read_late(house: House) -> None:
    before = house.gateway.rss_mib()
    plug = socket.create_connection(("127.0.0.1", house.gateway.port))
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    plug.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=plug, limit=2**18)
    try:
        writer.write(post(house.gateway.key, question(stream=True)))
        await read_head(reader)
        assert await asyncio.to_thread(held_back, house), "the engine was never held back"
        grown = house.gateway.rss_mib() - before
        print(f"grown by {grown:.1f} MiB while {FLOOD_BYTES / 2**20:.0f} MiB were waiting")
        assert grown < 24.0
        size = 0
        async for piece in read_chunks(reader):
            size += len(piece)
        assert size == FLOOD_BYTES // 65536 * 65536
        assert house.gateway.rss_mib() - before < 24.0
    finally:
        writer.transport.abort()


def held_back(house: House) -> bool:
    """The engine has stopped for a while with most of its work undone."""
    counts: list[int] = []

    def stands_still() -> bool:
        counts.append(house.replicas[0].record.tokens_sent)
        return len(counts) > 50 and counts[-50] == counts[-1] > 0

    return eventually(stands_still, within_s=20.0) and counts[-1] < FLOOD_BYTES // 65536 * 0.8
