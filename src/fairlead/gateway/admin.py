"""The admin listener: metrics, health, readiness, status. Loopback by default; it knows no keys and no models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from fairlead import __version__
from fairlead.gateway import answers
from fairlead.gateway.exposition import exposition
from fairlead.gateway.head import Refused, read_head

if TYPE_CHECKING:
    from fairlead.gateway.app import App

MAX_HEAD_BYTES = 16 * 1024
READ_TIMEOUT_S = 5.0
Page = tuple[int, bytes, bytes]  # status, content type, body


def metrics(app: App) -> Page:
    """Everything in signals.GATEWAY."""
    return 200, CONTENT_TYPE_LATEST.encode(), exposition(app)


def healthz(app: App) -> Page:
    """The process lives and its loop turns."""
    return 200, answers.JSON, b'{"status":"ok"}'


def readyz(app: App) -> Page:
    """Whether everything is served: the gateway and each of its models."""
    return readiness(app.ready())


def readyz_gateway(app: App) -> Page:
    """Whether to send traffic here: one model that is down must not take the others with it."""
    return readiness(app.trouble())


def readiness(reasons: list[str]) -> Page:
    """503 with the reasons, where there are any."""
    return (503 if reasons else 200), answers.JSON, msgspec.json.encode({"ready": not reasons, "reasons": reasons})


def status(app: App) -> Page:
    """What `fairlead status` shows."""
    models = {
        name: [{"url": replica.shown, "up": replica.up, "in_flight": replica.in_flight} for replica in model.replicas]
        for name, model in sorted(app.tables.models.items())
    }
    totals = app.accounting.counters.requests
    return (
        200,
        answers.JSON,
        msgspec.json.encode(
            {
                "name": app.config.name,
                "version": __version__,
                "ready": not app.ready(),
                "reasons": app.ready(),
                "connections": len(app.connections),
                "requests": sum(totals.values()),
                "models": models,
            }
        ),
    )


PAGES: Mapping[bytes, Callable[[App], Page]] = {
    b"/metrics": metrics,
    b"/healthz": healthz,
    b"/readyz": readyz,
    b"/readyz/gateway": readyz_gateway,
    b"/status": status,
}


async def serve(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request and close."""
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            block = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(app, block))
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # the one who asked has gone, or asked in a way that deserves no answer
    finally:
        writer.close()


def answer(app: App, block: bytes) -> bytes:
    """The answer to one request head."""
    request_id = app.new_request_id()
    try:
        head = read_head(block)
    except Refused as refused:
        return answers.refuse(refused.refusal, request_id, close=True)
    page = PAGES.get(head.path)
    if page is None:
        return answers.refuse(answers.NOT_FOUND, request_id, close=True)
    if head.method not in {b"GET", b"HEAD"}:
        return answers.refuse(answers.wrong_method("GET"), request_id, close=True)
    code, content_type, body = page(app)
    start = answers.head(code, content_type, request_id, len(body), close=True)
    return start if head.method == b"HEAD" else start + body
