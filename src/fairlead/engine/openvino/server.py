"""The HTTP surface: OpenAI's paths, one write per stream event, and a caller who leaves takes the work along."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import fairlead
from fairlead.engine.openvino.api_error import ApiError, engine_failed, invalid
from fairlead.engine.openvino.bodies import Whole, usage
from fairlead.engine.openvino.choice import Delta, TokenLogprob
from fairlead.engine.openvino.metrics import Metrics
from fairlead.engine.openvino.serving import Answer, Served, deltas, require_model, start_chat, start_completion
from fairlead.engine.openvino.wire import (
    ChatRequest,
    CompletionRequest,
    SamplingFields,
    TokenizeRequest,
    decode,
    decode_json,
)

MAX_BODY_BYTES = 32 << 20
STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
PROMPT_TOKENS = "x-fairlead-prompt-tokens"  # the gateway charges a stream that breaks off with it
encode = msgspec.json.Encoder().encode

Start = Callable[[Served, Any], Awaitable[Answer]]


def application(served: Served, metrics: Metrics, healthy: Callable[[], bool]) -> Starlette:
    """The ASGI application of a loaded model."""

    async def models(_: Request) -> Response:
        return _json({"object": "list", "data": [_model(served, name) for name in served.names]})

    async def health(_: Request) -> Response:
        return Response(status_code=200 if healthy() else 503)

    async def version(_: Request) -> Response:
        return _json({"version": fairlead.__version__})

    async def prometheus(_: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def tokenize(request: Request) -> Response:
        return _json(_tokenized(served, decode_json(await _body(request), TokenizeRequest)))

    return Starlette(
        routes=[
            Route("/v1/chat/completions", Generate(served, ChatRequest, start_chat), methods=["POST"]),
            Route("/v1/completions", Generate(served, CompletionRequest, start_completion), methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
            Route("/version", version),
            Route("/metrics", prometheus),
            Route("/tokenize", tokenize, methods=["POST"]),
        ],
        exception_handlers={
            ApiError: _refused,  # type: ignore[dict-item] # it wants handlers of every Exception
            HTTPException: _no_such_path,  # type: ignore[dict-item]
            Exception: _our_fault,
        },
    )


class Generate:
    """An endpoint that generates: decode, start, then stream or collect while watching whether the caller is there."""

    def __init__(self, served: Served, kind: type[SamplingFields], start: Start) -> None:
        self._served = served
        self._kind = kind
        self._start = start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = decode(await _body(Request(scope, receive)), self._kind)
        require_model(self._served, request.model)
        answer = await self._start(self._served, request)
        work = self._stream(answer, request, send) if request.stream else self._collect(answer, scope, receive, send)
        try:
            await while_connected(work, receive)
        finally:
            self._served.scheduler.cancel(answer.batch)

    async def _collect(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        texts: list[list[str]] = [[] for _ in answer.choices]
        logprobs: list[list[TokenLogprob]] = [[] for _ in answer.choices]
        async for delta in deltas(self._served, answer):
            texts[delta.index].append(delta.text)
            logprobs[delta.index].extend(delta.logprobs)
        choices = [
            Whole(c.index, "".join(texts[c.index]), tuple(logprobs[c.index]), c.finish or "stop")
            for c in answer.choices
        ]
        body = answer.dialect.whole(answer.envelope, choices)
        body["usage"] = usage(answer.prompt_tokens, answer.completion_tokens())
        await _json(body, headers={PROMPT_TOKENS: str(answer.prompt_tokens)})(scope, receive, send)

    async def _stream(self, answer: Answer, request: SamplingFields, send: Send) -> None:
        options = request.stream_options
        running_usage = bool(options and options.continuous_usage_stats)
        counted = (PROMPT_TOKENS.encode(), str(answer.prompt_tokens).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, counted]})
        for index in range(len(answer.choices)):
            if opening := answer.dialect.opening(answer.envelope, index):
                await _event(send, _with_usage(opening, answer) if running_usage else opening)
        try:
            async for delta in deltas(self._served, answer):
                if _says_something(delta):
                    chunk = answer.dialect.chunk(answer.envelope, delta)
                    await _event(send, _with_usage(chunk, answer) if running_usage else chunk)
        except ApiError as error:  # the status is sent; the error travels as an event
            await _event(send, error.body)
        else:
            if options and options.include_usage:
                await _event(send, _with_usage(answer.dialect.last(answer.envelope), answer))
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


async def while_connected(work: Awaitable[None], receive: Receive) -> None:
    """Run `work` to its end, or until the caller has gone, whichever comes first."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _event(send: Send, body: dict[str, Any]) -> None:
    await send({"type": "http.response.body", "body": b"data: " + encode(body) + b"\n\n", "more_body": True})


def _with_usage(chunk: dict[str, Any], answer: Answer) -> dict[str, Any]:
    return {**chunk, "usage": usage(answer.prompt_tokens, answer.completion_tokens())}


def _says_something(delta: Delta) -> bool:
    return bool(delta.text or delta.logprobs or delta.finish)


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.", code="request_too_large")
        parts.append(part)
    return b"".join(parts)


def _model(served: Served, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": served.loaded_at,
        "owned_by": "fairlead",
        "max_model_len": served.max_model_len,
    }


def _tokenized(served: Served, request: TokenizeRequest) -> dict[str, Any]:
    if request.model is not None:
        require_model(served, request.model)
    if (request.prompt is None) == (request.messages is None):
        raise invalid("give `prompt` or `messages`", "prompt")
    if request.prompt is not None:
        ids: Sequence[int] = served.codec.encode(request.prompt, add_special_tokens=request.add_special_tokens)
    else:
        ids = served.codec.encode_chat(request.messages or [], {})
    return {"count": len(ids), "max_model_len": served.max_model_len, "tokens": ids}


async def _refused(_: Request, error: ApiError) -> Response:
    return _json(error.body, error.status, error.headers)


async def _no_such_path(request: Request, error: HTTPException) -> Response:
    refusal = ApiError(error.status_code, f"{request.method} {request.url.path}: {error.detail}", code="not_found")
    return _json(refusal.body, error.status_code, dict(error.headers or {}))


async def _our_fault(_: Request, error: Exception) -> Response:
    """A bug of ours: the caller gets a clean body, the log gets the traceback."""
    return _json(engine_failed(f"internal error ({type(error).__name__})").body, 500)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(body), status, headers, media_type="application/json")
