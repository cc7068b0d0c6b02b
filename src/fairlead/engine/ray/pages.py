"""What the keeper tells on loopback: /health, /status and /metrics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import msgspec

from fairlead.engine.commands import LOOPBACK
from fairlead.engine.ray.keeper import Keeper
from fairlead.errors import UserError

Page = tuple[int, str, bytes]  # status, content type, body


@contextmanager
def served(keeper: Keeper, port: int) -> Iterator[None]:
    """Answer until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = page(keeper, self.path)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A health check a second would fill the log."""

    server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    thread = threading.Thread(target=server.serve_forever, name="pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def page(keeper: Keeper, path: str) -> Page:
    """The answer to a path. Healthy is a keeper whose models have been up: Ray itself mends what breaks later."""
    if path == "/health":
        return (200, "text/plain", b"ok\n") if keeper.served else (503, "text/plain", keeper.seen.message.encode())
    try:
        if path == "/status":
            return 200, "application/json", msgspec.json.encode(keeper.look())
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4", keeper.metrics().encode()
    except (httpx.HTTPError, UserError) as error:
        return 503, "text/plain", str(error or type(error).__name__).encode()
    return 404, "text/plain", b"there is /health, /status and /metrics\n"
