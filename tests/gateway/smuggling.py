"""Every payload hides a second request where two readers of HTTP/1.1 may disagree: a safe server never runs it.

`payloads` is the table. The first request of each is one that the gateway would answer if the framing were clean, and
the hidden request carries `HIDDEN` in its prompt, so an upstream that sees `HIDDEN` has been smuggled to. Where the
framing is odd but has one meaning only (a body on GET, a legal chunk extension), the hidden bytes lie inside the body.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

HIDDEN = b"hidden-request"
Payload = tuple[str, bytes]


def payloads(key: str, *, model: str = "m0") -> dict[str, bytes]:
    """name -> raw bytes of one connection; `key` is an API key that is allowed to use `model`."""
    wire = Wire(key.encode(), model)
    families = (
        both_lengths(wire),
        transfer_encodings_beside_a_length(wire),
        transfer_encodings_alone(wire),
        content_lengths(wire),
        content_length_fields(wire),
        line_ends(wire),
        field_syntax(wire),
        chunk_sizes(wire),
        chunk_bodies(wire),
        chunk_trailers(wire),
        hosts(wire),
        targets(wire),
        request_lines(wire),
        versions(wire),
        hop_by_hop(wire),
        sizes(wire),
    )
    table: dict[str, bytes] = {}
    for name, raw in (payload for family in families for payload in family):
        assert name not in table, name
        table[name] = raw
    return table


class Wire:
    """Builds the two requests of a payload."""

    def __init__(self, key: bytes, model: str) -> None:
        self.key = key
        self.body = chat(model, "visible")
        self.hidden = self.post(b"Content-Length: %d" % len(chat(model, HIDDEN.decode())))
        self.hidden += chat(model, HIDDEN.decode())
        self.chunked = chunk(self.body) + b"0\r\n\r\n"

    def head(self, line: bytes, *fields: bytes, eol: bytes = b"\r\n") -> bytes:
        """A request head with host, key and content type before `fields`."""
        usual = (b"Host: gateway.test", b"Authorization: Bearer " + self.key, b"Content-Type: application/json")
        return eol.join((line, *usual, *fields, b"", b""))

    def post(self, *fields: bytes, eol: bytes = b"\r\n") -> bytes:
        return self.head(b"POST /v1/chat/completions HTTP/1.1", *fields, eol=eol)

    def get(self, *fields: bytes, eol: bytes = b"\r\n") -> bytes:
        return self.head(b"GET /v1/models HTTP/1.1", *fields, eol=eol)

    def enclosed(self, line: bytes, *fields: bytes) -> bytes:
        """A request whose only meaning is that the hidden one is its body."""
        return self.head(line, *fields, b"Content-Length: %d" % len(self.hidden)) + self.hidden


def chat(model: str, prompt: str) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}]}).encode()


def chunk(body: bytes, *, size: bytes = b"", end: bytes = b"\r\n") -> bytes:
    return (size or b"%x" % len(body)) + b"\r\n" + body + end


def both_lengths(wire: Wire) -> Iterator[Payload]:
    """RFC 9112 6.3: both fields at once is an attack until proven otherwise."""
    body = wire.chunked + wire.hidden
    lengths = {"all": len(body), "chunked": len(wire.chunked), "zero": 0, "first chunk": len(wire.body)}
    for what, length in lengths.items():
        size = b"Content-Length: %d" % length
        yield f"length of {what}, then chunked", wire.post(size, b"Transfer-Encoding: chunked") + body
        yield f"chunked, then length of {what}", wire.post(b"Transfer-Encoding: chunked", size) + body


TRANSFER_ENCODINGS: dict[str, bytes] = {
    "space before colon": b"Transfer-Encoding : chunked",
    "tab before colon": b"Transfer-Encoding\t: chunked",
    "x before": b"Transfer-Encoding: xchunked",
    "x after": b"Transfer-Encoding: chunkedx",
    "identity after": b"Transfer-Encoding: chunked, identity",
    "identity before": b"Transfer-Encoding: identity, chunked",
    "identity only": b"Transfer-Encoding: identity",
    "gzip only": b"Transfer-Encoding: gzip",
    "vertical tab": b"Transfer-Encoding: \x0bchunked",
    "form feed": b"Transfer-Encoding: chunked\x0c",
    "nul after": b"Transfer-Encoding: chunked\x00",
    "high byte": b"Transfer-Encoding: \xffchunked",
    "double quotes": b'Transfer-Encoding: "chunked"',
    "single quotes": b"Transfer-Encoding: 'chunked'",
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "twice in a list": b"Transfer-Encoding: chunked, chunked",
    "inner space": b"Transfer-Encoding: chunk ed",
    "empty": b"Transfer-Encoding:",
    "twice, identity last": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "twice, identity first": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "twice, unknown last": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
    "folded value": b"Transfer-Encoding:\r\n chunked",
    "folded second coding": b"Transfer-Encoding: chunked\r\n , identity",
    "after a bare LF": b"X-A: b\nTransfer-Encoding: chunked",
    "after a bare CR": b"X-A: b\rTransfer-Encoding: chunked",
    "nul in name": b"Transfer\x00-Encoding: chunked",
    "leading space in name": b"X-A: b\r\n Transfer-Encoding: chunked",
}


def transfer_encodings_beside_a_length(wire: Wire) -> Iterator[Payload]:
    """The length says: all of it is one body. Whoever reads `chunked` in the field sees two requests."""
    body = wire.chunked + wire.hidden
    legal_alone = {
        "upper case": b"Transfer-Encoding: CHUNKED",
        "tab before value": b"Transfer-Encoding:\tchunked",
        "underscore": b"Transfer_Encoding: chunked",
    }
    for what, field in (TRANSFER_ENCODINGS | legal_alone).items():
        yield f"length and transfer-encoding: {what}", wire.post(b"Content-Length: %d" % len(body), field) + body


def transfer_encodings_alone(wire: Wire) -> Iterator[Payload]:
    """No length: a reader that ignores the field sees the hidden request next; one that honours it sees chunks."""
    read_as_chunked = ("identity after", "identity before", "twice, identity last", "twice, unknown last", "parameter")
    read_as_nothing = ("x before", "identity only", "gzip only", "empty", "vertical tab", "double quotes")
    for what in read_as_chunked:
        yield f"transfer-encoding alone: {what}", wire.post(TRANSFER_ENCODINGS[what]) + wire.chunked + wire.hidden
    for what in read_as_nothing:
        yield f"transfer-encoding alone: {what}", wire.get(TRANSFER_ENCODINGS[what]) + wire.hidden
    yield (
        "transfer-encoding alone: gzip, chunked",
        wire.post(b"Transfer-Encoding: gzip, chunked") + (wire.chunked + wire.hidden),
    )


def content_lengths(wire: Wire) -> Iterator[Payload]:
    """Values that only a careless reader takes for the length of the visible body (RFC 9110 8.6: digits only)."""
    size = len(wire.body)
    values = {
        "plus sign": b"+%d" % size,
        "minus sign": b"-%d" % size,
        "hex": b"0x%x" % size,
        "decimal point": b"%d.0" % size,
        "exponent": b"%de0" % size,
        "underscore": b"_".join(b"%c" % digit for digit in b"%d" % size),
        "inner space": b" ".join(b"%c" % digit for digit in b"%d" % size),
        "parameter": b"%d;a=b" % size,
        "quotes": b'"%d"' % size,
        "empty": b"",
        "list of equals": b"%d, %d" % (size, size),
        "list of different": b"%d, %d" % (size, size + len(wire.hidden)),
        "trailing comma": b"%d," % size,
        "leading comma": b",%d" % size,
        "2^32 more": b"%d" % (2**32 + size),
        "2^64 more": b"%d" % (2**64 + size),
        "largest signed": b"%d" % (2**63),
        "forty digits": b"9" * 40,
        "nul after": b"%d\x00" % size,
        "vertical tab before": b"\x0b%d" % size,
        "form feed after": b"%d\x0c" % size,
        "bare CR after": b"%d\r" % size,
        "arabic digits": str(size).translate({48 + digit: 0x660 + digit for digit in range(10)}).encode(),
        "words": b"many",
    }
    for what, value in values.items():
        yield f"content-length: {what}", wire.post(b"Content-Length: " + value) + wire.body + wire.hidden
    octal = b"Content-Length: 0%d" % len(wire.hidden)  # legal, and one meaning: the hidden request is the body
    yield "content-length: leading zero", wire.get(octal) + wire.hidden


def content_length_fields(wire: Wire) -> Iterator[Payload]:
    """More than one length, or a field that only some readers take for one."""
    visible, everything = b"%d" % len(wire.body), b"%d" % (len(wire.body) + len(wire.hidden))
    hidden = b"%d" % len(wire.hidden)
    name = b"Content-Length: "
    fields = {
        "two, small first": (name + visible, name + everything),
        "two, large first": (name + everything, name + visible),
        "two equal": (name + visible, name + visible),
        "two, zero first": (name + b"0", name + visible),
        "folded value": (b"Content-Length:\r\n " + visible,),
        "folded continuation": (name + visible + b"\r\n 0",),
        "space before colon, and a length": (b"Content-Length : " + everything, name + visible),
        "tab before colon": (b"Content-Length\t: " + visible,),
        "space before colon": (b"Content-Length : " + visible,),
        "after a bare LF": (b"X-A: b\n" + name + visible,),
        "after a bare CR": (b"X-A: b\r" + name + visible,),
        "nul in name": (b"Content-Length\x00: " + visible,),
    }
    for what, lines in fields.items():
        yield f"content-length field: {what}", wire.post(*lines) + wire.body + wire.hidden
    yield "content-length field: space before colon on GET", wire.get(b"Content-Length : " + hidden) + wire.hidden


def line_ends(wire: Wire) -> Iterator[Payload]:
    length = b"Content-Length: %d" % len(wire.hidden)
    clean = wire.get(length)
    lines = {
        "LF everywhere": wire.get(length, eol=b"\n"),
        "CR everywhere": wire.get(length, eol=b"\r"),
        "LF after the request line": clean.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n", 1),
        "LF after a field": clean.replace(b"gateway.test\r\n", b"gateway.test\n", 1),
        "LF ends the head": clean[:-2] + b"\n",
        "two LF end the head": clean[:-4] + b"\n\n",
        "CR CR LF after a field": clean.replace(b"gateway.test\r\n", b"gateway.test\r\r\n", 1),
        "CR inside a value": clean.replace(b"gateway.test", b"gateway\r.test", 1),
        "CR ends the head": clean[:-2] + b"\r\r\n",
    }
    for what, head in lines.items():
        yield f"line end: {what}", head + wire.hidden
    yield "line end: LF ends an early head", wire.get(b"X-A: b\n", length) + wire.hidden


def field_syntax(wire: Wire) -> Iterator[Payload]:
    """One odd line in the head; behind the head the hidden request, which only a refusal keeps from running."""
    odd = {
        "space before colon": b"X-A : b",
        "tab before colon": b"X-A\t: b",
        "no colon": b"X-A",
        "empty name": b": b",
        "nul in name": b"X\x00A: b",
        "nul in value": b"X-A: b\x00c",
        "control character in value": b"X-A: b\x01c",
        "delete in value": b"X-A: b\x7fc",
        "vertical tab in value": b"X-A: b\x0bc",
        "space in name": b"X A: b",
        "bracket in name": b"X(A): b",
        "slash in name": b"X/A: b",
        "at sign in name": b"X@A: b",
        "quote in name": b'X"A: b',
        "high byte in name": b"X-\xe9: b",
        "only spaces": b"   ",
        "folded with space": b"X-A: b\r\n c",
        "folded with tab": b"X-A: b\r\n\tc",
    }
    for what, line in odd.items():
        yield f"field: {what}", wire.get(line) + wire.hidden
    first = b"GET /v1/models HTTP/1.1\r\n"
    yield "field: first line starts with a space", wire.get().replace(first, first + b" X-A: b\r\n", 1) + wire.hidden
    yield "field: a line of one space first", wire.get().replace(first, first + b" \r\n", 1) + wire.hidden


def chunk_sizes(wire: Wire) -> Iterator[Payload]:
    size = b"%x" % len(wire.body)
    values = {
        "0x prefix": b"0x" + size,
        "plus sign": b"+" + size,
        "minus sign": b"-" + size,
        "underscore": b"_".join(b"%c" % digit for digit in size),
        "trailing space": size + b" ",
        "trailing tab": size + b"\t",
        "leading space": b" " + size,
        "leading tab": b"\t" + size,
        "2^64 more": b"1" + size.rjust(16, b"0"),
        "2^32 more": b"1" + size.rjust(8, b"0"),
        "sixteen f": b"f" * 16,
        "seventeen f": b"f" * 17,
        "negative through 2^63": b"8" + size.rjust(15, b"0"),
        "not hex": b"g",
        "nul after": size + b"\x00",
        "vertical tab after": size + b"\x0b",
        "empty": b"",
        "comma": size + b",0",
        "quotes": b'"' + size + b'"',
        "space, then more digits": size + b" 0",
        "extension with LF": size + b";a\nb",
        "extension with CR": size + b";a\rb",
        "extension with nul": size + b";a\x00b",
        "extension after CR": size + b"\r;a",
        "extension with an open quote": size + b';a="\r\n"',
    }
    head = wire.post(b"Transfer-Encoding: chunked")
    for what, value in values.items():
        yield f"chunk size: {what}", head + value + b"\r\n" + wire.body + b"\r\n0\r\n\r\n" + wire.hidden
    legal = chunk(wire.hidden, size=b"%x;a=b" % len(wire.hidden)) + b"0\r\n\r\n"
    yield "chunk size: legal extension", wire.get(b"Transfer-Encoding: chunked") + legal
    long = chunk(wire.hidden, size=b"%x;a=%s" % (len(wire.hidden), b"b" * 20_000)) + b"0\r\n\r\n"
    yield "chunk size: extension of 20 kB", wire.get(b"Transfer-Encoding: chunked") + long
    zeros = chunk(wire.hidden, size=b"0" * 64 + b"%x" % len(wire.hidden)) + b"0\r\n\r\n"
    yield "chunk size: 64 leading zeros", wire.get(b"Transfer-Encoding: chunked") + zeros


def chunk_bodies(wire: Wire) -> Iterator[Payload]:
    size = b"%x" % len(wire.body)
    bodies = {
        "LF after the size": size + b"\n" + wire.body + b"\r\n0\r\n\r\n",
        "CR after the size": size + b"\r" + wire.body + b"\r\n0\r\n\r\n",
        "LF after the data": chunk(wire.body, end=b"\n") + b"0\r\n\r\n",
        "CR after the data": chunk(wire.body, end=b"\r") + b"0\r\n\r\n",
        "nothing after the data": chunk(wire.body, end=b"") + b"0\r\n\r\n",
        "two letters after the data": chunk(wire.body, end=b"xx") + b"0\r\n\r\n",
        "data longer than its size": chunk(wire.body, size=b"%x" % (len(wire.body) - 2)) + b"0\r\n\r\n",
        "LF ends the last chunk": chunk(wire.body) + b"0\n\r\n",
        "two LF end the body": chunk(wire.body) + b"0\n\n",
        "LF ends the body": chunk(wire.body) + b"0\r\n\n",
        "CR ends the body": chunk(wire.body) + b"0\r\n\r",
        "minus zero": chunk(wire.body) + b"-0\r\n\r\n",
        "blank line before the size": b"\r\n" + wire.chunked,
        "LF everywhere": wire.chunked.replace(b"\r\n", b"\n"),
    }
    for what, body in bodies.items():
        yield f"chunk body: {what}", wire.post(b"Transfer-Encoding: chunked") + body + wire.hidden


def chunk_trailers(wire: Wire) -> Iterator[Payload]:
    """Fields that frame must not stand in a trailer (RFC 9110 6.5.1); the rest must be fields at all."""
    trailers = {
        "content-length": b"Content-Length: %d" % len(wire.hidden),
        "transfer-encoding": b"Transfer-Encoding: chunked",
        "no colon": b"X-A",
        "nul": b"X-A: b\x00",
        "space before colon": b"X-A : b",
        "folded": b"X-A: b\r\n c",
        "bare LF": b"X-A: b\nX-B: c",
    }
    for what, trailer in trailers.items():
        body = chunk(wire.body) + b"0\r\n" + trailer + b"\r\n\r\n"
        yield f"trailer: {what}", wire.post(b"Transfer-Encoding: chunked") + body + wire.hidden
    for what, trailer in {"host": b"Host: other.test", "authorization": b"Authorization: Bearer other"}.items():
        body = chunk(wire.hidden) + b"0\r\n" + trailer + b"\r\n\r\n"  # may be ignored, must not be obeyed
        yield f"trailer: {what}", wire.get(b"Transfer-Encoding: chunked") + body


def hosts(wire: Wire) -> Iterator[Payload]:
    usual = b"Host: gateway.test"
    fields = {
        "missing": b"X-A: b",
        "two different": usual + b"\r\nHost: other.test",
        "two equal": usual + b"\r\n" + usual,
        "list": b"Host: gateway.test, other.test",
        "inner space": b"Host: gateway.test other.test",
        "user info": b"Host: user@gateway.test",
        "path": b"Host: gateway.test/admin",
        "folded": b"Host:\r\n gateway.test",
        "nul": b"Host: gateway.test\x00.other",
        "space before colon": b"Host : gateway.test",
        "letters for port": b"Host: gateway.test:eighty",
    }
    for what, field in fields.items():
        yield f"host: {what}", wire.get().replace(usual, field, 1) + wire.hidden


def targets(wire: Wire) -> Iterator[Payload]:
    """Odd targets; the hidden request is the declared body, or stands behind a target that must be refused."""
    yield "target: absolute, other host", wire.enclosed(b"GET http://other.test/v1/models HTTP/1.1")
    yield "target: absolute, other scheme", wire.enclosed(b"GET ftp://gateway.test/v1/models HTTP/1.1")
    yield "target: authority", wire.enclosed(b"GET gateway.test:80 HTTP/1.1")
    yield "target: CONNECT", wire.enclosed(b"CONNECT gateway.test:80 HTTP/1.1")
    refused = {
        "inner space": b"/v1/models x",
        "nul": b"/v1/models\x00",
        "control character": b"/v1/models\x01",
        "tab": b"/v1/models\tx",
        "vertical tab": b"/v1/models\x0b",
        "delete": b"/v1/models\x7f",
        "CR": b"/v1/models\rx",
        "no slash": b"v1/models",
        "embedded line": b"/v1/models HTTP/1.1\nX-A: b",
    }
    for what, target in refused.items():
        yield f"target: {what}", wire.head(b"GET " + target + b" HTTP/1.1") + wire.hidden


def request_lines(wire: Wire) -> Iterator[Payload]:
    lines = {
        "lower case method": b"get /v1/models HTTP/1.1",
        "unknown method": b"GETS /v1/models HTTP/1.1",
        "space in method": b"GE T /v1/models HTTP/1.1",
        "nul in method": b"G\x00ET /v1/models HTTP/1.1",
        "bracket in method": b"GET( /v1/models HTTP/1.1",
        "tabs between": b"GET\t/v1/models\tHTTP/1.1",
        "trailing space": b"GET /v1/models HTTP/1.1 ",
        "leading space": b" GET /v1/models HTTP/1.1",
        "vertical tab between": b"GET\x0b/v1/models HTTP/1.1",
        "more after the version": b"GET /v1/models HTTP/1.1 HTTP/1.1",
    }
    for what, line in lines.items():
        yield f"request line: {what}", wire.head(line) + wire.hidden
    yield "request line: two spaces before target", wire.enclosed(b"GET  /v1/models HTTP/1.1")
    yield "request line: two spaces before version", wire.enclosed(b"GET /v1/models  HTTP/1.1")


def versions(wire: Wire) -> Iterator[Payload]:
    spelled = (
        b"HTTP/2.0",
        b"HTTP/1.2",
        b"HTTP/1.10",
        b"HTTP/01.1",
        b"HTTP/ 1.1",
        b"http/1.1",
        b"HTTP/1,1",
        b"HTTQ/1.1",
    )
    for version in (*spelled, b"HTTP/1", b"RTSP/1.0", b"ICE/1.0", b"HTTP/9.9"):
        yield f"version: {version.decode()}", wire.head(b"GET /v1/models " + version) + wire.hidden
    yield "version: 0.9", b"GET /v1/models\r\n\r\n" + wire.hidden
    yield "version: HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + wire.hidden
    line = b"POST /v1/chat/completions HTTP/1.0"
    chunked = wire.head(line, b"Transfer-Encoding: chunked", b"Connection: keep-alive") + wire.chunked
    yield "version: 1.0 with chunks", chunked + wire.hidden
    yield "version: 1.0 without keep-alive", wire.head(b"GET /v1/models HTTP/1.0") + wire.hidden


def hop_by_hop(wire: Wire) -> Iterator[Payload]:
    """What stands in these fields must not change where the body ends, nor who the caller is."""
    line = b"GET /v1/models HTTP/1.1"
    enclosed = {
        "connection: content-length": (b"Connection: content-length",),
        "connection: host": (b"Connection: keep-alive, host",),
        "upgrade: h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAA"),
        "upgrade: websocket": (b"Connection: Upgrade", b"Upgrade: websocket"),
        "expect: 100-continue": (b"Expect: 100-continue",),
        "expect: twice": (b"Expect: 100-continue", b"Expect: 100-continue"),
        "expect: unknown": (b"Expect: the-unexpected",),
        "method override": (b"X-HTTP-Method-Override: POST",),
        "body on GET": (),
    }
    for what, fields in enclosed.items():
        yield f"hop: {what}", wire.enclosed(line, *fields)
    yield "hop: request after connection: close", wire.get(b"Connection: close") + wire.hidden
    chunked = chunk(wire.hidden) + b"0\r\n\r\n"
    yield "hop: chunked body on GET", wire.get(b"Transfer-Encoding: chunked") + chunked
    dropped = wire.post(b"Connection: transfer-encoding", b"Transfer-Encoding: chunked") + chunk(wire.hidden)
    yield "hop: connection: transfer-encoding", dropped + b"0\r\n\r\n"


def sizes(wire: Wire) -> Iterator[Payload]:
    yield "size: target of 70 kB", wire.head(b"GET /v1/models?" + b"a" * 70_000 + b" HTTP/1.1") + wire.hidden
    yield "size: field of 70 kB", wire.get(b"X-A: " + b"b" * 70_000) + wire.hidden
    yield "size: field name of 70 kB", wire.get(b"X" * 70_000 + b": b") + wire.hidden
    yield "size: 10,000 fields", wire.get(*(b"X-%d: b" % number for number in range(10_000))) + wire.hidden
    yield "size: method of 70 kB", wire.head(b"G" * 70_000 + b" /v1/models HTTP/1.1") + wire.hidden
