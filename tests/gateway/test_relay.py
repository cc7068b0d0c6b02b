"""Answers pass unmodified, but for the usage event that the gateway itself asked for; broken ones never look whole."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Build, House
from .harness import HASTY, question
from .test_access import refused
from .upstream import Manner, event, events, eventually, take_request
from .wire import Answer, ask, connection, post, read_answer, read_chunks, read_head

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
USAGE_EVENT = event({"id": "x", "object": "chat.completion.chunk", "model": "m0", "choices": [], "usage": USAGE})
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)


def manner(house: House, **fields: Any) -> None:
    for one in house.replicas:
        one.manner = Manner(**fields)


def stream(house: House, **fields: Any) -> Answer:
    return asyncio.run(ask(house.gateway.port, post(house.gateway.key, question(stream=True, **fields))))


@st.composite
def sse_bodies(draw: st.DrawFn) -> list[bytes]:
    """Events as engines write them: deltas, comments, fields of other names, CRLF now and then."""
    found = []
    for text in draw(st.lists(TEXTS, max_size=8)):
        delta = {"choices": [{"index": 0, "delta": {"content": text}}], "usage": None}
        end = draw(st.sampled_from(["\n\n", "\r\n\r\n"]))
        kind = draw(st.sampled_from(["data: {}", "data:{}", ": {}", "event: delta\ndata: {}"]))
        body = json.dumps(delta, ensure_ascii=draw(st.booleans())) if "data" in kind else text
        found.append((kind.format(body) if "{}" in kind else kind).encode() + end.encode())
    return found


def split(whole: bytes, cuts: list[int]) -> tuple[bytes, ...]:
    """`whole` in pieces, none of them empty."""
    edges = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    return tuple(whole[start:end] for start, end in pairwise(edges))


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@settings(max_examples=60, deadline=None)
@given(body=sse_bodies(), cuts=CUTS)
def test_a_stream_passes_byte_for_byte_when_the_client_asked_for_usage(
    shared_house: House, body: list[bytes], cuts: list[int]
) -> None:
    whole = b"".join(body) + USAGE_EVENT + b"data: [DONE]\n\n"
    manner(shared_house, pieces=split(whole, cuts))
    assert stream(shared_house, stream_options={"include_usage": True}).body == whole


@settings(max_examples=60, deadline=None)
@given(body=sse_bodies(), cuts=CUTS)
def test_only_the_usage_event_is_taken_out_when_the_client_did_not_ask(
    shared_house: House, body: list[bytes], cuts: list[int]
) -> None:
    without = b"".join(body), b"data: [DONE]\n\n"
    manner(shared_house, pieces=split(USAGE_EVENT.join(without), cuts))
    assert stream(shared_house).body == b"".join(without)


@settings(max_examples=30, deadline=None)
@given(body=st.binary(max_size=3000), status=st.sampled_from([200, 201, 400, 422]), chunked=st.booleans())
def test_a_whole_answer_passes_byte_for_byte(shared_house: House, body: bytes, status: int, chunked: bool) -> None:
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    framed = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n" if chunked else body
    head = b"HTTP/1.1 %d Told\r\nContent-Type: application/json\r\n%s\r\n\r\n" % (status, framing)
    manner(shared_house, raw=head + framed)
    answer = asyncio.run(ask(shared_house.gateway.port, post(shared_house.gateway.key, question())))
    assert answer.status == status
    if status < 400:
        assert answer.body == body
    else:
        refused(answer, status)  # an engine's error always comes in OpenAI's shape


def test_an_answer_that_ends_with_the_connection_passes(house: House) -> None:
    manner(house, raw=b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{"a": 1}')
    assert house.gateway.chat().json() == {"a": 1}


def test_the_request_body_reaches_the_engine_byte_for_byte(house: House) -> None:
    body = '{ "messages":[{"role":"user","content":"\\u00e9 \u00e9 \U0001f600"}] ,"model" : "m0", "x": 1e400 }'.encode()
    answer = asyncio.run(ask(house.gateway.port, post(house.gateway.key, body)))
    assert answer.status == 200
    assert [request.body for request in house.seen] == [body]


def test_usage_is_asked_of_the_engine_and_shown_only_to_who_asked(house: House) -> None:
    silent, told = stream(house, max_tokens=3), stream(house, max_tokens=3, stream_options={"include_usage": True})
    for request in house.seen:
        assert request.json["stream_options"]["include_usage"] is True
    chunks = [json.loads(line[6:]) for line in silent.body.split(b"\n\n") if line.startswith(b"data: {")]
    assert [len(each["choices"]) for each in chunks] == [1, 1, 1, 1]
    assert b'"completion_tokens": 3' in told.body
    for answer in (silent, told):
        assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None}])
def test_the_usage_event_is_taken_out_whatever_not_asking_looks_like(house: House, options: Any) -> None:
    answer = stream(house, max_tokens=2, stream_options=options)
    assert answer.status == 200
    assert b"completion_tokens" not in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


SLOPPY = {
    "no colon": b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 2\r\n\r\n{}",
    "folded field": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "folded framing": b"HTTP/1.1 200 OK\r\nX-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "nul in a field": b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("raw", SLOPPY.values(), ids=SLOPPY)
def test_a_sloppy_field_of_an_engine_never_reaches_the_client(house: House, raw: bytes) -> None:
    manner(house, raw=raw)
    answer = asyncio.run(ask(house.gateway.port, post(house.gateway.key, question())))
    assert answer.status in (200, 502)
    assert "x-a" not in answer.fields
    assert answer.status == 502 or answer.body == b"{}"


HOSTILE_BODIES = {
    "deep": b"[" * 100_000,
    "deep error": b'{"error": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not UTF-8": b'{"usage": "\xff", "error": {"message": "\xff"}}',
    "huge number": b'{"usage": {"prompt_tokens": 1e400, "completion_tokens": ' + b"9" * 5000 + b"}}",
    "negative usage": b'{"usage": {"prompt_tokens": -5, "completion_tokens": -1}}',
    "usage of words": b'{"usage": {"prompt_tokens": "many", "completion_tokens": null}}',
    "usage is a list": b'{"usage": []}',
}


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_an_engines_odd_json_is_the_clients_to_read_and_never_ends_us(house: House, body: bytes, status: int) -> None:
    manner(house, raw=b"HTTP/1.1 %d Told\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
    answer = asyncio.run(ask(house.gateway.port, post(house.gateway.key, question())))
    assert answer.status == status
    assert answer.body == body if status == 200 else refused(answer, status)
    row = house.gateway.ledger_row(answer.request_id)
    assert min(row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"]) >= 0


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_an_engines_odd_events_never_end_us(house: House, body: bytes) -> None:
    whole = b'data: {"choices": []}\n\ndata: ' + body + b"\n\ndata: [DONE]\n\n"
    manner(house, pieces=(whole,))
    answer = stream(house, stream_options={"include_usage": True})
    assert answer.body == whole
    row = house.gateway.ledger_row(answer.request_id)
    assert min(row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"]) >= 0


def test_an_engines_own_error_passes_with_its_retry_after(house: House) -> None:
    manner(house, status=429, fields=(("Retry-After", "7"),), error="queue is full")
    answer = house.gateway.chat()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["message"] == "queue is full"
    assert answer.headers["x-request-id"]


MALFORMED = {
    "garbage": b"hello\r\n\r\n",
    "no status": b"HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "letters for status": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\n{}",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    "head without end": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000,
    "head cut": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing at all": b"\r\n",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_answer_is_502(house: House, raw: bytes) -> None:
    manner(house, raw=raw)
    refused(house.gateway.chat(), 502)
    manner(house)
    assert eventually(lambda: house.gateway.chat().status_code == 200)


BROKEN_BODIES = {
    "short of its length": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":',
    "chunks without an end": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n',
    "cut inside a chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{"a":',
    "a chunk size that is none": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\nzz\r\n',
}


@pytest.mark.parametrize("raw", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_a_body_that_breaks_off_never_looks_whole(house: House, raw: bytes) -> None:
    """Either the gateway still could say 502, or the client sees the break."""
    manner(house, raw=raw)
    try:
        answer = house.gateway.chat()
    except httpx.RemoteProtocolError:
        return
    refused(answer, 502)


def test_a_stream_that_breaks_off_never_looks_whole(house: House) -> None:
    manner(house, die="middle", die_after=3)
    answer = asyncio.run(broken_stream(house))
    assert answer.count(b'"delta"') == 3
    assert b"[DONE]" not in answer
    assert len(house.seen) == 1, "never a second engine after the first byte"


async def broken_stream(house: House) -> bytes:
    """What a client gets of a stream that breaks: pieces, and an error event or no proper end."""
    got = b""
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(post(house.gateway.key, question(stream=True, max_tokens=10)))
        assert (await read_head(reader))[0] == 200
        try:
            async for piece in read_chunks(reader):
                got += piece
        except (asyncio.IncompleteReadError, ConnectionError):
            return got
    assert b'"error"' in got, "a proper end without an error event"
    return got


def test_the_delay_of_a_chunk_is_not_added_up(house: House) -> None:
    """The first token is at the client before the last is made."""
    manner(house, gap_s=0.05)
    asyncio.run(first_before_last(house))


async def first_before_last(house: House) -> None:
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(post(house.gateway.key, question(stream=True, max_tokens=40)))
        await read_head(reader)
        await read_chunks(reader).__anext__()
        assert sum(one.record.tokens_sent for one in house.replicas) < 20


@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_leaves_ends_the_engines_work_within_a_second(house: House, streaming: bool) -> None:
    manner(house, gap_s=0.05 if streaming else 60.0)
    left_at = asyncio.run(leave_early(house, streaming))
    assert eventually(lambda: house.cancelled == 1, within_s=2.0)
    assert house.open == 0
    assert max(one.record.cancelled_at for one in house.replicas) - left_at < 1.0
    assert house.gateway.chat(model="no-such-model").status_code == 404


async def leave_early(house: House, streaming: bool) -> float:
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(post(house.gateway.key, question(stream=streaming, max_tokens=1000)))
        if streaming:
            await read_head(reader)
            await read_chunks(reader).__anext__()
        else:
            await asyncio.to_thread(eventually, lambda: house.open == 1)
    return time.monotonic()


def test_a_client_that_leaves_in_the_queue_before_the_first_byte_of_a_stream_ends_the_work(house: House) -> None:
    manner(house, first_byte_s=60.0)

    async def leave() -> None:
        async with connection(house.gateway.port) as (_, writer):
            writer.write(post(house.gateway.key, question(stream=True)))
            await asyncio.to_thread(eventually, lambda: house.open == 1)

    asyncio.run(leave())
    assert eventually(lambda: house.cancelled == 1, within_s=1.0)


def test_a_client_that_leaves_with_more_requests_in_the_pipe_ends_the_engines_work(house: House) -> None:
    """Reading ahead is bounded; the bound must not hide that the client has gone."""
    manner(house, gap_s=60.0)

    async def leave() -> None:
        async with connection(house.gateway.port) as (_, writer):
            writer.write(post(house.gateway.key, question()) * 3000)
            await asyncio.to_thread(eventually, lambda: house.open == 1)

    asyncio.run(leave())
    assert eventually(lambda: house.cancelled == 1, within_s=3.0)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_deadline_before_the_first_byte_is_504(house: House, streaming: bool) -> None:
    manner(house, first_byte_s=60.0)
    refused(house.gateway.chat(model=HASTY, stream=streaming), 504)
    assert eventually(lambda: house.open == 0 and house.cancelled == len(house.seen))


def test_a_deadline_within_a_stream_ends_it_and_the_engines_work(house: House) -> None:
    manner(house, gap_s=0.1)
    got = asyncio.run(hasty_stream(house))
    assert b'"delta"' in got
    assert b"[DONE]" not in got
    assert eventually(lambda: house.open == 0 and house.cancelled == 1)


async def hasty_stream(house: House) -> bytes:
    got = b""
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(post(house.gateway.key, question(model=HASTY, stream=True, max_tokens=300)))
        assert (await read_head(reader))[0] == 200
        try:
            async for piece in read_chunks(reader):
                got += piece
        except asyncio.IncompleteReadError:
            pass
    return got


def test_a_model_of_another_name_at_the_engine_is_renamed_on_the_way(build: Build) -> None:
    def rename(config: dict[str, Any]) -> None:
        config["models"]["m0"]["upstream_model"] = "org/real-name"

    house = build(change=rename)
    assert house.gateway.chat(stream=True, temperature=0.5).status_code == 200
    (request,) = house.seen
    sent = question(stream=True, temperature=0.5) | {
        "model": "org/real-name",
        "stream_options": {"include_usage": True},
    }
    assert request.json == sent


def test_the_two_helpers_of_these_tests_agree() -> None:
    """The upstream's own parser and events, since all else leans on them."""
    taken = take_request(post("k", question(stream=True, max_tokens=2)) + b"rest")
    assert taken
    assert taken[1] == b"rest"
    assert b"".join(events(taken[0])).count(b"data: ") == 4
    assert asyncio.run(_read_back(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")) == {}


async def _read_back(raw: bytes) -> Any:
    reader = asyncio.StreamReader()
    reader.feed_data(raw)
    return (await read_answer(reader)).json
