"""Every answer that the gateway makes itself, in OpenAI's shape. Heads are put together from parts made at import."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import msgspec

STATUS_LINE = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
STATUS_LINE[499] = b"HTTP/1.1 499 Client Closed Request\r\n"
JSON = b"application/json"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that the caller is told: HTTP status, OpenAI's error code and type, and a sentence."""

    status: int
    code: str
    message: str
    kind: str = "invalid_request_error"
    param: str | None = None
    retry_after_s: int = 0

    def body(self) -> bytes:
        """OpenAI's error body."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})

    def event(self) -> bytes:
        """The same error as one server-sent event, for a stream that has begun."""
        return b"data: " + self.body() + b"\n\n"


def head(
    status: int, content_type: bytes, request_id: bytes, length: int | None, extra: bytes = b"", *, close: bool = False
) -> bytes:
    """The head of an answer; `length` None announces a chunked body, -1 one that ends with the connection."""
    framing = b"transfer-encoding: chunked\r\n" if length is None else b"content-length: %d\r\n" % length
    if length == -1:
        framing = b""
    return b"%bcontent-type: %b\r\nx-request-id: %b\r\n%b%b%b\r\n" % (
        STATUS_LINE.get(status) or b"HTTP/1.1 %d \r\n" % status,
        content_type,
        request_id,
        framing,
        extra,
        b"connection: close\r\n" if close else b"",
    )


def refuse(refusal: Refusal, request_id: bytes, extra: bytes = b"", *, close: bool = False) -> bytes:
    """A whole answer that says no. `extra`: further header lines."""
    body = refusal.body()
    if refusal.retry_after_s:
        extra += b"retry-after: %d\r\n" % refusal.retry_after_s
    if refusal.status == 401:
        extra += b"www-authenticate: Bearer\r\n"
    return head(refusal.status, JSON, request_id, len(body), extra, close=close) + body


def chunk(payload: bytes) -> bytes:
    """One chunk of a chunked body; nothing for no bytes, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


BAD_REQUEST = Refusal(400, "bad_request", "The request is not valid HTTP/1.1, or its framing is ambiguous.")
HEADER_TOO_LARGE = Refusal(431, "header_too_large", "The request's headers are too large.")
BODY_TOO_LARGE = Refusal(413, "request_too_large", "The request's body is too large.")
TIMEOUT_READING = Refusal(408, "request_timeout", "The request did not arrive in time.")
EXPECTATION = Refusal(417, "expectation_failed", "Only 'Expect: 100-continue' is understood.")
CODING = Refusal(501, "unsupported_coding", "The only transfer-encoding taken is 'chunked'.")
VERSION = Refusal(505, "http_version", "HTTP/1.0 and HTTP/1.1 are served here.")
ENCODING = Refusal(415, "unsupported_encoding", "Send the body as plain JSON, without content-encoding.")
NOT_FOUND = Refusal(404, "not_found", "There is nothing at this path.")
NO_KEY = Refusal(401, "invalid_api_key", "No API key was given. Send 'Authorization: Bearer sk-fl-...'.")
WRONG_KEY = Refusal(401, "invalid_api_key", "The API key is wrong, expired or revoked.")
NO_KEY_SET = Refusal(
    503, "key_set_unavailable", "Tokens cannot be checked now: no key set.", "server_error", retry_after_s=10
)
KEYS_UNAVAILABLE = Refusal(
    503, "keys_unavailable", "This key cannot be checked now. Try again.", "server_error", retry_after_s=5
)
LIMITS_UNAVAILABLE = Refusal(
    503, "limits_unavailable", "Limits cannot be checked now. Try again.", "server_error", retry_after_s=1
)
BUSY = Refusal(503, "too_many_connections", "The gateway has no connection left.", "server_error", retry_after_s=1)
NO_REPLICA = Refusal(503, "no_replica", "No replica of the model takes requests now.", "server_error", retry_after_s=1)
ENGINE_LOST = Refusal(502, "engine_lost", "The engine broke off before it had answered.", "server_error")
ENGINE_BROKEN = Refusal(502, "engine_broken", "The engine's answer could not be understood.", "server_error")
DEADLINE = Refusal(504, "deadline_exceeded", "The answer took longer than the route allows.", "server_error")
LEDGER_UNREAD = Refusal(503, "ledger_unavailable", "The ledger cannot be read now.", "server_error", retry_after_s=5)
LEDGER_DOWN = Refusal(
    503, "ledger_unavailable", "Usage cannot be recorded now, so nothing is answered.", "server_error", retry_after_s=5
)

BAD_IDEMPOTENCY_KEY = Refusal(
    400, "invalid_idempotency_key", "An Idempotency-Key has 1 to 255 visible characters.", param="Idempotency-Key"
)
KEY_IN_USE = Refusal(
    409, "idempotency_key_in_use", "A request with this Idempotency-Key is being answered.", retry_after_s=1
)
KEY_REUSED = Refusal(422, "idempotency_key_reused", "This Idempotency-Key came with another request before.")
KEY_LOST = Refusal(
    409, "idempotency_answer_lost", "This Idempotency-Key was answered before, and the answer was too large to keep."
)
KEYS_FULL = Refusal(
    503, "idempotency_full", "No further Idempotency-Key can be kept now.", "server_error", retry_after_s=5
)
SAID_OF_A_KEY = {
    "wait": KEY_IN_USE,
    "refuse": KEY_REUSED,
    "lost": KEY_LOST,
    "full": KEYS_FULL,
}  # by what the policy says


def wrong_method(allowed: str) -> Refusal:
    """405, with the method that works."""
    return Refusal(405, "method_not_allowed", f"Use {allowed} here.")


def unknown_model(name: str) -> Refusal:
    """404 as the official clients expect it."""
    return Refusal(404, "model_not_found", f"The model {name[:200]!r} does not exist.", param="model")


def forbidden(role: str, operation: str, model: str) -> Refusal:
    """403: known, but not for this role."""
    message = f"The role {role!r} may not use {operation!r} on the model {model[:200]!r}."
    return Refusal(403, "permission_denied", message, "permission_error")


def forbidden_operation(role: str, operation: str) -> Refusal:
    """403: known, but its role has no such operation."""
    return Refusal(403, "permission_denied", f"The role {role!r} may not use {operation!r}.", "permission_error")


def wrong_token(reason: str) -> Refusal:
    """401: the token is not taken, and why."""
    return Refusal(401, "invalid_token", f"The token is not accepted: {reason}.")


def no_role(named: tuple[str, ...]) -> Refusal:
    """403: a good token whose roles this service does not know."""
    told = f"The token's role {named[0][:60]!r} is no role here." if named else "The token names no role."
    return Refusal(403, "permission_denied", told, "permission_error")


def bad_body(reason: str) -> Refusal:
    """400: the JSON itself, or a field that the gateway reads."""
    return Refusal(400, "invalid_body", f"The request's body cannot be read: {reason}.")
