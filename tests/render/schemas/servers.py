"""Loopback servers: one with the paths of GitHub's release files, one that speaks the API server's list of definitions.

No real API server can be had here: the second answers as the API's reference says, page by page, with real definitions.
It shows that our code drives the client rightly, not that a cluster behaves so.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LIST = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass
class Site:
    """Files by path. `faults` are the next answers in place of a file: a status, or 0 for a broken connection."""

    files: dict[str, bytes]
    faults: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@dataclass
class Api:
    """An API server's definitions. `token` is what a caller must bear."""

    items: list[Mapping[str, Any]]
    token: str
    pages: list[int] = field(default_factory=list)
    url: str = ""


class SiteHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.site.asked.append(self.path)
        fault = self.site.faults.pop(0) if self.site.faults else None
        if fault == 0:
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.close_connection = True
            return
        content = self.site.files.get(self.path, b"") if fault is None else b""
        self.send_response(fault or (200 if content else 404))
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class ApiHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def do_GET(self) -> None:
        if self.headers["authorization"] != f"Bearer {self.api.token}":
            return self._answer(
                403, {"kind": "Status", "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403}
            )
        asked = urlsplit(self.path)
        if asked.path != LIST:
            return self._answer(404, {"kind": "Status", "status": "Failure", "message": "no such path", "code": 404})
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        start, size = int(query.get("continue", 0)), int(query.get("limit", len(self.api.items)))
        rest = start + size < len(self.api.items)
        page = self.api.items[start : start + size]
        self.api.pages.append(len(page))
        metadata = {"resourceVersion": "1", **({"continue": str(start + size)} if rest else {})}
        body = {"kind": "CustomResourceDefinitionList", "apiVersion": "apiextensions.k8s.io/v1", "metadata": metadata}
        return self._answer(200, {**body, "items": page})

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(holder: Site | Api) -> Iterator[str]:
    """The server's address while it runs."""
    handler = (
        type("Handler", (SiteHandler,), {"site": holder})
        if isinstance(holder, Site)
        else type("Handler", (ApiHandler,), {"api": holder})
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        holder.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield holder.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
