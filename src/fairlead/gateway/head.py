"""The head of a request: llhttp parses it, and whatever could be read in two ways is refused.

llhttp refuses bad framing, folding, bare line ends and bad characters by itself. The checks here are those that it
leaves to its user: the exact version, one Host, one coding, no field twice that decides anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import httptools

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal

REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (/[!-~]*) HTTP/1\.([01])\r\n")
HOST = re.compile(rb"([A-Za-z0-9._~%-]*|\[[0-9A-Fa-f:.%]+\])(:[0-9]{1,5})?")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")
ONCE = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"expect",
        b"host",
        b"idempotency-key",
        b"transfer-encoding",
        b"x-request-id",
    )
)
PRIORITY = b"x-fairlead-priority"
KEPT = ONCE | {b"connection", b"content-type", PRIORITY}


class Refused(Exception):
    """The request cannot be taken; carries what the client is told, and further headers of the answer."""

    def __init__(self, refusal: Refusal, headers: bytes = b"") -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.headers = headers


class Head:
    """One request's head. Also the parser's listener, for the head and for a chunked body behind it."""

    __slots__ = (
        "_complete",
        "_parser",
        "ambiguous",
        "close",
        "ended",
        "fields",
        "http_11",
        "method",
        "on_piece",
        "path",
        "query",
    )

    def __init__(self, method: bytes, target: bytes, *, http_11: bool) -> None:
        self.method = method
        self.path, _, self.query = target.partition(b"?")
        self.http_11 = http_11
        self.fields: dict[bytes, bytes] = {}
        self.ambiguous = False
        self.close = not http_11
        self.ended = False  # the message is whole, its body included
        self.on_piece: Callable[[bytes], None] | None = None
        self._complete = False  # the head is; trailers come through on_header too and count for nothing
        self._parser = httptools.HttpRequestParser(self)

    @property
    def chunked(self) -> bool:
        """Whether a chunked body follows."""
        return b"transfer-encoding" in self.fields

    @property
    def length(self) -> int:
        """The announced length of the body in bytes."""
        return int(self.fields.get(b"content-length", 0))

    def feed(self, piece: bytes) -> None:
        """Parse on. Raises Refused for what llhttp refuses, and for another request behind the body."""
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            if self.chunked:
                raise Refused(answers.BAD_REQUEST) from None
        except httptools.HttpParserError as error:
            raise Refused(answers.BAD_REQUEST) from error
        if self.ambiguous:
            raise Refused(answers.BAD_REQUEST)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback."""
        name = name.lower()
        if name in KEPT and not self._complete:
            if name in self.fields and name in ONCE:
                self.ambiguous = True
            self.fields[name] = value

    def on_headers_complete(self) -> None:
        """Parser callback."""
        self._complete = True

    def on_body(self, piece: bytes) -> None:
        """Parser callback, for chunked bodies only: the parser never sees the others."""
        if self.on_piece is not None:
            self.on_piece(piece)

    def on_message_complete(self) -> None:
        """Parser callback."""
        self.ended = True

    def on_message_begin(self) -> None:
        """Parser callback. A second message in the same bytes cannot be told from this one's end: refused."""
        if self.ended:
            self.ambiguous = True


def read_head(block: bytes) -> Head:
    """Parse a whole head, its empty line included. Raises Refused."""
    line = REQUEST_LINE.match(block)
    if line is None:
        raise Refused(answers.BAD_REQUEST)
    head = Head(line[1], line[2], http_11=line[3] == b"1")
    head.feed(block)
    fields = head.fields
    host = fields.get(b"host")
    if (host is None and head.http_11) or (host is not None and not HOST.fullmatch(host)):
        raise Refused(answers.BAD_REQUEST)
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if not head.http_11:
            raise Refused(answers.BAD_REQUEST)
        if coding.lower() != b"chunked":
            raise Refused(answers.CODING)
    if b"content-encoding" in fields and fields[b"content-encoding"].lower() != b"identity":
        raise Refused(answers.ENCODING)
    if b"expect" in fields and fields[b"expect"].lower() != b"100-continue":
        raise Refused(answers.EXPECTATION)
    if b"close" in fields.get(b"connection", b"").lower():
        head.close = True
    return head
