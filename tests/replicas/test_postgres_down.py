"""PostgreSQL goes away under load: known keys work on, nobody is told 401 for it, and no record is lost or doubled."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import psycopg
import pytest

from fairlead.store.mirror import FRESH_FOR_S
from fairlead.store.postgres_keys import PostgresKeys
from gateway.harness import Gateway, compiled, question
from gateway.upstream import Upstream, eventually
from servers.place import wait_until
from servers.postgres import Postgres

WORKERS = 3
AWAY_S = float(os.environ.get("FAIRLEAD_AWAY_S", "4"))


def store(stale_for_s: float) -> dict[str, object]:
    return {"postgres": {"url_env": "THE_URL", "keys_stale_for_s": stale_for_s}, "redis": None}


@contextmanager
def serving(engine: Upstream, url: str, folder: Path, *, stale_for_s: float, **parts: Any) -> Iterator[Gateway]:
    """A gateway on a database; `parts` are further keys of gateway.json."""
    config = compiled(folder / "state", {"m0": (engine,)}) | {"store": store(stale_for_s)} | parts
    with closing(PostgresKeys(url)) as keys:
        gateway = Gateway(config, folder, environ={"THE_URL": url}, keys=keys)
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.stop()


class Callers:
    """Ask without a pause; note the ids of whole answers, and everything that is none."""

    def __init__(self, gateway: Gateway) -> None:
        self.answered: list[str] = []
        self.failed: list[str] = []
        self._gateway = gateway
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(WORKERS)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with self._gateway.client() as client:
            while not self._stop.wait(0.002):
                answer = client.post("/v1/chat/completions", json=question(max_tokens=2))
                if answer.status_code == 200:
                    self.answered.append(answer.headers["x-request-id"])
                else:
                    self.failed.append(answer.text)


def ledger_ids(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT request_id FROM fairlead.usage").fetchall()]


def run_without_a_database(
    postgres: Postgres, engine: Upstream, folder: Path, *, away_s: float, mute: bool = False
) -> None:
    url = postgres.new_database()
    with serving(engine, url, folder, stale_for_s=3600.0) as gateway:
        with Callers(gateway) as callers:
            wait_until(lambda: len(callers.answered) > 50, what="traffic")
            postgres.freeze() if mute else postgres.stop()
            gone, before = monotonic(), len(callers.answered)
            wait_until(lambda: monotonic() - gone > away_s, within_s=away_s + 5)
            during = len(callers.answered) - before
            postgres.thaw() if mute else postgres.start()
        assert callers.failed == []
        assert during > 50
        wait_until(lambda: len(ledger_ids(url)) >= len(callers.answered), what="all is in the ledger")
        assert sorted(ledger_ids(url)) == sorted(callers.answered)
        print(f"away for {away_s:g} s: {during} of {during} answered meanwhile, {len(callers.answered)} in the ledger")


@pytest.mark.parametrize("mute", [False, True], ids=["stopped", "mute"])
def test_known_keys_work_and_each_request_is_booked_once(
    own_postgres: Postgres, engine: Upstream, tmp_path: Path, mute: bool
) -> None:
    run_without_a_database(own_postgres, engine, tmp_path, away_s=AWAY_S, mute=mute)


@pytest.mark.slow
def test_a_minute_without_a_database(own_postgres: Postgres, engine: Upstream, tmp_path: Path) -> None:
    run_without_a_database(own_postgres, engine, tmp_path, away_s=60.0)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def test_what_each_key_is_told_while_the_database_is_away(
    own_postgres: Postgres, engine: Upstream, tmp_path: Path
) -> None:
    url = own_postgres.new_database()
    with serving(engine, url, tmp_path, stale_for_s=FRESH_FOR_S + 5.0) as gateway:
        revoked = gateway.new_key()
        wait_until(lambda: code(gateway.chat(key=revoked))[0] == 200)
        gateway.keys.revoke(revoked[len("sk-fl-") :][:12])
        wait_until(lambda: code(gateway.chat(key=revoked)) == (401, "invalid_api_key"), within_s=2.0)
        stranger = f"sk-fl-{'0' * 12}-{'x' * 32}"
        assert code(gateway.chat(key=stranger)) == (401, "invalid_api_key"), "the database says that there is none"

        own_postgres.stop()
        unavailable = (503, "keys_unavailable")
        wait_until(lambda: code(gateway.chat(key=stranger)) == unavailable, what="it may be a key made just now")
        told = gateway.chat(key=stranger)
        assert told.headers["retry-after"]
        assert code(gateway.chat()) == (200, "")
        assert code(gateway.chat(key=revoked)) == (401, "invalid_api_key")
        assert code(gateway.chat(key=gateway.key[:-1] + "~")) == (401, "invalid_api_key")
        assert code(gateway.chat(key="let-me-in")) == (401, "invalid_api_key")

        wait_until(lambda: code(gateway.chat()) == unavailable, what="the stated time is over")
        assert code(gateway.chat(key=revoked)) == unavailable
        assert not gateway.is_ready()

        own_postgres.start()
        wait_until(lambda: code(gateway.chat()) == (200, ""), what="the database is back")
        wait_until(lambda: code(gateway.chat(key=stranger)) == (401, "invalid_api_key"))
        assert gateway.is_ready()


def test_a_gateway_starts_on_its_copy_while_the_database_is_away(
    own_postgres: Postgres, engine: Upstream, tmp_path: Path
) -> None:
    with serving(engine, own_postgres.new_database(), tmp_path, stale_for_s=3600.0) as gateway:
        own_postgres.stop()
        gateway.kill()
        gateway.start()
        assert code(gateway.chat()) == (200, "")


def test_a_gateway_that_has_to_ask_what_budgets_have_spent_does_not_wait_for_a_mute_database(
    own_postgres: Postgres, engine: Upstream, tmp_path: Path
) -> None:
    price = {"prompt_nano": 1000, "cached_nano": 1000, "completion_nano": 1000}
    budget = {"currency": "USD", "prices": {"m0": price}, "budgets": {"b": {"amount_nano": 10**12, "period": "day"}}}
    with serving(engine, own_postgres.new_database(), tmp_path, stale_for_s=3600.0, **budget) as gateway:
        gateway.kill()
        own_postgres.freeze()
        gateway.begin()
        assert eventually(lambda: answers(gateway), within_s=15.0)
        assert gateway.is_ready()
        own_postgres.thaw()


def answers(gateway: Gateway) -> bool:
    """Whether a known key is let in; False while nobody listens yet."""
    try:
        return code(gateway.chat()) == (200, "")
    except httpx.TransportError:
        return False


def test_a_gateway_without_the_url_says_which_variable_is_missing(engine: Upstream, tmp_path: Path) -> None:
    config = compiled(tmp_path / "state", {"m0": (engine,)}) | {"store": store(60.0)}
    gateway = Gateway(config, tmp_path)
    with pytest.raises(AssertionError, match="THE_URL"):
        gateway.start()
