"""What a request may ask for: each refusal names its parameter, and nothing is ignored."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fairlead.engine.openvino.api_error import ApiError
from fairlead.engine.openvino.grammar import MAX_DEPTH, AnswerGrammar, GrammarCheck, answer_grammar
from fairlead.engine.openvino.metrics import Metrics
from fairlead.engine.openvino.sampling import Defaults, Sampling, chat_sampling, completion_sampling, defaults_from
from fairlead.engine.openvino.scheduler import Job, Limits, Scheduler, blocks_needed, retry_after_s
from fairlead.engine.openvino.stepper import Add, Cancel, Stop, Update
from fairlead.engine.openvino.wire import ChatRequest, CompletionRequest, JsonSchema, ResponseFormat, decode

CHAT = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
COMPLETION = {"model": "m", "prompt": "x"}


def chat(**fields: Any) -> Sampling:
    return chat_sampling(decode(json.dumps(CHAT | fields).encode(), ChatRequest), Defaults())


def completion(**fields: Any) -> Sampling:
    return completion_sampling(decode(json.dumps(COMPLETION | fields).encode(), CompletionRequest), Defaults())


REFUSED_CHAT: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"beam_width": 2}, "beam_width"),
    "logit_bias": ({"logit_bias": {"5": 1}}, "logit_bias"),
    "tools": ({"tools": [{"type": "function"}]}, "tools"),
    "a forced tool": ({"tool_choice": "required"}, "tool_choice"),
    "audio": ({"modalities": ["audio"]}, "modalities"),
    "storing": ({"store": True}, "store"),
    "a wrong type": ({"temperature": "hot"}, "temperature"),
    "a wrong type inside": ({"messages": [{"role": 1}]}, "messages[0].role"),
    "too hot": ({"temperature": 2.1}, "temperature"),
    "no top_p": ({"top_p": 0}, "top_p"),
    "too much presence": ({"presence_penalty": 3}, "presence_penalty"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "two limits": ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
    "no choices": ({"n": 0}, "n"),
    "an empty stop": ({"stop": ["a", ""]}, "stop"),
    "too many stops": ({"stop": ["a"] * 17}, "stop"),
    "stream options without a stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
    "top_logprobs alone": ({"top_logprobs": 1}, "top_logprobs"),
    "alternatives": ({"logprobs": True, "top_logprobs": 2, "temperature": 0}, "top_logprobs"),
    "an alternative of a sampled token": ({"logprobs": True, "top_logprobs": 1}, "top_logprobs"),
    "logprobs after a cut": ({"logprobs": True, "top_p": 0.5}, "logprobs"),
    "logprobs after a penalty": ({"logprobs": True, "frequency_penalty": 1}, "logprobs"),
    "stop tokens that ignore_eos would drop": ({"ignore_eos": True, "stop_token_ids": [1]}, "stop_token_ids"),
}


@pytest.mark.parametrize(("fields", "param"), REFUSED_CHAT.values(), ids=REFUSED_CHAT)
def test_refused_chat_names_its_parameter(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refusal:
        chat(**fields)
    assert (refusal.value.status, refusal.value.body["error"]["param"]) == (400, param)
    assert param.rsplit(".", maxsplit=1)[-1] in refusal.value.body["error"]["message"]


REFUSED_COMPLETIONS: dict[str, tuple[dict[str, Any], str]] = {
    "best_of": ({"best_of": 3}, "best_of"),
    "a suffix": ({"suffix": "x"}, "suffix"),
    "echo with logprobs": ({"echo": True, "logprobs": 0}, "echo"),
    "more than the chosen token": ({"logprobs": 2, "temperature": 0}, "logprobs"),
    "chat's messages": ({"messages": []}, "messages"),
}


@pytest.mark.parametrize(("fields", "param"), REFUSED_COMPLETIONS.values(), ids=REFUSED_COMPLETIONS)
def test_refused_completions_name_their_parameter(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refusal:
        completion(**fields)
    assert (refusal.value.status, refusal.value.body["error"]["param"]) == (400, param)


def test_what_asks_for_nothing_is_accepted() -> None:
    neutral = {
        "logit_bias": {},
        "tools": [],
        "tool_choice": "none",
        "store": False,
        "user": "u",
        "metadata": {"a": "b"},
    }
    assert chat(**neutral, n=None, stop=None, temperature=None, seed=None) == chat()


def test_unsaid_values_are_openais_or_the_models() -> None:
    assert (chat().temperature, chat().max_tokens, completion().max_tokens) == (1.0, None, 16)
    recommended = defaults_from({"temperature": 0.6, "top_k": 20, "eos_token_id": 7, "top_p": None})
    request = decode(json.dumps(CHAT | {"top_k": -1}).encode(), ChatRequest)
    sampling = chat_sampling(request, recommended)
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.6, 0, 1.0)
    assert defaults_from({"do_sample": False}).temperature == 0.0


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"model": "m"}', b'"' + b"x" * 10, b"[" * 100_000, b'{"model":"\xff"}']
)
def test_a_broken_body_is_a_400(body: bytes) -> None:
    with pytest.raises(ApiError) as refusal:
        decode(body, ChatRequest)
    assert refusal.value.status == 400


def deep(levels: int) -> dict[str, Any]:
    return {"properties": {"a": deep(levels - 1)}} if levels else {"type": "string"}


SCHEMAS: dict[str, tuple[dict[str, Any], bool]] = {
    "an object": ({"type": "object", "properties": {"not": {"type": "string"}}}, True),
    "an enum that spells a keyword": ({"enum": ["not", {"if": 1}]}, True),
    "deep enough": (deep(MAX_DEPTH), True),
    "too deep": (deep(MAX_DEPTH + 1), False),
    "not": ({"not": {"type": "string"}}, False),
    "a multiple, inside": ({"properties": {"a": {"anyOf": [{"multipleOf": 3}]}}}, False),
    "unique items": ({"type": "array", "uniqueItems": True}, False),
    "a definition": ({"$defs": {"a": {"contains": {}}}}, False),
}


@pytest.mark.parametrize(("schema", "taken"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_is_enforced_in_full_or_refused(schema: dict[str, Any], taken: bool) -> None:
    format = ResponseFormat("json_schema", JsonSchema(schema))
    if taken:
        assert answer_grammar(format)
        return
    with pytest.raises(ApiError) as refusal:
        answer_grammar(format)
    assert refusal.value.body["error"]["param"] == "response_format"


def test_other_response_formats() -> None:
    assert answer_grammar(None) is answer_grammar(ResponseFormat("text")) is None
    assert answer_grammar(ResponseFormat("json_object")) == answer_grammar(
        ResponseFormat("json_schema", JsonSchema({"type": "object"}))
    )
    for format in (ResponseFormat("xml"), ResponseFormat("json_schema")):
        with pytest.raises(ApiError):
            answer_grammar(format)


def test_what_our_grammar_cannot_keep_goes_to_the_engine_as_it_is() -> None:
    schema = {"type": "object", "patternProperties": {"^x": {"type": "null"}}}
    grammar = answer_grammar(ResponseFormat("json_schema", JsonSchema(schema)))
    assert grammar
    assert (grammar.language, json.loads(grammar.text)) == ("json_schema", schema)


def test_a_grammar_that_would_grow_too_long_goes_to_the_engine_as_it_is() -> None:
    """A name costs one rule a character where further properties are allowed."""
    names = {f"{index:04}{'x' * 40}": {"type": "null"} for index in range(500)}
    grammar = answer_grammar(
        ResponseFormat("json_schema", JsonSchema({"properties": names, "additionalProperties": True}))
    )
    assert grammar
    assert grammar.language == "json_schema"


def test_each_grammar_is_tried_once() -> None:
    tried: list[AnswerGrammar] = []
    good, bad = AnswerGrammar("ebnf", "good"), AnswerGrammar("ebnf", "bad")

    def compile_grammar(grammar: AnswerGrammar) -> None:
        tried.append(grammar)
        if grammar == bad:
            raise RuntimeError("file.cc:1: bad type")

    async def ask() -> None:
        check = GrammarCheck(lambda: compile_grammar)
        for _ in range(2):
            await check.check(good)
            with pytest.raises(ApiError, match="bad type"):
                await check.check(bad)

    asyncio.run(ask())
    assert tried == [good, bad]


RETRY = {
    "nothing finished yet": ((5, [], 10.0), 1),
    "two a second, ten ahead": ((10, [1.0, 2.0, 3.0, 4.0], 3.0), 5),
    "never more than a minute": ((1000, [0.0, 10.0], 10.0), 60),
    "never less than a second": ((1, [0.0, 0.1, 0.2], 0.2), 1),
}


@pytest.mark.parametrize(("given", "seconds"), RETRY.values(), ids=RETRY)
def test_retry_after_follows_the_drain_rate(given: tuple[int, list[float], float], seconds: int) -> None:
    assert retry_after_s(*given) == seconds


class Wire:
    """Collects what the scheduler tells the stepping thread, and moves a clock by hand."""

    def __init__(self, **limits: int) -> None:
        self.sent: list[Add | Cancel | Stop] = []
        self.now = 0.0
        fixed = {"max_num_seqs": 2, "max_queue": 1, "kv_blocks": 100, "block_tokens": 32}
        self.scheduler = Scheduler(Limits(**fixed | limits), self.sent.append, Metrics("m"), lambda: self.now)

    def finish(self, id: int) -> None:
        self.scheduler.receive([Update(id, (1, 2), (), "stop")], 0.5)


def job(tokens: int = 32) -> Job:
    return Job(range(tokens), tokens, None)


def state(scheduler: Scheduler) -> tuple[int, int]:
    return scheduler.running(), scheduler.waiting()


def test_seats_then_queue_then_429() -> None:
    wire = Wire()
    for _ in range(3):
        wire.scheduler.submit([job()])
    assert state(wire.scheduler) == (2, 1)
    with pytest.raises(ApiError) as refusal:
        wire.scheduler.submit([job()])
    assert (refusal.value.status, refusal.value.headers) == (429, {"retry-after": "1"})
    wire.finish(1)
    assert state(wire.scheduler) == (2, 0)
    assert [command.id for command in wire.sent if isinstance(command, Add)] == [1, 2, 3]


@pytest.mark.parametrize(("taken", "asked", "status"), [(1, 3, 429), (0, 4, 400)])
def test_a_request_with_more_choices_than_room_is_refused_whole(taken: int, asked: int, status: int) -> None:
    wire = Wire()
    for _ in range(taken):
        wire.scheduler.submit([job()])
    with pytest.raises(ApiError) as refusal:
        wire.scheduler.submit([job()] * asked)
    assert (refusal.value.status, state(wire.scheduler)) == (status, (taken, 0))


def test_a_sequence_waits_until_its_whole_cache_is_free() -> None:
    need = blocks_needed(320, 320, 32)
    wire = Wire(kv_blocks=need + 1)
    wire.scheduler.submit([job(320)])
    wire.scheduler.submit([job(320)])
    assert state(wire.scheduler) == (1, 1)
    wire.finish(1)
    assert state(wire.scheduler) == (1, 0)


def test_cancelling_frees_the_queue_at_once_and_the_seat_when_the_engine_says_so() -> None:
    wire = Wire(max_num_seqs=1)
    running, waiting = wire.scheduler.submit([job()]), wire.scheduler.submit([job()])
    wire.scheduler.cancel(waiting)
    assert state(wire.scheduler) == (1, 0)
    wire.scheduler.cancel(running)
    assert wire.sent[-1] == Cancel(1)
    wire.scheduler.receive([Update(1, (), (), "cancelled")], -1.0)
    assert state(wire.scheduler) == (0, 0)
    wire.scheduler.cancel(running)  # a second time changes nothing
    assert state(wire.scheduler) == (0, 0)


def test_a_lost_engine_tells_everybody_and_takes_nobody() -> None:
    wire = Wire(max_num_seqs=1)
    batches = [wire.scheduler.submit([job()]) for _ in range(2)]
    wire.scheduler.fail("gone")
    assert [batch.events.get_nowait()[1].error for batch in batches] == ["gone", "gone"]
    with pytest.raises(ApiError) as refusal:
        wire.scheduler.submit([job()])
    assert refusal.value.status == 500
