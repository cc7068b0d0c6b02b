"""The body that an engine gets differs from the client's in nothing but the model's name and the wish for usage."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.gateway.body import decode, for_engine

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def sent(raw: bytes, upstream_model: str = "m", *, ask_usage: bool) -> bytes:
    return for_engine(raw, decode(raw), upstream_model, ask_usage=ask_usage)


@given(JSON, st.booleans(), st.sampled_from(["m", "other"]))
def test_everything_else_stays(messages: Any, ask_usage: bool, upstream_model: str) -> None:
    body = {"model": "m", "messages": messages, "n": 2}
    out = json.loads(sent(json.dumps(body).encode(), upstream_model, ask_usage=ask_usage))
    expected = body | {"model": upstream_model} | ({"stream_options": {"include_usage": True}} if ask_usage else {})
    assert out == expected


def test_nothing_to_change_means_the_same_bytes() -> None:
    raw = b'{ "model" : "m" , "stream":true,  "x":[1.0, 2e3] }\n'
    assert sent(raw, ask_usage=False) is raw


def test_the_clients_other_stream_options_are_kept() -> None:
    raw = b'{"model":"m","stream":true,"stream_options":{"include_usage":false,"continuous_usage_stats":true}}'
    options = json.loads(sent(raw, ask_usage=True))["stream_options"]
    assert options == {"include_usage": True, "continuous_usage_stats": True}


def test_null_stream_options() -> None:
    raw = b'{"model":"m","stream":true,"stream_options":null}'
    assert json.loads(sent(raw, ask_usage=True))["stream_options"] == {"include_usage": True}


def test_a_field_that_only_looks_like_it_is_left_alone() -> None:
    raw = json.dumps({"model": "m", "messages": [{"content": '"stream_options"'}], "stream": True}).encode()
    out = json.loads(sent(raw, ask_usage=True))
    assert out["messages"] == [{"content": '"stream_options"'}]
    assert out["stream_options"] == {"include_usage": True}


def test_the_last_of_two_models_counts_here_as_in_the_engines() -> None:
    raw = b'{"model":"a","model":"b"}'
    assert decode(raw).model == json.loads(raw)["model"] == "b"


BAD = {
    "no object": b"[]",
    "no model": b"{}",
    "model is no string": b'{"model": 3}',
    "stream is no boolean": b'{"model":"m","stream":"yes"}',
    "cut off": b'{"model":"m"',
    "two values": b'{"model":"m"}{}',
    "empty": b"",
    "bad later on": b'{"model":"m","messages":[tru]}',
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_bad_bodies_are_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(raw)
