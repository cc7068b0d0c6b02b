"""The checks, by name: each is true of every engine that Fairlead runs, on its own port or through the gateway.

Sizes suit a small model with a context of at least 512 tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from contract.endpoint import Endpoint, JsonObject, chat_body, until

CHAT = "/chat/completions"
COMPLETIONS = "/completions"
PROMPT = "What is Fairlead?"
# Long answers for the checks that leave early: about 6,400 tokens, if nobody stops the engine.
LONG_TOKENS, LONG_CHOICES = 400, 16
CALLERS = 4
LONG = chat_body(PROMPT, max_tokens=LONG_TOKENS, n=LONG_CHOICES, temperature=1, ignore_eos=True)
METRICS = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:request_success_total",
    "vllm:time_to_first_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:e2e_request_latency_seconds",
    "vllm:request_queue_time_seconds",
}
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "ready": {"type": "boolean"}},
    "required": ["colour", "ready"],
    "additionalProperties": False,
}
LIGHTS = [f'{{"colour":"{colour}","ready":{ready}}}' for colour in ("red", "green") for ready in ("true", "false")]


def models(endpoint: Endpoint) -> None:
    """The model is listed under the name that callers use."""
    listed = endpoint.get("/models").json()
    assert listed["object"] == "list"
    (model,) = [model for model in listed["data"] if model["id"] == endpoint.model]
    assert model["object"] == "model"


def chat(endpoint: Endpoint) -> None:
    """An answer has OpenAI's shape, and its usage adds up."""
    answer = endpoint.chat(PROMPT)
    (choice,) = answer["choices"]
    assert answer["object"] == "chat.completion"
    assert answer["model"] == endpoint.model
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] in ("stop", "length")
    assert answer["usage"]["prompt_tokens"] > 0
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


def greedy_is_repeatable(endpoint: Endpoint) -> None:
    """Temperature 0 gives the same text again, also when the prompt is in the prefix cache."""
    assert text_of(endpoint.chat(PROMPT)) == text_of(endpoint.chat(PROMPT))


def stream_equals_answer(endpoint: Endpoint) -> None:
    """The pieces of a stream make up the text of the answer that is not streamed, with the same reason for its end."""
    whole = endpoint.chat(PROMPT)["choices"][0]
    pieces = [event["choices"][0] for event in endpoint.stream(CHAT, chat_body(PROMPT)) if event["choices"]]
    assert len(pieces) > 2, "an answer in one piece is not a stream"
    assert pieces[0]["delta"]["role"] == "assistant"
    assert "".join(piece["delta"].get("content") or "" for piece in pieces) == whole["message"]["content"]
    assert [piece["finish_reason"] for piece in pieces if piece["finish_reason"]] == [whole["finish_reason"]]


def stream_usage(endpoint: Endpoint) -> None:
    """Asked for, usage comes once, in a last event without choices; not asked for, it does not come."""
    whole = endpoint.chat(PROMPT)["usage"]
    asked = endpoint.stream(CHAT, chat_body(PROMPT, stream_options={"include_usage": True}))
    assert [bool(event.get("usage")) for event in asked] == [False] * (len(asked) - 1) + [True]
    assert asked[-1]["choices"] == []
    assert counts(asked[-1]["usage"]) == counts(whole)
    assert not any(event.get("usage") for event in endpoint.stream(CHAT, chat_body(PROMPT)))


def several_choices(endpoint: Endpoint) -> None:
    """`n` gives that many choices, streamed or not, and all are counted."""
    answer = endpoint.chat(PROMPT, n=2, temperature=1, max_tokens=4, ignore_eos=True)
    assert sorted(choice["index"] for choice in answer["choices"]) == [0, 1]
    assert answer["usage"]["completion_tokens"] == 8
    streamed = endpoint.stream(CHAT, chat_body(PROMPT, n=2, temperature=1, max_tokens=4))
    assert {choice["index"] for event in streamed for choice in event["choices"]} == {0, 1}


def stop_strings(endpoint: Endpoint) -> None:
    """The text ends before the stop string, streamed or not, also when that lies across tokens."""
    whole = text_of(endpoint.chat(PROMPT))
    middle = len(whole) // 2
    stop = whole[middle : middle + 5]
    expected = whole[: whole.index(stop)]
    stopped = endpoint.chat(PROMPT, stop=[stop])["choices"][0]
    assert stopped["message"]["content"] == expected
    assert stopped["finish_reason"] == "stop"
    streamed = endpoint.stream(CHAT, chat_body(PROMPT, stop=stop))
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in streamed) == expected


def seeds(endpoint: Endpoint) -> None:
    """The same seed gives the same text, and another seed, sooner or later, another."""

    def sampled(seed: int) -> str:
        return text_of(endpoint.chat(PROMPT, temperature=2, seed=seed, max_tokens=24))

    assert sampled(7) == sampled(7)
    assert len({sampled(seed) for seed in range(8)}) > 1


def max_tokens(endpoint: Endpoint) -> None:
    """The limit holds to the token, by its old name and its new one."""
    for name in ("max_tokens", "max_completion_tokens"):
        body: JsonObject = {"messages": [{"role": "user", "content": PROMPT}], "temperature": 0, name: 3}
        answer = endpoint.answer(CHAT, body)
        assert answer["usage"]["completion_tokens"] == 3
        assert answer["choices"][0]["finish_reason"] == "length"


def logprobs(endpoint: Endpoint) -> None:
    """One entry per token; the entries spell the text; a greedy token is the likeliest one."""
    choice = endpoint.chat(PROMPT, logprobs=True, top_logprobs=1, max_tokens=8)["choices"][0]
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries).startswith(choice["message"]["content"])
    for entry in entries:
        assert entry["logprob"] <= 0
        assert bytes(entry["bytes"]).decode(errors="replace") == entry["token"]
        assert [top["token"] for top in entry["top_logprobs"]] == [entry["token"]]


def structured_output(endpoint: Endpoint) -> None:
    """An answer under a JSON schema is JSON of that schema, whatever the prompt asks for.

    JSON allows blanks without end between the parts of an object, and a small model may not find out of them: then what
    there is has to be the beginning of such JSON. A plain value leaves no room for blanks, so that one has to end.
    """
    colour = endpoint.chat(PROMPT, response_format=json_schema({"enum": ["red", "green"]}))["choices"][0]
    assert json.loads(colour["message"]["content"]) in ("red", "green")
    assert colour["finish_reason"] == "stop"
    light = endpoint.chat(PROMPT, response_format=json_schema(SCHEMA), max_tokens=150)["choices"][0]
    without_blanks = "".join(light["message"]["content"].split())
    assert len(without_blanks) > len('{"colour"'), light
    assert any(whole.startswith(without_blanks) for whole in LIGHTS), light
    assert without_blanks in LIGHTS or light["finish_reason"] == "length", light


def json_schema(schema: JsonObject) -> JsonObject:
    return {"type": "json_schema", "json_schema": {"name": "light", "schema": schema, "strict": True}}


def completions(endpoint: Endpoint) -> None:
    """The older endpoint continues a text, for one prompt or several, streamed or not."""
    body: JsonObject = {"prompt": "Fairlead is", "temperature": 0, "max_tokens": 12}
    answer = endpoint.answer(COMPLETIONS, body)
    assert answer["object"] == "text_completion"
    text = answer["choices"][0]["text"]
    assert text
    assert "".join(event["choices"][0]["text"] for event in endpoint.stream(COMPLETIONS, body)) == text
    both = endpoint.answer(COMPLETIONS, {**body, "prompt": ["Fairlead is", "Fairlead is"]})
    assert [choice["text"] for choice in both["choices"]] == [text, text]


def too_long_a_prompt(endpoint: Endpoint) -> None:
    """A prompt beyond the context is the caller's error, and the message says so."""
    response = endpoint.post(CHAT, chat_body("word " * 20_000))
    assert response.status_code == 400
    assert "maximum context length" in response.json()["error"]["message"]


def unknown_model(endpoint: Endpoint) -> None:
    """A model that is not served is a 404 that names it."""
    response = endpoint.post(CHAT, {**chat_body(PROMPT), "model": "no-such-model"})
    assert response.status_code == 404
    assert "no-such-model" in response.json()["error"]["message"]


def malformed_request(endpoint: Endpoint) -> None:
    """A wrong type or value is a 400 with OpenAI's error body, not a crash and not a guess."""
    for wrong in ({"messages": "hello"}, {"temperature": -1}, {"max_tokens": "many"}):
        response = endpoint.post(CHAT, {**chat_body(PROMPT), **wrong})
        assert response.status_code == 400, wrong
        assert response.json()["error"]["message"]


def leaving_a_stream_cancels(endpoint: Endpoint) -> None:
    """A caller that leaves in the middle of a stream stops the engine's work on it."""
    before = endpoint.metric("vllm:generation_tokens_total")
    with endpoint.opened(CHAT, LONG) as stream:
        next(stream)
    expect_cancelled(endpoint, before)


def leaving_an_answer_cancels(endpoint: Endpoint) -> None:
    """A caller that leaves before an answer that is not streamed stops the engine's work on it."""
    before = endpoint.metric("vllm:generation_tokens_total")
    with ExitStack() as callers:  # several: a fast engine is done with one before its metrics say that it runs
        for _ in range(CALLERS):
            callers.enter_context(endpoint.left_alone(CHAT, LONG))
        until(lambda: endpoint.metric("vllm:num_requests_running") > 0, "a request to run")
    expect_cancelled(endpoint, before, callers=CALLERS)


def metrics(endpoint: Endpoint) -> None:
    """The engine counts under vLLM's names, and counts what it did."""
    before = endpoint.metric("vllm:generation_tokens_total")
    endpoint.chat(PROMPT, max_tokens=3)
    assert endpoint.metric_names() >= METRICS
    until(lambda: endpoint.metric("vllm:generation_tokens_total") >= before + 3, "the tokens to be counted")


CHECKS: Mapping[str, Callable[[Endpoint], None]] = {
    check.__name__: check
    for check in (
        models,
        chat,
        greedy_is_repeatable,
        stream_equals_answer,
        stream_usage,
        several_choices,
        stop_strings,
        seeds,
        max_tokens,
        logprobs,
        structured_output,
        completions,
        too_long_a_prompt,
        unknown_model,
        malformed_request,
        leaving_a_stream_cancels,
        leaving_an_answer_cancels,
        metrics,
    )
}


def expect_cancelled(endpoint: Endpoint, tokens_before: float, callers: int = 1) -> None:
    """Nothing runs any more, and it is not because the engine has finished the work."""
    until(lambda: endpoint.metric("vllm:num_requests_running") == 0, "the running count to be 0 again")
    generated = endpoint.metric("vllm:generation_tokens_total") - tokens_before
    assert generated < callers * LONG_TOKENS * LONG_CHOICES * 0.9, f"the engine generated {generated} tokens for nobody"


def text_of(answer: JsonObject) -> str:
    return str(answer["choices"][0]["message"]["content"])


def counts(usage: Mapping[str, Any]) -> tuple[int, int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]
