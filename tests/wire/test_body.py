"""The body that an engine gets differs from the client's in nothing but the model's name and the wish for usage."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.gateway.body import choices, decode, for_engine, most_completion

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


RESERVED: dict[str, tuple[dict[str, Any], int | None, int]] = {
    "nothing said": ({}, None, 1),
    "the old name": ({"max_tokens": 5}, 5, 1),
    "the new name counts": ({"max_tokens": 5, "max_completion_tokens": 7}, 7, 1),
    "responses": ({"max_output_tokens": 9}, 9, 1),
    "several answers": ({"max_tokens": 5, "n": 3}, 5, 3),
    "the best of several": ({"max_tokens": 5, "n": 2, "best_of": 4}, 5, 4),
    "several prompts": ({"prompt": ["a", "b", "c"], "n": 2}, None, 6),
    "several prompts of ids": ({"prompt": [[1, 2], [3]]}, None, 2),
    "one prompt of ids": ({"prompt": [1, 2, 3]}, None, 1),
    "no prompt": ({"prompt": []}, None, 1),
    "nonsense is at least one": ({"n": -4, "best_of": 0}, None, 1),
    "more than anybody can mean": ({"max_tokens": 10**400}, 2**40, 1),
}


@pytest.mark.parametrize(("fields", "most", "count"), RESERVED.values(), ids=RESERVED)
def test_what_has_to_be_reserved(fields: dict[str, Any], most: int | None, count: int) -> None:
    body = decode(json.dumps({"model": "m", **fields}).encode())
    assert (most_completion(body), choices(body)) == (most, count)
