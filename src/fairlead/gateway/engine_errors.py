"""What engines say when they say no, in the shape that OpenAI's clients expect."""

from __future__ import annotations

import msgspec

from fairlead.gateway.answers import Refusal
from fairlead.gateway.body import UNREADABLE

TOO_LONG = "maximum context length"  # every engine says it in these words, and not all by the code


def openai_error(status: int, body: bytes) -> bytes:
    """An engine's error as OpenAI's clients expect it; one that already is goes through untouched."""
    try:
        told = msgspec.json.decode(body)
    except UNREADABLE:
        told = None
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        message = body.decode("utf-8", "replace")[:500] or "The engine gave no reason."
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return Refusal(status, "engine_error", message, kind).body()
    if status == 400 and TOO_LONG in error["message"] and error.get("code") != "context_length_exceeded":
        return msgspec.json.encode({"error": {**error, "code": "context_length_exceeded"}})
    return body
