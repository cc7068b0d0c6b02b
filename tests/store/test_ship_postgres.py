"""What the journals hold is in PostgreSQL exactly once, whoever dies between any two steps, and however often."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from fairlead.store import journal as journal_of
from fairlead.store.contract import StoreUnavailable
from fairlead.store.journal import Journal
from fairlead.store.postgres_ledger import PostgresLedger
from servers.fault_proxy import Cut, Fault, FaultProxy, fault_proxy
from servers.place import wait_until
from servers.postgres import Postgres

from .records import fill, ledger_numbers

STEPS = {
    "before the transaction": Cut(b"BEGIN"),
    "before the position is read": Cut(b"FOR UPDATE"),
    "before the rows": Cut(b"COPY fairlead.usage"),
    "among the rows": Cut(b"req-17"),
    "between the rows and the position": Cut(b"UPDATE fairlead.shipped"),
    "after the position, its answer lost": Cut(b"UPDATE fairlead.shipped", forward_first=True),
    "before COMMIT": Cut(b"COMMIT"),
    "after COMMIT was sent, its answer lost": Cut(b"COMMIT", forward_first=True),
    "when COMMIT's answer comes back": Cut(b"COMMIT", to_server=False),
}


@pytest.fixture
def proxy(shared_postgres: Postgres) -> Iterator[FaultProxy]:
    with fault_proxy(shared_postgres.port) as proxy:
        yield proxy


def through(proxy: FaultProxy, url: str) -> str:
    """The same database, seen through the proxy."""
    start, _, name = url.rpartition("/")
    return f"{start.rpartition(':')[0]}:{proxy.port}/{name}"


def ship_until_done(ledger: PostgresLedger, tries: int = 20) -> int:
    """Ship as the shipper does: again after each failure. Returns how many tries failed."""
    for failures in range(tries):
        try:
            ledger.ship()
        except StoreUnavailable:
            continue
        return failures
    raise AssertionError("never shipped")


@pytest.mark.parametrize("cut", STEPS.values(), ids=STEPS)
def test_a_connection_lost_at_any_step_loses_and_doubles_nothing(
    cut: Cut, proxy: FaultProxy, database_url: str, tmp_path: Path
) -> None:
    with closing(PostgresLedger(through(proxy, database_url), tmp_path)) as ledger:
        ledger.ship()  # the tables are there: the fault hits the shipping itself
        with closing(Journal(tmp_path / "journal")) as journal:
            fill(journal, range(40))
            ledger.positions()
            proxy.fault = Fault(cut=cut)
            with pytest.raises(StoreUnavailable):
                ledger.ship()
            assert proxy.cuts == 1
            proxy.fault = Fault()
            fill(journal, range(40, 50))
            assert ship_until_done(ledger) == 0
            assert ledger_numbers(database_url) == list(range(50))
            assert ledger.unshipped_bytes() == 0


def test_a_server_that_goes_mute_does_not_hold_the_shipper(
    proxy: FaultProxy, database_url: str, tmp_path: Path
) -> None:
    with closing(PostgresLedger(through(proxy, database_url), tmp_path, timeout_s=0.3)) as ledger:
        ledger.ship()
        with closing(Journal(tmp_path / "journal")) as journal:
            fill(journal, range(20))
            proxy.fault = Fault(mute=True)
            with pytest.raises(StoreUnavailable):
                ledger.ship()
            proxy.fault = Fault()
            ship_until_done(ledger)
    assert ledger_numbers(database_url) == list(range(20))


def test_slow_and_sliced_bytes_change_nothing(proxy: FaultProxy, database_url: str, tmp_path: Path) -> None:
    proxy.fault = Fault(latency_s=0.001, slice_bytes=97)
    with closing(PostgresLedger(through(proxy, database_url), tmp_path)) as ledger:
        with closing(Journal(tmp_path / "journal")) as journal:
            fill(journal, range(100))
        ledger.ship()
    assert ledger_numbers(database_url) == list(range(100))


def test_many_shippers_on_one_journal_ship_each_record_once(database_url: str, tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal", segment_bytes=8192)) as journal:
        fill(journal, range(400))

        def ship(_: int) -> None:
            with closing(PostgresLedger(database_url, tmp_path)) as ledger:
                ledger.ship(max_bytes=3000)
                ledger.ship()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ship, range(8)))
    assert ledger_numbers(database_url) == list(range(400))


def test_two_replicas_with_segments_of_the_same_name_share_a_ledger(database_url: str, tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        with closing(Journal(tmp_path / name / "journal")) as journal:
            fill(journal, range(number * 100, number * 100 + 50))
        (segment,) = journal_of.segments(tmp_path / name / "journal")
        segment.rename(segment.with_name("01700000000000000000.jsonl"))
        with closing(PostgresLedger(database_url, tmp_path / name)) as ledger:
            ledger.ship()
    assert ledger_numbers(database_url) == [*range(50), *range(100, 150)]


def test_what_is_shipped_whole_is_swept_and_never_shipped_again(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.store.shipping.SWEEP_AGE_S", -1.0)
    with closing(PostgresLedger(database_url, tmp_path)) as ledger:
        with closing(Journal(tmp_path / "journal")) as journal:
            fill(journal, range(3))
            ledger.ship()
            ledger.ship()
            assert len(journal_of.segments(tmp_path / "journal")) == 1, "it is still written"
        ledger.ship()
        assert journal_of.segments(tmp_path / "journal") == []
        assert ledger.positions() == {}
    assert ledger_numbers(database_url) == [0, 1, 2]


def test_killed_shippers_and_a_killed_database_lose_and_double_nothing(own_postgres: Postgres, tmp_path: Path) -> None:
    """`kill -9` for the shipper again and again, and for PostgreSQL in between, while the journal grows."""
    url, dice, total = own_postgres.new_database(), random.Random(7), 4000
    with closing(Journal(tmp_path / "journal", segment_bytes=65_536)) as journal:
        done = threading.Event()
        writer = threading.Thread(target=write_steadily, args=(journal, total, done))
        writer.start()
        for round_ in range(10):
            with shipper(tmp_path, url) as process:
                done.wait(dice.uniform(0.05, 0.6))
                if round_ % 4 == 3:
                    own_postgres.kill()
                process.kill()
                process.wait()
                if round_ % 4 == 3:
                    own_postgres.start()
        writer.join()
        with shipper(tmp_path, url):
            wait_until(lambda: settled(url, total), what="all records are in the ledger")
    assert ledger_numbers(url) == list(range(total))


def write_steadily(journal: Journal, total: int, done: threading.Event) -> None:
    for start in range(0, total, 20):
        fill(journal, range(start, start + 20))
        done.wait(0.01)


@contextmanager
def shipper(state: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """The shipper as its gateway starts it."""
    argv = [sys.executable, "-m", "fairlead.store.ship", str(state), "THE_URL"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env={**os.environ, "THE_URL": url}) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def settled(url: str, total: int) -> bool:
    try:
        return len(ledger_numbers(url)) >= total
    except psycopg.Error:
        return False


def test_the_shipper_ships_the_rest_when_its_gateway_dies(database_url: str, tmp_path: Path) -> None:
    """Its standard input ends with the gateway, however the gateway ended."""
    with closing(Journal(tmp_path / "journal")) as journal:
        fill(journal, range(100))
        argv = [sys.executable, "-m", "fairlead.store.ship", str(tmp_path), "THE_URL"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, env={**os.environ, "THE_URL": database_url}) as process:
            assert process.stdin
            process.stdin.close()
            assert process.wait(timeout=20) == 0
    assert ledger_numbers(database_url) == list(range(100))
