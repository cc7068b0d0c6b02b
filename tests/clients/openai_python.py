"""What a Python program with the official client does; the same file runs with openai 1.x, 2.x and 3.x.

Reads BASE_URL, API_KEY and MODEL from the environment and prints one JSON object: check -> "ok" or what went wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import openai

MODEL = os.environ["MODEL"]
SETTINGS: dict[str, Any] = {"base_url": os.environ["BASE_URL"] + "/v1", "max_retries": 0, "timeout": 60.0}
QUESTION: Any = [{"role": "user", "content": "What is Fairlead?"}]
SCHEMA: Any = {
    "type": "object",
    "properties": {"answer": {"type": "string", "maxLength": 20}, "sure": {"type": "boolean"}},
    "required": ["answer", "sure"],
    "additionalProperties": False,
}
client = openai.OpenAI(api_key=os.environ["API_KEY"], **SETTINGS)


def models() -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL


def chat() -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=24, temperature=0)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage
    assert 0 < answer.usage.completion_tokens <= 24
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def raw_answer_has_a_request_id() -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, max_tokens=2)
    assert raw.headers["x-request-id"]
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def stream_with_usage() -> None:
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=24, temperature=0)
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            max_tokens=24,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage, (chunks[-1].usage, whole.usage)
    assert streamed(chunks) == whole.choices[0].message.content


def stream_without_usage() -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=8, stream=True))
    assert streamed(chunks)
    assert all(chunk.choices and not chunk.usage for chunk in chunks)


def streamed(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def asynchronous_streams() -> None:
    async def one(asynchronous: openai.AsyncOpenAI) -> str:
        stream = await asynchronous.chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=12, temperature=0, stream=True
        )
        return streamed([chunk async for chunk in stream])

    async def together() -> list[str]:
        async with openai.AsyncOpenAI(api_key=os.environ["API_KEY"], **SETTINGS) as asynchronous:
            return await asyncio.gather(*(one(asynchronous) for _ in range(8)))

    texts = asyncio.run(together())
    assert texts[0]
    assert len(set(texts)) == 1, texts


def completions() -> None:
    answer = client.completions.create(model=MODEL, prompt="Fairlead is", max_tokens=8, temperature=0)
    assert answer.choices[0].text
    assert answer.usage
    assert answer.usage.completion_tokens <= 8
    pieces = client.completions.create(model=MODEL, prompt="Fairlead is", max_tokens=8, temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == answer.choices[0].text


def structured_output() -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        max_tokens=120,
        response_format={"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}},
    )
    told = json.loads(answer.choices[0].message.content or "")
    assert set(told) == {"answer", "sure"}
    assert isinstance(told["answer"], str)
    assert isinstance(told["sure"], bool)


def wrong_key() -> None:
    other = openai.OpenAI(api_key="sk-fl-000000000000-wrong", **SETTINGS)
    error = raised(lambda: other.chat.completions.create(model=MODEL, messages=QUESTION), openai.AuthenticationError)
    assert (error.status_code, error.code) == (401, "invalid_api_key")
    raised(other.models.list, openai.AuthenticationError)


def unknown_model() -> None:
    def ask() -> Any:
        return client.chat.completions.create(model="no-such-model", messages=QUESTION)

    error = raised(ask, openai.NotFoundError)
    assert (error.status_code, error.code) == (404, "model_not_found")
    raised(lambda: client.models.retrieve("no-such-model"), openai.NotFoundError)


def too_long_prompt() -> None:
    long: Any = [{"role": "user", "content": "sum " * 20_000}]
    error = raised(lambda: client.chat.completions.create(model=MODEL, messages=long), openai.BadRequestError)
    assert (error.status_code, error.code) == (400, "context_length_exceeded"), (error.status_code, error.code)


def too_large_request() -> None:
    large: Any = [{"role": "user", "content": "x" * 5_000_000}]
    error = raised(lambda: client.chat.completions.create(model=MODEL, messages=large), openai.APIStatusError)
    assert error.status_code == 413


def bad_parameter() -> None:
    def ask() -> Any:
        return client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=-1)

    assert raised(ask, openai.BadRequestError).status_code == 400


def raised(call: Callable[[], Any], kind: type[openai.APIStatusError]) -> openai.APIStatusError:
    error = failure_of(call)
    assert error, f"{kind.__name__} was not raised"
    assert type(error) is kind or kind is openai.APIStatusError, f"{type(error).__name__}: {error}"
    assert error.message
    return error


def failure_of(call: Callable[[], Any]) -> openai.APIStatusError | None:
    try:
        call()
    except openai.APIStatusError as error:
        return error
    return None


CHECKS: Mapping[str, Callable[[], None]] = {
    check.__name__: check
    for check in (
        models,
        chat,
        raw_answer_has_a_request_id,
        stream_with_usage,
        stream_without_usage,
        asynchronous_streams,
        completions,
        structured_output,
        wrong_key,
        unknown_model,
        too_long_prompt,
        too_large_request,
        bad_parameter,
    )
}


def verdict(check: Callable[[], None]) -> str:
    try:
        check()
    except (AssertionError, openai.OpenAIError, ValueError) as error:
        return f"{type(error).__name__}: {error}"[:500] or "failed"
    return "ok"


if __name__ == "__main__":
    json.dump({"version": openai.__version__, **{name: verdict(check) for name, check in CHECKS.items()}}, sys.stdout)
