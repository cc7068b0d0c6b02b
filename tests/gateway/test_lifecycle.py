"""A reload drops no request, a drain finishes those under way, and a broken file never replaces a good one."""

from __future__ import annotations

import asyncio
import copy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from .conftest import Build, House
from .harness import HASTY, Gateway, question
from .upstream import Manner, eventually
from .wire import connection, post, read_answer, read_chunks, read_head


@contextmanager
def load(house: House, *, clients: int = 4) -> Iterator[list[int]]:
    """Chats all the time, streamed and not, on kept connections; the status codes so far, 0 for a broken one."""
    codes: list[int] = []
    over = threading.Event()

    def work(number: int) -> None:
        with house.gateway.client() as client:
            while not over.is_set():
                codes.append(chat(client, stream=bool(number % 2)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield codes
    finally:
        over.set()
        for thread in threads:
            thread.join()


def chat(client: httpx.Client, *, stream: bool) -> int:
    try:
        answer = client.post("/v1/chat/completions", json=question(stream=stream))
    except httpx.TransportError:
        return 0
    whole = not stream or answer.content.endswith(b"data: [DONE]\n\n")
    return answer.status_code if whole else 0


def more(codes: list[int], number: int = 40) -> bool:
    """Wait for as many more answers."""
    wanted = len(codes) + number
    return eventually(lambda: len(codes) >= wanted, within_s=20.0)


def with_route(config: dict[str, Any], name: str) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    changed["routes"][name] = {"model": "m0", "timeout_s": 60.0}
    changed["roles"]["user"]["models"].append(name)
    return changed


def knows(house: House, name: str) -> Callable[[], bool]:
    return lambda: house.gateway.chat(model=name).status_code == 200


def test_a_reload_by_signal_and_by_file_drops_no_request(build: Build) -> None:
    house = build(replicas=2)
    for one in house.replicas:
        one.manner = Manner(gap_s=0.005)
    gateway = house.gateway
    with load(house) as codes:
        assert more(codes)
        for number in range(5):
            gateway.write(with_route(gateway.config, f"by-file-{number}"))
            assert eventually(knows(house, f"by-file-{number}"))
            gateway.reload()
            assert more(codes, 10)
    assert set(codes) == {200}, {code: codes.count(code) for code in set(codes)}


def test_a_signal_alone_reloads(build: Build) -> None:
    gateway = build().gateway
    before = reloads(gateway.metrics())
    gateway.reload()
    assert eventually(lambda: reloads(gateway.metrics()) > before)


def reloads(metrics: dict[Any, float]) -> float:
    return sum(
        value for (name, labels), value in metrics.items() if "reloads_total" in name and "applied" in str(labels)
    )


def test_a_replica_added_and_one_removed_under_load_drop_no_request(build: Build) -> None:
    house = build(replicas=3)
    gateway = house.gateway
    third = house.replicas[2].url
    without = copy.deepcopy(gateway.config)
    without["models"]["m0"]["upstreams"].remove(third)
    with_all = copy.deepcopy(gateway.config)
    with load(house) as codes:
        for config, wanted in ((without, 2), (with_all, 3), (without, 2)):
            gateway.write(config)
            assert eventually(lambda wanted=wanted: replicas_of(house) == wanted)  # type: ignore[misc]
            assert more(codes)
    assert set(codes) == {200}


def replicas_of(house: House) -> int:
    return len(house.gateway.admin("/status").json()["models"]["m0"])


def test_a_right_taken_away_holds_after_the_reload(build: Build) -> None:
    gateway = build().gateway
    changed = copy.deepcopy(gateway.config)
    changed["roles"]["user"]["models"].remove(HASTY)
    assert gateway.chat(model=HASTY).status_code == 200
    gateway.write(changed)
    assert eventually(lambda: gateway.chat(model=HASTY).status_code == 403)


BROKEN = {
    "empty": "",
    "cut": '{"version": 1, ',
    "unknown key": '{"version": 1, "surprise": true}',
    "a later version": '{"version": 2}',
}


def test_a_broken_file_changes_nothing_and_is_counted(build: Build) -> None:
    gateway = build().gateway
    for number, text in enumerate(BROKEN.values(), start=1):
        gateway.path.write_text(text)
        gateway.reload()
        assert eventually(partial(refused_reloads, gateway, number)), text
        assert gateway.chat().status_code == 200


def refused_reloads(gateway: Gateway, at_least: int) -> bool:
    return gateway.metrics().get(("fairlead_config_reloads_total", (("result", "refused"),)), 0) >= at_least


def test_a_term_signal_drains(build: Build) -> None:
    house = build()
    house.replicas[0].manner = Manner(gap_s=0.05)
    asyncio.run(drain(house))
    assert house.replicas[0].record.cancelled == 0


async def drain(house: House) -> None:
    process = house.gateway.process
    assert process
    async with connection(house.gateway.port) as (idle, _), connection(house.gateway.port) as (reader, writer):
        writer.write(post(house.gateway.key, question(stream=True, max_tokens=20)))
        await read_head(reader)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(idle.read(), 5.0) == b"", "an idle connection is closed at once"
        assert await asyncio.to_thread(eventually, lambda: refuses(house))
        body = b"".join([piece async for piece in read_chunks(reader)])
        assert body.endswith(b"data: [DONE]\n\n")
    assert await asyncio.to_thread(process.wait, 10.0) == 0


def refuses(house: House) -> bool:
    """A new connection gets nowhere: refused by the kernel, or with 503."""
    try:
        return house.gateway.chat().status_code == 503
    except httpx.TransportError:
        return True


def test_a_drain_ends_when_its_time_is_over(build: Build) -> None:
    house = build(change=lambda config: config.update(drain_timeout_s=0.5))
    house.replicas[0].manner = Manner(gap_s=60.0)
    asyncio.run(cut_drain(house))
    assert eventually(lambda: house.replicas[0].record.open == 0)


async def cut_drain(house: House) -> None:
    process = house.gateway.process
    assert process
    async with connection(house.gateway.port) as (_, writer):
        writer.write(post(house.gateway.key, question()))
        assert await asyncio.to_thread(eventually, lambda: house.open == 1)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10.0) == 0


def test_a_request_under_way_at_a_drain_is_answered_with_connection_close(build: Build) -> None:
    house = build()
    house.replicas[0].manner = Manner(first_byte_s=0.5)

    async def ask() -> None:
        async with connection(house.gateway.port) as (reader, writer):
            writer.write(post(house.gateway.key, question()))
            assert await asyncio.to_thread(eventually, lambda: house.open == 1)
            assert house.gateway.process
            house.gateway.process.send_signal(signal.SIGTERM)
            answer = await read_answer(reader)
            assert (answer.status, answer.fields["connection"]) == (200, "close")

    asyncio.run(ask())


WRONG_FILES = {"missing": None, "not JSON": "{", "unknown key": '{"version": 1, "surprise": 1}'}


@pytest.mark.parametrize("text", WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_at_the_start_is_said_without_a_traceback(tmp_path: Any, text: str | None) -> None:
    path = tmp_path / "gateway.json"
    if text is not None:
        path.write_text(text)
    argv = [sys.executable, "-m", "fairlead.gateway", str(path)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, done
    assert "gateway.json" in done.stderr
    assert "Traceback" not in done.stderr
