"""Every store keeps the same promises: these tests run on each database that keys and usage can be kept in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from fairlead.errors import UserError
from fairlead.gateway.head import REQUEST_ID
from fairlead.store.contract import GROUPS, Keys, Ledger
from fairlead.store.journal import Journal
from fairlead.store.keys import hash_of
from fairlead.store.stores import STORES, Place, open_keys, open_ledger, place_of, store_of
from fairlead.store.usage import Usage, encode, row_request

from .records import priced, usage

KINDS = ("sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path)
    return Place(tmp_path, request.getfixturevalue("database_url"))


@pytest.fixture
def keys(place: Place) -> Iterator[Keys]:
    with closing(open_keys(place)) as store:
        yield store


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    with closing(open_ledger(place)) as store:
        yield store


def test_a_key_comes_back_as_it_was_made(keys: Keys) -> None:
    secret, key = keys.create(tenant="süd", role="r", note="n", max_age_s=10.0)
    assert keys.all() == [key]
    assert key.hash == hash_of(secret.encode())


def test_rotation_overlaps_and_never_lengthens_a_life(keys: Keys) -> None:
    _, old = keys.create(tenant="t", role="r", note="n", max_age_s=1e6)
    _, short = keys.create(tenant="t", role="r", max_age_s=10.0)
    _, new = keys.rotate(old.id, overlap_s=60.0, max_age_s=1e6)
    keys.rotate(short.id, overlap_s=1000.0, max_age_s=None)
    found = {key.id: key for key in keys.all()}
    now = time.time()
    assert (new.tenant, new.role, new.note, new.replaces) == ("t", "r", "n", old.id)
    assert (found[old.id].state(now), found[old.id].state(now + 61)) == ("active", "expired")
    assert found[new.id].state(now + 61) == "active"
    assert found[short.id].state(now + 11) == "expired"


def test_a_key_without_an_end_gets_one_when_it_is_rotated(keys: Keys) -> None:
    _, endless = keys.create(tenant="t", role="r")
    keys.rotate(endless.id, overlap_s=60.0, max_age_s=None)
    assert {key.id: key for key in keys.all()}[endless.id].state(time.time() + 61) == "expired"


def test_a_dead_key_cannot_be_changed(keys: Keys) -> None:
    _, key = keys.create(tenant="t", role="r")
    keys.revoke(key.id)
    assert keys.all()[0].state(time.time()) == "revoked"
    for attempt in (lambda: keys.revoke(key.id), lambda: keys.rotate(key.id, overlap_s=0, max_age_s=None)):
        with pytest.raises(UserError, match="revoked already"):
            attempt()
    with pytest.raises(UserError, match="no key"):
        keys.revoke("000000000000")
    assert len(keys.all()) == 1, "a refused rotation makes no key"


def test_another_process_is_noticed(keys: Keys, place: Place) -> None:
    before = keys.version()
    assert keys.version() == before
    with closing(open_keys(place)) as other:
        _, key = other.create(tenant="t", role="r")
        created = keys.version()
        other.revoke(key.id)
    assert len({before, created, keys.version()}) == 3


def test_two_revocations_at_once_leave_one_winner(keys: Keys, place: Place) -> None:
    _, key = keys.create(tenant="t", role="r")

    def revoke(_: int) -> bool:
        with closing(open_keys(place)) as other:
            try:
                other.revoke(key.id)
            except UserError:
                return False
            return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(revoke, range(4))) == [False, False, False, True]


def test_the_ledger_adds_up_in_every_grouping(ledger: Ledger, place: Place) -> None:
    with closing(Journal(place.state / "journal")) as journal:
        for number in range(60):
            row = msgspec.structs.replace(
                usage(number, f"tenant-{number % 3}"),
                at=1.7e9 + number * 7200.0,
                key_id=f"k{number % 4}",
                model=f"m{number % 2}",
                status=200 if number % 5 else 500,
                prompt_tokens=number,
                ttft_ms=None if number % 2 else 5.0,
                estimated=number % 6 == 0,
            )
            journal.append(encode(row) + b"\n")
        ledger.ship()
    for by in GROUPS:
        totals = ledger.totals(by)
        assert sum(total.requests for total in totals) == 60
        assert sum(total.prompt_tokens for total in totals) == sum(range(60))
        assert sum(total.errors for total in totals) == 12
        assert [total.group for total in totals] == sorted(total.group for total in totals)
    assert ledger.totals("day")[0].group == "2023-11-14"
    assert ledger.totals("tenant", since=2e9) == []
    with pytest.raises(KeyError):
        ledger.totals("secret")
    assert ledger.unshipped_bytes() == 0


def test_the_chargeback_adds_up_to_the_ledger(ledger: Ledger, place: Place) -> None:
    with closing(Journal(place.state / "journal")) as journal:
        for number in range(50):
            row = msgspec.structs.replace(usage(number, "ab"[number % 2]), at=1.7e9 + number * 3600.0)
            journal.append(encode(row) + b"\n")
        ledger.ship()
    for since in (0.0, 1.7e9 + 20 * 3600.0):
        lines, totals = ledger.charge_lines(since), ledger.totals("tenant", since)
        for field in ("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens"):
            assert sum(getattr(line, field) for line in lines) == sum(getattr(total, field) for total in totals) > -1
        assert len({(line.day, line.tenant) for line in lines}) == len(lines) > 2


def test_a_record_that_no_database_can_hold_is_kept_aside_and_stops_nothing(ledger: Ledger, place: Place) -> None:
    with closing(Journal(place.state / "journal")) as journal:
        journal.append(encode(usage(1)) + b"\n")
        journal.append(encode(usage(2, "a\0b")) + b"\n")
        journal.append(encode(msgspec.structs.replace(usage(3), prompt_tokens=2**63)) + b"\n")
        journal.append(b"\x80 no record\n")
        journal.append(encode(usage(4)) + b"\n")
        ledger.ship()
    assert ledger.unshipped_bytes() == 0
    assert [total.requests for total in ledger.totals("tenant")] == [2]


def test_a_row_of_a_batch_that_was_asked_again_is_charged_once(ledger: Ledger, place: Place) -> None:
    def asked(row: str, request: str, status: int) -> Usage:
        request_id = row_request("batch_1", row, request.encode()).decode()
        return msgspec.structs.replace(usage(1), request_id=request_id, status=status)

    records = [asked("a", "req-1", 503), asked("a", "req-2", 200), asked("b", "req-3", 200), asked("b", "req-4", 502)]
    told_by_callers = [usage(5), usage(5)]
    with closing(Journal(place.state / "journal")) as journal:
        for record in (*records, asked("a", "req-6", 200), *told_by_callers):
            journal.append(encode(record) + b"\n")
        ledger.ship()
        journal.append(encode(asked("b", "req-7", 200)) + b"\n")
        journal.append(encode(asked("c", "req-8", 200)) + b"\n")
        ledger.ship()
    (total,) = ledger.totals("tenant")
    assert (total.requests, total.errors) == (4 + 2 + 1, 2)
    assert ledger.unshipped_bytes() == 0


def test_no_caller_can_pass_for_a_row() -> None:
    assert REQUEST_ID.fullmatch(b"row-0")
    assert not REQUEST_ID.fullmatch(row_request("batch_1", "a", b"req-1"))


def test_a_url_that_names_no_database_is_refused_without_showing_it() -> None:
    assert set(STORES) == {"postgresql", "postgres"}
    for url in ("mysql://u:hunter2@h/d", "hunter2", "://hunter2", "postgres"):
        with pytest.raises(UserError) as raised:
            store_of(Place(Path("/"), url))
        assert "hunter2" not in str(raised.value)
        assert "hunter2" not in repr(Place(Path("/"), url))
    with pytest.raises(UserError, match="MISSING"):
        place_of(Path("/"), "MISSING", {})


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/d", "postgresql://u:hunter2@[bad/d?x"])
def test_a_database_that_is_not_there_is_told_without_its_password(url: str, tmp_path: Path) -> None:
    with closing(open_keys(Place(tmp_path, url))) as keys, pytest.raises(UserError) as raised:
        keys.all()
    assert "hunter2" not in str(raised.value)


def test_what_was_spent_is_exact_and_within_its_times(place: Place, ledger: Ledger) -> None:
    costs = [10**15 + number for number in range(40)]
    with closing(Journal(place.state / "journal")) as journal:
        for number, cost in enumerate(costs):
            journal.append(encode(priced(number, cost, tenant=f"t{number % 2}")) + b"\n")
        journal.append(encode(usage(99)) + b"\n")  # without a price
    ledger.ship()
    spent = ledger.spent(1e9 + 10, 1e9 + 30)
    assert [(row.tenant, row.key, row.model) for row in spent] == [("t0", "k", "m"), ("t1", "k", "m")]
    assert [row.cost_nano for row in spent] == [sum(costs[10:30:2]), sum(costs[11:30:2])]
    assert sum(line.cost_nano for line in ledger.charge_lines()) == sum(costs)
    assert sum(total.cost_nano for total in ledger.totals("day")) == sum(costs)
