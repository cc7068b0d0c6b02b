"""What the journal holds is in the ledger exactly once, whoever ships it and whenever they die."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.store import journal as journal_of
from fairlead.store.journal import Journal
from fairlead.store.ledger import Ledger
from fairlead.store.usage import Usage, decode, encode


def usage(number: int, tenant: str = "t") -> Usage:
    return Usage(1e9 + number, f"req-{number}", tenant, "k", "m", "m", "chat", 200, 5, 1, 7, 1.5, 20.0, False)


def fill(journal: Journal, numbers: range) -> None:
    for number in numbers:
        journal.append(encode(usage(number)) + b"\n")


def request_ids(path: Path) -> list[str]:
    with sqlite3.connect(path) as database:
        return [row[0] for row in database.execute("SELECT request_id FROM usage ORDER BY at")]


@given(st.integers(0, 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_a_record_survives_the_journal(tokens: int, ttft: float, tenant: str) -> None:
    record = Usage(1.0, "r", tenant, "k", "m", "m", "chat", 200, tokens, 0, 0, ttft, 1.0, True)
    line = encode(record)
    assert b"\n" not in line
    assert decode(line) == record


def test_shipping_twice_ships_once(tmp_path: Path) -> None:
    journal, ledger = Journal(tmp_path / "journal"), Ledger(tmp_path / "ledger.db", tmp_path / "journal")
    fill(journal, range(10))
    assert ledger.ship() > 0
    assert ledger.ship() == 0
    fill(journal, range(10, 15))
    ledger.ship()
    assert request_ids(tmp_path / "ledger.db") == [f"req-{n}" for n in range(15)]
    assert ledger.unshipped_bytes() == 0
    ledger.close()
    journal.close()


def test_segments_follow_each_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", segment_bytes=4096)
    fill(journal, range(150))
    assert len(journal_of.segments(tmp_path / "journal")) > 5
    ledger = Ledger(tmp_path / "ledger.db", tmp_path / "journal")
    ledger.ship()
    assert sorted(request_ids(tmp_path / "ledger.db")) == sorted(f"req-{n}" for n in range(150))
    ledger.close()
    journal.close()


def test_a_torn_line_is_kept_aside_once_its_writer_is_dead(tmp_path: Path) -> None:
    journal, ledger = Journal(tmp_path / "journal"), Ledger(tmp_path / "ledger.db", tmp_path / "journal")
    fill(journal, range(3))
    journal.append(b'{"at":1.0,"request')
    ledger.ship()
    assert ledger.unshipped_bytes() > 0, "its writer may still finish the line"
    journal.close()
    ledger.ship()
    assert ledger.unshipped_bytes() == 0
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        assert database.execute("SELECT count(*) FROM damaged").fetchone() == (1,)
    assert len(request_ids(tmp_path / "ledger.db")) == 3
    ledger.close()


def test_many_shippers_at_once_ship_each_record_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", segment_bytes=8192)
    fill(journal, range(400))

    def ship(_: int) -> None:
        ledger = Ledger(tmp_path / "ledger.db", tmp_path / "journal")
        ledger.ship(max_bytes=3000)
        ledger.ship()
        ledger.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ship, range(8)))
    assert sorted(request_ids(tmp_path / "ledger.db")) == sorted(f"req-{n}" for n in range(400))
    journal.close()


def test_the_shipper_ships_the_rest_when_its_gateway_dies(tmp_path: Path) -> None:
    """Its standard input ends with the gateway, however the gateway ended."""
    journal = Journal(tmp_path / "journal")
    fill(journal, range(100))
    command = [sys.executable, "-m", "fairlead.store.ship", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as shipper:
        assert shipper.stdin is not None
        fill(journal, range(100, 200))
        shipper.stdin.close()
        assert shipper.wait(timeout=20) == 0
    assert sorted(request_ids(tmp_path / "ledger.db")) == sorted(f"req-{n}" for n in range(200))
    journal.close()


def test_totals(tmp_path: Path) -> None:
    journal, ledger = Journal(tmp_path / "journal"), Ledger(tmp_path / "ledger.db", tmp_path / "journal")
    for number, tenant in enumerate(["a", "b", "a"]):
        journal.append(encode(usage(number, tenant)) + b"\n")
    ledger.ship()
    totals = {total.group: total for total in ledger.totals("tenant")}
    assert (totals["a"].requests, totals["a"].completion_tokens) == (2, 14)
    assert (totals["b"].prompt_tokens, totals["b"].cached_tokens) == (5, 1)
    assert ledger.totals("tenant", since=2e9) == []
    with pytest.raises(KeyError):
        ledger.totals("secret")
    ledger.close()
    journal.close()


def test_what_is_shipped_whole_is_swept_but_not_what_still_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.store.shipping.SWEEP_AGE_S", -1.0)
    journal, ledger = Journal(tmp_path / "journal"), Ledger(tmp_path / "ledger.db", tmp_path / "journal")
    fill(journal, range(3))
    ledger.ship()
    ledger.ship()
    assert len(journal_of.segments(tmp_path / "journal")) == 1, "it is still written"
    journal.close()
    ledger.ship()
    assert journal_of.segments(tmp_path / "journal") == []
    assert len(request_ids(tmp_path / "ledger.db")) == 3
    ledger.close()
