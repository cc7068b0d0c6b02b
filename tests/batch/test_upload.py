"""An upload on the wire: chunked, in pieces, with more behind it, broken off, too slow; and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest

from fairlead.gateway.batches_form import Form
from gateway.conftest import Build, House
from gateway.upstream import eventually
from gateway.wire import exchange, statuses

from .conftest import batching

LINE = b'{"custom_id": "a"}\n'


def form(content: bytes = LINE, *, name: bytes = b"file") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="r.jsonl"\r\n\r\n' % name
    return head + content + b'\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--\r\n'


def head(key: str, *fields: bytes) -> bytes:
    lines = (b"POST /v1/files HTTP/1.1", b"host: g", b"authorization: Bearer " + key.encode(), *fields)
    return b"\r\n".join((*lines, b"content-type: multipart/form-data; boundary=b", b"", b""))


CLOSE = b"connection: close"


def plain(key: str, body: bytes, *fields: bytes) -> bytes:
    return head(key, b"content-length: %d" % len(body), *fields) + body


def models(key: str, *fields: bytes) -> bytes:
    lines = (b"GET /v1/models HTTP/1.1", b"host: g", b"authorization: Bearer " + key.encode(), *fields)
    return b"\r\n".join((*lines, b"", b""))


def chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 50] for at in range(0, len(body), 50)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def send(house: House, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """The answer to bytes that come in pieces."""

    async def talk() -> bytes:
        if len(pieces) == 1:
            return await exchange(house.gateway.port, pieces[0], quiet_s=2.0)
        reader, writer = await asyncio.open_connection("127.0.0.1", house.gateway.port)
        answer = b""
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(pause_s)
            while found := await asyncio.wait_for(reader.read(65536), 2.0):
                answer += found
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
        return answer

    return asyncio.run(talk())


def test_more_requests_on_the_same_connection(desk: House) -> None:
    key = desk.gateway.key
    body = form()
    assert statuses(send(desk, plain(key, body) + models(key, CLOSE))) == [200, 200]
    whole = head(key, b"transfer-encoding: chunked", CLOSE) + chunked(body)
    assert statuses(send(desk, whole)) == [200]
    assert statuses(send(desk, models(key) + plain(key, body, CLOSE))) == [200, 200]


def test_every_split_of_a_form(desk: House) -> None:
    key, body = desk.gateway.key, form()
    request = plain(key, body, CLOSE)
    start = len(request) - len(body)
    for at in range(start, len(request), 7):
        answer = send(desk, request[:at], request[at:])
        assert statuses(answer) == [200], at
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["bytes"] == len(LINE)


def test_a_form_comes_in_any_two_pieces() -> None:
    body = form()
    for at in range(1, len(body)):
        read = Form(b"multipart/form-data; boundary=b", 2**10)
        assert b"".join(part for piece in (body[:at], body[at:]) for part in read.feed(piece)) == LINE, at
        read.end()


def test_expect_is_answered_before_the_body(desk: House) -> None:
    key, body = desk.gateway.key, form()
    request = head(key, CLOSE, b"expect: 100-continue", b"content-length: %d" % len(body))
    answer = send(desk, request, body, pause_s=0.2)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


BROKEN = {
    "no end": form()[:-6],
    "another field first": form(name=b"upload"),
    "no boundary": b"x" * 200,
    "nothing": b"--b--\r\n",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_form_that_is_broken_is_refused(desk: House, body: bytes) -> None:
    assert statuses(send(desk, plain(desk.gateway.key, body))) == [400]


def test_what_is_broken_off_or_too_large_leaves_nothing(build: Build) -> None:
    house = build(change=batching(max_file_bytes=2**16), body_timeout_s=0.5)
    key, folder = house.gateway.key, house.gateway.state_dir / "batches" / "files"
    request = plain(key, form(b"x" * 2**15))
    send(house, request[: len(request) // 2])  # and leave
    stalled = asyncio.run(exchange(house.gateway.port, request[: len(request) // 2], quiet_s=20.0))
    assert statuses(stalled) == [408]
    chunks = head(key, b"transfer-encoding: chunked") + chunked(form(b"x" * (2**16 + 1)))
    assert statuses(send(house, chunks)) == [413]
    assert statuses(send(house, plain(key, form(b"x" * (2**16 + 1))))) == [413]
    assert statuses(send(house, plain(key, form(b"x" * 2**18)))) == [413], "told before the body is read"
    assert eventually(lambda: not list(folder.iterdir())), list(folder.iterdir())
    assert house.gateway.chat().status_code == 200


def test_a_file_is_for_its_owner_alone(desk: House, tmp_path: Path) -> None:
    content = str(uuid.uuid4()).encode()
    assert statuses(send(desk, plain(desk.gateway.key, form(content), CLOSE))) == [200]
    folder = desk.gateway.state_dir / "batches"
    (found,) = (path for path in (folder / "files").iterdir() if path.read_bytes() == content)
    assert (found.stat().st_mode & 0o777, found.parent.stat().st_mode & 0o777) == (0o600, 0o700)
