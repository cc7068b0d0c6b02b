"""The rows of a batch, in OpenAI's format: one JSON object a line, in and out, known by its `custom_id`.

In: `{"custom_id", "method": "POST", "url": "/v1/chat/completions", "body": {...}}`. Out: `{"id", "custom_id",
"response": {"status_code", "request_id", "body"}, "error": null}`; a row that nobody could ask has `response` null and
an `error` with a code and a message. A row whose answer is an error keeps it in `response`, as OpenAI does.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

URLS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
"""What a row may ask for."""
LONGEST_ID = 512  # characters of a custom_id


@dataclass(frozen=True, slots=True)
class Row:
    """One request: `body` is the JSON as it came, `line` its number in the file, from 1."""

    custom_id: str
    url: str
    model: str
    body: bytes
    line: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a row: an HTTP answer; or `code` and `message` where nothing could be asked (`status` is 0 then)."""

    custom_id: str
    status: int = 0
    request_id: str = ""
    body: bytes = b""
    code: str = ""
    message: str = ""

    @property
    def good(self) -> bool:
        """Whether it belongs into the output; every other one belongs into the error file."""
        return self.status == 200


@dataclass(frozen=True, slots=True)
class Tokens:
    """What answers say that they used."""

    prompt: int = 0
    cached: int = 0  # the part of `prompt` that came from the prefix cache
    completion: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.prompt + other.prompt, self.cached + other.cached, self.completion + other.completion)


class BadRow(ValueError):
    """A line that is no row. `code` is one of those that hosted batch services tell, `line` counts from 1."""

    def __init__(self, code: str, message: str, *, line: int | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.param = param

    def as_json(self) -> dict[str, object]:
        """As a batch object's `errors.data` has it."""
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


class _Written(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Asked(msgspec.Struct):
    model: str
    stream: bool | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = 0


class _Used(msgspec.Struct):
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    input_tokens: int | None = 0  # as /v1/responses has it
    output_tokens: int | None = 0
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None


class _Usage(msgspec.Struct):
    usage: _Used | None = None


class _Replied(msgspec.Struct):
    status_code: int
    body: msgspec.Raw


class _Result(msgspec.Struct):
    custom_id: str
    response: _Replied | None = None


_written = msgspec.json.Decoder(_Written).decode
_asked = msgspec.json.Decoder(_Asked).decode
_result = msgspec.json.Decoder(_Result).decode
_usage = msgspec.json.Decoder(_Usage).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse(line: bytes, number: int, urls: Collection[str] = URLS) -> Row:
    """One line of an input file. Raises BadRow."""
    try:
        row = _written(line)
        asked = _asked(row.body)
    except msgspec.ValidationError as error:
        raise BadRow("invalid_request", f"This line is no request: {error}.", line=number) from None
    except _UNREADABLE:
        raise BadRow("invalid_json_line", "This line is not parseable as valid JSON.", line=number) from None
    if not 0 < len(row.custom_id) <= LONGEST_ID:
        raise BadRow(
            "invalid_request", f"A custom_id has 1 to {LONGEST_ID} characters.", line=number, param="custom_id"
        )
    if row.method != "POST":
        raise BadRow("invalid_method", f"The method {row.method[:20]!r} is not POST.", line=number, param="method")
    if row.url not in urls:
        told = f"The URL {row.url[:60]!r} does not match {' or '.join(sorted(urls))}."
        raise BadRow("url_mismatch" if row.url in URLS else "invalid_url", told, line=number, param="url")
    if asked.stream:
        raise BadRow("invalid_request", "A batch answers no streams.", line=number, param="body.stream")
    return Row(row.custom_id, row.url, asked.model, bytes(row.body), number)


def duplicate(row: Row) -> BadRow:
    """A row whose `custom_id` another one has."""
    told = f"The custom_id {row.custom_id[:60]!r} was used before in this file."
    return BadRow("duplicate_custom_id", told, line=row.line, param="custom_id")


def result_line(answer: Answer) -> bytes:
    """An answer as a line of the output or of the error file, its newline included."""
    response = None
    if answer.status:
        response = {
            "status_code": answer.status,
            "request_id": answer.request_id,
            "body": msgspec.Raw(one_line(answer.body)),
        }
    error = {"code": answer.code, "message": answer.message} if answer.code else None
    result = {
        "id": f"batch_req_{uuid.uuid4().hex}",
        "custom_id": answer.custom_id,
        "response": response,
        "error": error,
    }
    return msgspec.json.encode(result) + b"\n"


def one_line(body: bytes) -> bytes:
    """JSON without line ends; what is no JSON becomes a JSON text."""
    try:
        return msgspec.json.format(body, indent=-1)
    except _UNREADABLE:
        return msgspec.json.encode(body.decode(errors="replace"))


def result_id(line: bytes) -> str:
    """The `custom_id` of a result. Raises ValueError where the line is none."""
    try:
        return _result(line).custom_id
    except _UNREADABLE as error:
        raise ValueError("no line of a batch's output") from error


def tokens_of(body: bytes) -> Tokens:
    """What an answer says that it used; nothing where it says nothing."""
    try:
        used = _usage(body).usage
    except _UNREADABLE:
        used = None
    if used is None:
        return Tokens()
    details = used.prompt_tokens_details or used.input_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    return Tokens(
        used.prompt_tokens or used.input_tokens or 0, cached, used.completion_tokens or used.output_tokens or 0
    )


def answered(line: bytes) -> Answer:
    """A line of the output as the answer that it was made of. Raises ValueError."""
    try:
        result = _result(line)
    except _UNREADABLE as error:
        raise ValueError("no line of a batch's output") from error
    reply = result.response
    return Answer(result.custom_id, reply.status_code if reply else 0, body=bytes(reply.body) if reply else b"")
