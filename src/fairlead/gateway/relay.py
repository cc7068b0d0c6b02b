"""What comes back from an engine, understood as little as possible. Pure: bytes in, bytes out, in pieces of any size.

An answer that is not streamed is collected; a stream is passed on unmodified as long as every piece holds whole
chunks with whole events, which is what engines send. Any other cut takes the general path, which holds back the
unfinished event (useless to the client anyway). Benchmark: bench/microseconds.py, `relay`.
"""

from __future__ import annotations

import re

import msgspec

from fairlead.gateway.answers import LAST_CHUNK, chunk
from fairlead.gateway.body import UNREADABLE
from fairlead.gateway.length import without_length

MAX_EVENT_BYTES = 4 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
REMEMBERED_HEADS = 64
USAGE_KEY = re.compile(rb'"usage"\s*:\s*\{')
EVENT_END = re.compile(rb"\r?\n\r?\n")
HEX = re.compile(rb"[0-9a-fA-F]{1,15}")
FIELDS = {
    name: b"\r\n%b:" % name
    for name in (
        b"content-length",
        b"transfer-encoding",
        b"content-type",
        b"connection",
        b"retry-after",
        b"x-fairlead-prompt-tokens",
    )
}
STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)[ \r]")


class Malformed(Exception):
    """The engine sent something that is no HTTP answer."""


class Head(msgspec.Struct, frozen=True):
    """The head of an engine's answer. `length` is None for a chunked body, -1 for one that ends with the connection."""

    status: int
    content_type: bytes
    length: int | None
    keep_alive: bool
    retry_after: bytes
    prompt_tokens: int | None


def parse_head(block: bytes) -> Head:
    """Read a head (up to and without its empty line). Raises Malformed."""
    match = STATUS.match(block)
    if match is None:
        raise Malformed("no status line")
    lower = block.lower()  # six searches in C cost less than one pass of a case-blind pattern
    fields = {name: value for name, key in FIELDS.items() if (value := field(block, lower, key)) is not None}
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is not None and (length is not None or coding.lower() != b"chunked"):
        raise Malformed("ambiguous framing")
    if length is not None and not length.isdigit():
        raise Malformed("bad content-length")
    told = fields.get(b"x-fairlead-prompt-tokens", b"")
    closing = match[1] == b"0" or fields.get(b"connection", b"").lower() == b"close"
    return Head(
        status=int(match[2]),
        content_type=fields.get(b"content-type", b"application/octet-stream"),
        length=None if coding is not None else int(length) if length is not None else -1,
        keep_alive=not closing and (coding is not None or length is not None),
        retry_after=fields.get(b"retry-after", b""),
        prompt_tokens=int(told) if told.isdigit() else None,
    )


class Heads:
    """Reads an engine's heads; one that differs from an earlier one in its content-length alone is not parsed again."""

    def __init__(self) -> None:
        self._seen: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """The head. Raises Malformed."""
        split = without_length(block)
        if split is None:
            return parse_head(block)
        known = self._seen.get(split[0])
        if known is None:
            known = parse_head(block)
            if len(self._seen) >= REMEMBERED_HEADS:  # a server's date makes a new head each second
                self._seen.clear()
            self._seen[split[0]] = known
        if known.length == split[1]:
            return known
        return Head(
            known.status, known.content_type, split[1], known.keep_alive, known.retry_after, known.prompt_tokens
        )


def field(block: bytes, lower: bytes, key: bytes) -> bytes | None:
    """The value of a field that stands once. Raises Malformed when it stands twice with two values."""
    at = lower.find(key)
    if at < 0:
        return None
    start = at + len(key)
    end = block.find(b"\r\n", start)
    value = block[start : end if end >= 0 else None].strip()
    again = lower.find(key, start)
    if again >= 0 and field(block[again:], lower[again:], key) != value:
        raise Malformed(f"two fields {key.decode().strip()}")
    return value


class TokenDetails(msgspec.Struct, frozen=True):
    """The part of the prompt that the engine found in its prefix cache."""

    cached_tokens: int | None = 0


class Tokens(msgspec.Struct, frozen=True):
    """An engine's `usage`, in the names of chat completions or of responses."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    prompt_tokens_details: TokenDetails | None = None
    input_tokens_details: TokenDetails | None = None

    @property
    def prompt(self) -> int:
        """Tokens of the prompt, cached ones included."""
        return self.prompt_tokens or self.input_tokens or 0

    @property
    def completion(self) -> int:
        """Tokens generated."""
        return self.completion_tokens or self.output_tokens or 0

    @property
    def cached(self) -> int:
        """Tokens of the prompt that came from the prefix cache."""
        details = self.prompt_tokens_details or self.input_tokens_details
        return (details.cached_tokens or 0) if details else 0


class _Inner(msgspec.Struct, frozen=True):
    usage: Tokens | None = None


class _Answer(msgspec.Struct, frozen=True):
    usage: Tokens | None = None
    choices: list[msgspec.Raw] | None = None
    response: _Inner | None = None

    def told(self) -> Tokens | None:
        """The usage, wherever it stands. Negative counts are an engine's error: nobody is paid for asking."""
        usage = self.usage or (self.response.usage if self.response else None)
        return usage if usage is not None and min(usage.prompt, usage.completion, usage.cached) >= 0 else None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def usage_of(body: bytes) -> Tokens | None:
    """The usage in a whole JSON answer; None where there is none that can be believed."""
    answer = _read_answer(body)
    return answer.told() if answer is not None else None


def _read_answer(body: bytes) -> _Answer | None:
    try:
        return _decode_answer(body)
    except UNREADABLE:
        return None


class Dechunker:
    """Takes the chunked coding off, strictly. `ended` after the last chunk, `clean` between two chunks."""

    __slots__ = ("_closing", "_left", "_rest", "ended")

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # payload bytes of the chunk that are still to come
        self._closing = False  # the payload is whole, its CRLF is still to come
        self.ended = False

    @property
    def clean(self) -> bool:
        """Whether nothing of a chunk has been taken yet."""
        return not (self._left or self._rest or self._closing)

    def feed(self, piece: bytes) -> bytes:
        """The payload in `piece`. Raises Malformed; bytes behind the end are Malformed too."""
        data, self._rest = self._rest + piece, b""
        payload: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left:
                taken = data[at : at + self._left]
                payload.append(taken)
                self._left -= len(taken)
                self._closing = not self._left
                step = at + len(taken)
            else:
                step = self._close(data, at) if self._closing else self._begin(data, at)
            if step < 0:
                self._rest = data[at:]
                break
            at = step
        return b"".join(payload)

    def _close(self, data: bytes, at: int) -> int:
        if len(data) - at < 2:
            return -1
        if data[at : at + 2] != b"\r\n":
            raise Malformed("a chunk that does not end with CRLF")
        self._closing = False
        return at + 2

    def _begin(self, data: bytes, at: int) -> int:
        """Read a size line (and the end, when it is 0); the offset behind it, or -1 when it is not whole."""
        if self.ended:
            raise Malformed("bytes behind the last chunk")
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > 1024:
                raise Malformed("endless chunk size")
            return -1
        size_text = data[at:end].split(b";", 1)[0].strip(b" \t")
        if not HEX.fullmatch(size_text):
            raise Malformed("bad chunk size")
        size = int(size_text, 16)
        if size:
            self._left = size
            return end + 2
        if data[end : end + 4] == b"\r\n\r\n":
            self.ended = True
            return end + 4
        trailer_end = data.find(b"\r\n\r\n", end)
        if trailer_end < 0:
            return -1
        self.ended = True
        return trailer_end + 4


class EventRelay:
    """Passes a stream of server-sent events on, and reads what it used on the way.

    chunked_in / chunked_out: the framing on both sides. strip_usage: take the event that carries only usage out
    again, because the client did not ask for it. After each `feed`: `last` (the answer is complete for the client:
    account for it before what `feed` returned is sent), `ended`, `events` passed on, `usage` when it was told.
    """

    __slots__ = ("_chunked_in", "_chunked_out", "_dechunker", "_held", "_strip", "ended", "events", "last", "usage")

    def __init__(self, *, chunked_in: bool, chunked_out: bool, strip_usage: bool) -> None:
        self._chunked_in = chunked_in
        self._chunked_out = chunked_out
        self._strip = strip_usage
        self._dechunker = Dechunker()
        self._held = b""
        self.events = 0
        self.usage: Tokens | None = None
        self.last = False
        self.ended = False

    def feed(self, piece: bytes) -> bytes:
        """What may be sent to the client now that `piece` has come. Raises Malformed."""
        if self._plain(piece):
            self.events += piece.count(b"\n\n")
            if piece.endswith(b"\r\n\r\n"):  # a chunk with an event ends otherwise: this is the last chunk
                self.ended = self.last = True
            return piece
        payload = self._dechunker.feed(piece) if self._chunked_in else piece
        out = self._pass_events(payload)
        if self._chunked_in and self._dechunker.ended:
            return out + self.end()
        return out

    def generated(self, operation: str) -> int:
        """Tokens passed on: one event carries one token; the first event of a chat carries the role alone."""
        return max(0, self.events - (operation == "chat"))

    def end(self) -> bytes:
        """The engine has said all: what is left to send."""
        rest, self._held = self._held, b""
        self.ended = self.last = True
        return (chunk(rest) + LAST_CHUNK) if self._chunked_out else rest

    def _plain(self, piece: bytes) -> bool:
        """Whether the piece can go on as it is: whole events in whole chunks, and nothing in them to be read."""
        return (
            not self._held
            and self._chunked_in
            and self._chunked_out
            and self._dechunker.clean
            and piece.find(b'"usage"') < 0
            and piece.find(b"[DONE]") < 0
            and whole(piece)
        )

    def _pass_events(self, payload: bytes) -> bytes:
        text = self._held + payload
        done = 0
        for boundary in EVENT_END.finditer(text):
            done = boundary.end()
        if len(text) - done > MAX_EVENT_BYTES:
            raise Malformed("an endless event")
        self._held = text[done:]
        passed = self._read_events(text[:done]) if done else b""
        return chunk(passed) if self._chunked_out else passed

    def _read_events(self, text: bytes) -> bytes:
        """Count the events, find usage and the end; give back what goes on to the client."""
        if b"[DONE]" in text:
            self.last = True
        kept: list[bytes] = []
        start = 0
        for boundary in EVENT_END.finditer(text):
            event, start = text[start : boundary.end()], boundary.end()
            if USAGE_KEY.search(event) and self._take_usage(event) and self._strip:
                continue
            self.events += 1
            kept.append(event)
        return b"".join(kept)

    def _take_usage(self, event: bytes) -> bool:
        """Keep the event's usage; whether the event carries nothing else."""
        answer = _read_answer(event.split(b"data:", 1)[-1].strip())
        told = answer.told() if answer is not None else None
        if answer is None or told is None:
            return False
        self.usage = told
        alone = answer.choices is not None and not answer.choices
        self.last = self.last or alone or answer.response is not None
        return alone


def whole(piece: bytes) -> bool:
    """Whether the piece is whole chunks, each ending with a whole event (the last chunk may follow)."""
    at, size = 0, len(piece)
    while at < size:
        line = piece.find(b"\r\n", at, at + 12)
        if line < 0:
            return False
        try:
            length = int(piece[at:line], 16)
        except ValueError:
            return False
        end = line + length + 4
        if not length:
            return end == size and piece[line:end] == b"\r\n\r\n"
        if length < 0 or end > size or piece[end - 4 : end] != b"\n\n\r\n":
            return False
        at = end
    return True
