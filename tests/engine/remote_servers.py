"""Loopback servers that speak just enough of a model hub and of two object stores, with faults on demand.

They are written from the requests that the real clients send and the answers that these accept: they show that our code
drives the clients rightly, not that a cloud behaves so.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0ff"


@dataclass
class Store:
    """What a server holds, what was asked of it, and how it is to fail.

    `cuts` holds, for the next reads of a file in turn, after how many bytes the connection breaks. `wrong_hash` is
    the checksum that the hub states instead of the right one.
    """

    files: dict[str, bytes]
    cuts: list[int] = field(default_factory=list)
    wrong_hash: str = ""
    token: str = ""
    url: str = ""
    reads: list[tuple[str, str]] = field(default_factory=list)  # (name, Range header)
    secrets_at_cdn: list[str] = field(default_factory=list)  # Authorization headers that reached the other host


class Handler(BaseHTTPRequestHandler):
    store: Store
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def answer(self, *, with_body: bool) -> None:
        raise NotImplementedError

    def send_text(self, text: str, *, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, name: str, *, with_body: bool) -> None:
        """The file or the range of it that is asked for; cut off when the store says so."""
        content = self.store.files[name]
        asked = self.headers.get("range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("content-length", str(len(content) - start))
        if asked:
            self.send_header("content-range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("etag", f'"{etag(content)}"')
        self.send_header("last-modified", "Fri, 20 Nov 2026 10:00:00 GMT")
        self.end_headers()
        if with_body:
            self.store.reads.append((name, asked))
            self.send_body(content[start:])

    def send_body(self, content: bytes) -> None:
        cut = self.store.cuts.pop(0) if self.store.cuts else len(content)
        self.wfile.write(content[:cut])
        self.close_connection = cut < len(content)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


class Hub(Handler):
    """GET /api/models/ORG/NAME/revision/REV with file metadata; /ORG/NAME/resolve/REV/FILE leads to another host."""

    def answer(self, *, with_body: bool) -> None:
        place = urlsplit(self.path)
        if place.path.startswith("/cdn/"):
            self.store.secrets_at_cdn.extend(self.headers.get_all("authorization") or [])
            self.send_file(unquote(place.path.removeprefix("/cdn/")), with_body=with_body)
        elif self.store.token and self.headers.get("authorization") != f"Bearer {self.store.token}":
            self.send_text('{"error": "Invalid username or password."}', status=401)
        elif place.path == "/api/models/org/tiny/revision/v1":
            self.send_text(json.dumps(self.listing()))
        elif place.path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            name = place.path.removeprefix(f"/org/tiny/resolve/{COMMIT}/")
            other_host = self.store.url.replace("127.0.0.1", "localhost")
            self.send_text("", status=302, location=f"{other_host}/cdn/{name}", x_repo_commit=COMMIT)
        else:
            self.send_text('{"error": "Repository not found"}', status=404, x_error_code="RepoNotFound")

    def listing(self) -> dict[str, object]:
        return {
            "id": "org/tiny",
            "sha": COMMIT,
            "siblings": [self.sibling(name, content) for name, content in self.store.files.items()],
        }

    def sibling(self, name: str, content: bytes) -> dict[str, object]:
        sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": etag(content)}
        if name.endswith((".safetensors", ".gguf")):
            sha256 = self.store.wrong_hash or hashlib.sha256(content).hexdigest()
            sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return sibling


class Gcs(Handler):
    """Google's XML API: GET /BUCKET?list-type=2 lists, GET /BUCKET/OBJECT reads."""

    def answer(self, *, with_body: bool) -> None:
        place = urlsplit(self.path)
        bucket, _, name = unquote(place.path).lstrip("/").partition("/")
        if bucket != "weights":
            self.send_text("<Error><Code>NoSuchBucket</Code></Error>", status=404, kind="application/xml")
        elif self.store.token and self.headers.get("authorization") != f"Bearer {self.store.token}":
            self.send_text("<Error><Code>AccessDenied</Code></Error>", status=403, kind="application/xml")
        elif name in self.store.files:
            self.send_file(name, with_body=with_body)
        elif name:
            self.send_text("<Error><Code>NoSuchKey</Code></Error>", status=404, kind="application/xml")
        else:
            prefix = parse_qs(place.query)["prefix"][0]
            self.send_text(self.listing(prefix), kind="application/xml")

    def listing(self, prefix: str) -> str:
        objects = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(content)}</Size><ETag>&quot;{etag(content)}&quot;</ETag>"
            "<LastModified>2026-11-20T10:00:00.000Z</LastModified></Contents>"
            for name, content in sorted(below(self.store.files, prefix))
        )
        return f"<ListBucketResult><Name>weights</Name><Prefix>{prefix}</Prefix>{objects}</ListBucketResult>"


class Azure(Gcs):
    """Azure's Blob service: GET /CONTAINER?comp=list lists, GET /CONTAINER/BLOB reads."""

    def listing(self, prefix: str) -> str:
        blobs = "".join(
            f"<Blob><Name>{name}</Name><Properties><Last-Modified>Fri, 20 Nov 2026 10:00:00 GMT</Last-Modified>"
            f"<Content-Length>{len(content)}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
            f"<Etag>{etag(content)}</Etag></Properties></Blob>"
            for name, content in sorted(below(self.store.files, prefix))
        )
        return f"<EnumerationResults><Prefix>{prefix}</Prefix><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"


@contextmanager
def served(kind: type[Handler], store: Store) -> Iterator[Store]:
    """Run the server for the block; `store.url` says where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (kind,), {"store": store}))
    server.daemon_threads = True
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def below(files: dict[str, bytes], prefix: str) -> Iterator[tuple[str, bytes]]:
    """The files directly in the folder `prefix`, as with the delimiter `/`."""
    for name, content in files.items():
        if name.startswith(prefix) and "/" not in name[len(prefix) :]:
            yield name, content


def etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:40]
