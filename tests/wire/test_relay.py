"""What an engine sends reaches the client unchanged, however the network cuts it; usage is read on the way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.gateway.relay import Dechunker, EventRelay, Malformed, parse_head, usage_of, whole

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}}


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def token(text: str) -> bytes:
    return event(choices=[{"delta": {"content": text}}])


def framed(events: Sequence[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(text), text) for text in events) + b"0\r\n\r\n"


def dechunked(data: bytes) -> bytes:
    dechunker = Dechunker()
    payload = dechunker.feed(data)
    assert dechunker.ended
    return payload


TRICKY = ['he said "usage":{', "data: [DONE]", "0\r\n\r\n", "\n\ndata: x", "ünïcödé 🚢", "}{", '\\"usage\\"']
USAGE_EVENT = event(choices=[], usage=USAGE)
DONE = b"data: [DONE]\n\n"
STREAM = [token(text) for text in TRICKY] + [USAGE_EVENT, DONE]


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, length), max_size=12).map(sorted)


def pieces(data: bytes, at: Sequence[int]) -> list[bytes]:
    edges = [0, *at, len(data)]
    return [piece for start, end in pairwise(edges) if (piece := data[start:end])]


def relay(parts: Sequence[bytes], **options: bool) -> tuple[bytes, EventRelay]:
    settings = {"chunked_in": True, "chunked_out": True, "strip_usage": False} | options
    events = EventRelay(**settings)
    return b"".join(events.feed(part) for part in parts), events


@given(cuts(len(framed(STREAM))))
def test_any_cut_gives_the_same_text(at: list[int]) -> None:
    out, events = relay(pieces(framed(STREAM), at))
    assert dechunked(out) == b"".join(STREAM)
    assert events.ended
    assert events.last
    assert events.usage is not None
    assert (events.usage.prompt, events.usage.cached, events.usage.completion) == (7, 4, 3)


@given(cuts(len(framed(STREAM))))
def test_the_usage_event_is_taken_out_again(at: list[int]) -> None:
    out, events = relay(pieces(framed(STREAM), at), strip_usage=True)
    assert dechunked(out) == b"".join(part for part in STREAM if part is not USAGE_EVENT)
    assert events.usage is not None
    assert events.events == len(STREAM) - 1


@given(cuts(len(framed(STREAM))))
def test_a_client_of_http_10_gets_no_chunks(at: list[int]) -> None:
    out, _ = relay(pieces(framed(STREAM), at), chunked_out=False)
    assert out == b"".join(STREAM)


@given(st.lists(st.sampled_from(TRICKY), min_size=1, max_size=6), st.data())
def test_several_events_in_one_chunk_or_one_over_several(texts: list[str], data: st.DataObject) -> None:
    """Servers and proxies frame as they like: chunk borders and event borders have nothing to do with each other."""
    text = b"".join(token(part) for part in texts) + USAGE_EVENT + DONE
    chunks = pieces(text, data.draw(cuts(len(text))))
    out, events = relay([framed(chunks)], strip_usage=True)
    assert dechunked(out) == text.replace(USAGE_EVENT, b"")
    assert events.usage is not None


def test_accounting_comes_before_the_end_is_sent() -> None:
    """`last` is true by the time that the piece with [DONE] is handed out, and not before usage or [DONE]."""
    events = EventRelay(chunked_in=True, chunked_out=True, strip_usage=False)
    for part in (token("a"), token("b")):
        events.feed(framed([part])[:-5])
        assert not events.last
    events.feed(framed([DONE])[:-5])
    assert events.last
    assert not events.ended


def test_a_stream_without_usage_ends_too() -> None:
    out, events = relay([framed([token("a"), DONE])])
    assert events.ended
    assert events.usage is None
    assert events.events == 2
    assert dechunked(out).endswith(DONE)


def test_null_usage_is_no_usage() -> None:
    parts = [event(choices=[{"delta": {}}], usage=None), USAGE_EVENT, DONE]
    _, events = relay([framed(parts)])
    assert events.usage is not None
    assert events.usage.completion == 3


def test_usage_of_a_responses_stream() -> None:
    completed = b"event: response.completed\n" + event(response={"usage": {"input_tokens": 5, "output_tokens": 2}})
    _, events = relay([framed([completed])])
    assert events.usage is not None
    assert (events.usage.prompt, events.usage.completion) == (5, 2)


def test_crlf_events() -> None:
    parts = [part.replace(b"\n", b"\r\n") for part in (token("a"), USAGE_EVENT, DONE)]
    out, events = relay([framed(parts)], strip_usage=True)
    assert dechunked(out) == parts[0] + parts[2]
    assert events.usage is not None


MALFORMED = {
    "no size": b"zz\r\nabc\r\n",
    "signed size": b"+3\r\nabc\r\n",
    "prefixed size": b"0x3\r\nabc\r\n",
    "underscore": b"1_0\r\n" + b"a" * 16 + b"\r\n",
    "chunk longer than told": b"3\r\nabcd\r\n",
    "bytes behind the end": b"0\r\n\r\nGET",
    "endless size line": b"1" * 2000,
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_bad_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Dechunker().feed(data)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.data())
def test_dechunking_any_cut(chunks: list[bytes], data: st.DataObject) -> None:
    wire = framed(chunks)
    dechunker = Dechunker()
    got = b"".join(dechunker.feed(piece) for piece in pieces(wire, data.draw(cuts(len(wire)))))
    assert got == b"".join(chunks)
    assert dechunker.ended


def test_whole_is_strict_about_event_ends() -> None:
    assert whole(framed([token("a")]))
    assert not whole(framed([b"data: half"]))
    assert not whole(framed([token("a")])[:-1])


HEADS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5", (200, 5, True)),
    "chunked": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", (200, None, True)),
    "until close": (b"HTTP/1.1 200 OK\r\nserver: x", (200, -1, False)),
    "close": (b"HTTP/1.1 503 Busy\r\nConnection: close\r\ncontent-length: 0", (503, 0, False)),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 0", (200, 0, False)),
}


@pytest.mark.parametrize(("block", "expected"), HEADS.values(), ids=HEADS)
def test_parse_head(block: bytes, expected: tuple[int, int | None, bool]) -> None:
    head = parse_head(block)
    assert (head.status, head.length, head.keep_alive) == expected


BAD_HEADS = {
    "both framings": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6",
    "bad length": b"HTTP/1.1 200 OK\r\ncontent-length: 5x",
    "another coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked",
    "no status": b"SSH-2.0",
}


@pytest.mark.parametrize("block", BAD_HEADS.values(), ids=BAD_HEADS)
def test_ambiguous_answers_are_refused(block: bytes) -> None:
    with pytest.raises(Malformed):
        parse_head(block)


def test_usage_of_a_plain_answer() -> None:
    tokens = usage_of(json.dumps({"choices": [{"text": '"usage":{}'}], "usage": USAGE}).encode())
    assert tokens is not None
    assert (tokens.prompt, tokens.cached, tokens.completion) == (7, 4, 3)
    assert usage_of(b"<html>") is None
    assert usage_of(b'{"choices":[]}') is None
