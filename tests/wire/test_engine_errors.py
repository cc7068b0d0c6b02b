"""Whatever an engine says when it says no, the caller reads OpenAI's shape."""

from __future__ import annotations

import json

import pytest

from fairlead.gateway.engine_errors import openai_error

GOOD = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "x"}}
CASES: dict[str, tuple[int, bytes, str, str]] = {
    "OpenAI's own shape": (400, json.dumps(GOOD).encode(), "x", "no"),
    "FastAPI's": (422, b'{"detail":"bad"}', "engine_error", "bad"),
    "FastAPI's list": (422, b'{"detail":[1]}', "engine_error", '{"detail":[1]}'),
    "Ray Serve's": (
        400,
        b'{"error":{"message":"Message: temperature must be non-negative. (parameter=temperature) (Request ID: f31-2), '
        b'Internal exception: ray.llm.OpenAIHTTPException (Request ID: f31-2), original exception: ",'
        b'"type":"OpenAIHTTPException","param":null,"code":400}}',
        "engine_error",
        "temperature must be non-negative. (parameter=temperature)",
    ),
    "Ray Serve's too long prompt": (
        400,
        b'{"error":{"message":"Message: This model\'s maximum context length is 512 tokens. (Request ID: 5f92), '
        b'Internal exception: ray.llm.OpenAIHTTPException","type":"OpenAIHTTPException","code":400}}',
        "context_length_exceeded",
        "This model's maximum context length is 512 tokens.",
    ),
    "a page": (502, b"<html>", "engine_error", "<html>"),
    "nothing": (500, b"", "engine_error", "The engine gave no reason."),
    "no text": (500, b"\xff\xfe", "engine_error", "\ufffd\ufffd"),
    "vLLM's too long prompt": (
        400,
        b'{"error":{"message":"This model\'s maximum context length is 16 tokens.","code":400}}',
        "context_length_exceeded",
        "This model's maximum context length is 16 tokens.",
    ),
}


@pytest.mark.parametrize(("status", "body", "code", "message"), CASES.values(), ids=CASES)
def test_errors_have_openais_shape(status: int, body: bytes, code: str, message: str) -> None:
    error = json.loads(openai_error(status, body))["error"]
    assert (error["code"], error["message"]) == (code, message)


def test_a_good_error_keeps_its_bytes() -> None:
    body = b'{ "error": {"message":"no"} }'
    assert openai_error(400, body) is body
