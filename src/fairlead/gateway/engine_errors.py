"""What engines say when they say no, in the shape that OpenAI's clients expect."""

from __future__ import annotations

import re

import msgspec

from fairlead.gateway.answers import Refusal
from fairlead.gateway.body import UNREADABLE

# Ray Serve LLM 2.60 wraps what vLLM said: "Message: ... (Request ID: ...), Internal exception: ..., original ...".
RAY = re.compile(r"(?:Message: )?(.*?)(?: \(Request ID: [^)]*\))?, Internal exception: .*", re.DOTALL)
TOO_LONG = "maximum context length"  # every engine says it in these words, and not all by the code


def openai_error(status: int, body: bytes) -> bytes:
    """An engine's error as OpenAI's clients expect it; one that already is goes through untouched."""
    try:
        told = msgspec.json.decode(body)
    except UNREADABLE:
        told = None
    error = told.get("error") if isinstance(told, dict) else None
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        detail = told.get("detail") if isinstance(told, dict) else None  # FastAPI's own shape
        message = detail if isinstance(detail, str) else body.decode("utf-8", "replace")[:500]
        return Refusal(status, "engine_error", message or "The engine gave no reason.", kind).body()
    if wrapped := RAY.fullmatch(error["message"]):
        code = "context_length_exceeded" if TOO_LONG in error["message"] else "engine_error"
        return Refusal(status, code, wrapped[1], kind).body()
    if status == 400 and TOO_LONG in error["message"] and error.get("code") != "context_length_exceeded":
        return msgspec.json.encode({"error": {**error, "code": "context_length_exceeded"}})
    return body
