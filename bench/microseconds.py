"""Where the microseconds of a request go inside our gateway: each step alone, then all together without a kernel.

`python -m bench.microseconds` pins itself to one core and times many short repetitions of each step. The best one is
what the step takes on warm caches (what disturbs only ever adds), the median what it took on this machine, today.
Real parts are timed; only the two sockets are replaced, by wires in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bench.peers import Place, fairlead
from bench.rig.load import PATH, Load, chat_body
from fairlead.gateway import answers
from fairlead.gateway.accounting import Accounting
from fairlead.gateway.admission import caller_of, operation_of, route_of
from fairlead.gateway.app import App
from fairlead.gateway.body import decode
from fairlead.gateway.config import load
from fairlead.gateway.connection import ClientConnection
from fairlead.gateway.consumption_config import Fairness
from fairlead.gateway.head import read_head
from fairlead.gateway.relay import EventRelay, parse_head, usage_of
from fairlead.gateway.tables import request_head
from fairlead.gateway.upstream import Replica, UpstreamConnection
from fairlead.policy.balance import pick
from fairlead.store.journal import Journal
from fairlead.store.keys import KeyStore
from fairlead.store.ledger import Ledger
from fairlead.store.usage import Usage, encode

REPEATS = 300
REPLICAS = 8
LARGE = Load(prompt_bytes=200_000)
FAIR: dict[str, Any] = {"fairness": Fairness(max_in_flight=64)}
NOTHING: dict[str, Any] = {"rate_limits": {}, "prices": {}, "budgets": {}, "fairness": None}
ANSWER_BODY = json.dumps(
    {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "m0",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "the quick brown fox " * 10},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 256, "completion_tokens": 64, "total_tokens": 320},
    }
).encode()
ANSWER_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER_BODY)
EVENT = (
    b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" a"}}]}\n\n'
)
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is timed; `times` a repetition."""

    name: str
    call: Callable[[], object]
    times: int = 20


class Wire(asyncio.Transport):
    """A transport in memory: what is written goes to a function."""

    def __init__(self, written: Callable[[bytes], object]) -> None:
        super().__init__()
        self._written = written

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand the bytes on at once."""
        self._written(bytes(data))

    def writelines(self, list_of_data: object) -> None:
        """A large request goes out in two parts; the engine answers once."""
        self._written(b"")

    def abort(self) -> None:
        """Nothing to drop."""

    def close(self) -> None:
        """Nothing to close."""


def main(argv: Sequence[str]) -> int:
    """Time every step and print them."""
    parser = argparse.ArgumentParser(prog="python -m bench.microseconds", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(time_all(Path(folder)))
    if options.json:
        print(json.dumps(measured, indent=1))
    else:
        Console().print(table_of(measured))
    return 0


async def time_all(folder: Path) -> dict[str, dict[str, float]]:
    """The best and the median microseconds of each step."""
    with gateway(folder) as (app, secret), loopback() as pair:
        gc.freeze()
        return {step.name: microseconds(step) for step in chain(steps(app, secret, folder), (kernel_step(pair),))}


def microseconds(step: Step) -> dict[str, float]:
    """The best and the median repetition, per call."""
    each = [_seconds(step) / step.times * 1e6 for _ in range(REPEATS)]
    return {"best_us": round(min(each), 2), "median_us": round(median(each), 2)}


def steps(app: App, secret: str, folder: Path) -> Iterator[Step]:
    """The steps of a request in their order, then the whole, then streaming."""
    raw, path = chat_body(Load()), folder / "gateway.json"
    block = request_block(secret, len(raw))
    head, body, now = read_head(block), decode(raw), time.time()
    caller = caller_of(app.tables, head, now, None)
    route = route_of(app.tables, caller, "chat", body.model)
    model, said = route.model, route.model.engine_headers
    replica, request_id = model.replicas[0], app.new_request_id()
    usage = Usage(now, request_id.decode(), "t", "k", "m0", "m0", "chat", 200, 256, 0, 64, None, 12.5, False)
    yield Step("read: the request's head", lambda: read_head(block))
    yield Step("who: operation and key", lambda: (operation_of(head), caller_of(app.tables, head, now, None)))
    yield Step("may they: body fields and route", lambda: route_of(app.tables, caller, "chat", decode(raw).model))
    yield Step("where: pick one of 8 replicas", lambda: pick(model.replicas, 3, ()))
    yield Step("send: the engine's head", lambda: request_head(replica, "chat", said, len(raw), request_id))
    yield Step("answer: the engine's head", lambda: parse_head(ANSWER_HEAD[:-4]))
    yield Step("answer: usage in the body", lambda: usage_of(ANSWER_BODY))
    yield Step("account: encode the record", lambda: encode(usage))
    yield Step("account: journal, log, counters", lambda: app.accounting.record(usage))
    yield Step(
        "answer: the client's head", lambda: answers.head(200, answers.JSON, request_id, len(raw), b"", close=False)
    )
    yield Step("whole request, no kernel", whole_request(app, block + raw))
    yield Step("the same with fairness too", whole_request(changed(app, path, FAIR), block + raw))
    yield Step("the same without limits and budgets", whole_request(changed(app, path, NOTHING), block + raw))
    large = chat_body(LARGE)
    yield Step("whole request of 200 KB, no kernel", whole_request(app, request_block(secret, len(large)) + large), 2)
    relay = EventRelay(chunked_in=True, chunked_out=True, strip_usage=True)
    yield Step("relay: one token of a stream", lambda: relay.feed(CHUNK))


def changed(app: App, path: Path, parts: dict[str, Any]) -> App:
    """The app after a reload with these parts."""
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(app.config, **parts)))
    app.reload()
    return app


def kernel_step(pair: tuple[socket.socket, socket.socket]) -> Step:
    """What the kernel takes for one hop, for scale: a gateway makes four such halves a request."""
    near, far = pair
    block = b"x" * 1024

    def hop() -> None:
        near.send(block)
        far.recv(4096)

    return Step("kernel: 1 KB over loopback, sent and read", hop)


def whole_request(app: App, request: bytes) -> Callable[[], object]:
    """A client's connection and an engine's on wires in memory; each call is one request and its answer."""
    for replica in app.replicas.values():
        replica.idle[:] = [engine(replica)]
    answered: list[bytes] = []
    client = ClientConnection(app)
    client.connection_made(Wire(answered.append))

    def call() -> None:
        answered.clear()
        client.data_received(request)

    call()
    if not answered or not answered[0].startswith(b"HTTP/1.1 200"):
        raise AssertionError(f"the gateway did not answer: {answered[:1]}")
    return call


def engine(replica: Replica) -> UpstreamConnection:
    """A kept connection to an engine that answers at once."""
    connection = UpstreamConnection(replica)
    connection.connection_made(Wire(lambda _: connection.data_received(ANSWER_HEAD + ANSWER_BODY)))
    return connection


def request_block(secret: str, length: int) -> bytes:
    """A request's head as the load generator sends it."""
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nAccept: */*\r\n"
        f"Authorization: Bearer {secret}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@contextmanager
def gateway(folder: Path) -> Iterator[tuple[App, str]]:
    """An App with its real stores, its log going to a file; and a key for it."""
    place = Place(folder, folder, 0, tuple(range(9000, 9000 + REPLICAS)))
    path = place.write("gateway.json", json.dumps(fairlead.configuration(place)))
    secret = fairlead.make_key(folder)
    keys, ledger = KeyStore(folder / "keys.db"), Ledger(folder / "ledger.db", folder / "journal")
    with (folder / "log").open("wb") as log:
        accounting = Accounting(Journal(folder / "journal"), log_fd=log.fileno())
        app = App(path, load(path), keys, accounting, ledger)
        for replica in app.replicas.values():
            replica.up = True
        try:
            yield app, secret
        finally:
            accounting.close()
            ledger.close()
            keys.close()


@contextmanager
def loopback() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        with far:
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield near, far


def table_of(measured: dict[str, dict[str, float]]) -> Table:
    """For people."""
    table = Table(title="one request inside the gateway")
    table.add_column("step")
    table.add_column("best us", justify="right")
    table.add_column("median us", justify="right")
    for name, took in measured.items():
        style = "bold" if name.startswith("whole") else None
        table.add_row(name, f"{took['best_us']:.2f}", f"{took['median_us']:.2f}", style=style)
    return table


def _seconds(step: Step) -> float:
    call = step.call
    began = time.perf_counter()
    for _ in range(step.times):
        call()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
