"""A batch in PostgreSQL is held by one gateway at a time, and what an older holder says too late changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import msgspec
import psycopg
import pytest

from fairlead.store.batches import Batch, File, Held, LeaseLost
from fairlead.store.contract import StoreUnavailable
from fairlead.store.postgres_batches import PostgresBatches
from servers.fault_proxy import Cut, Fault, fault_proxy
from servers.postgres import Postgres

from .test_batches_contract import ENDED, bad, batch_of, content_of, created, ended, good, uploaded

Opened = Callable[..., PostgresBatches]
OUTPUT = File("file-o", "t", 100, 500, 0, "o.jsonl", "batch_output")


class Unfenced(PostgresBatches):
    """The enforcement taken away: whoever held the batch once may write."""

    def _fence(self, cursor: Any, held: Held) -> Batch:
        cursor.execute("SELECT record FROM fairlead.batches WHERE id = %s FOR UPDATE", (held.batch.id,))
        return msgspec.json.decode(cursor.fetchone()[0], type=Batch)


class Greedy(PostgresBatches):
    """The enforcement taken away: what others hold is claimed all the same."""

    def claim(self, most: int) -> list[Held]:
        with self._database.transaction() as cursor:
            cursor.execute("UPDATE fairlead.batches SET held_until = now() - interval '1 second'")
        return super().claim(most)


@pytest.fixture
def opened(database_url: str) -> Iterator[Opened]:
    """Another gateway's view of the same database; with `lease_s=0` what it holds is anybody's at once."""
    with ExitStack() as stack:

        def one(kind: type[PostgresBatches] = PostgresBatches, *, lease_s: float = 60.0) -> PostgresBatches:
            store = stack.enter_context(closing(kind(database_url, ENDED)))
            store.lease_s = lease_s
            return store

        yield one


def taken_over(old: PostgresBatches, new: PostgresBatches) -> tuple[Held, Held]:
    """A batch whose lease ran out, as its old and its new holder know it."""
    before = created(old, uploaded(old, b"x"))
    old.settle(before, [(1, good("a"))])
    (after,) = new.claim(10)
    return before, after


def refuses_late_words(old: PostgresBatches, new: PostgresBatches) -> None:
    before, after = taken_over(old, new)
    for late in (
        lambda: old.settle(before, [(2, good("b"))]),
        lambda: old.move(before, ended),
        lambda: old.publish(before, OUTPUT, good=True),
    ):
        with pytest.raises(LeaseLost):
            late()
    assert old.keep([before]) == []
    old.release([before])
    assert old.claim(10) == [], "an old holder lets nothing of the new one's go"
    assert set(new.answered(after)) == {"a"}
    new.settle(after, [(1, bad("a")), (2, bad("b"))])
    assert new.publish(after, OUTPUT, good=True)
    (line,) = content_of(new, "file-o").splitlines()
    assert msgspec.json.decode(line)["custom_id"] == "a"


def is_held_once(one: PostgresBatches, other: PostgresBatches) -> None:
    file = uploaded(one, b"x")
    held = [created(one, file) for _ in range(3)]
    assert other.claim(10) == []
    one.release(held)
    assert sorted(each.batch.id for each in other.claim(10)) == sorted(each.batch.id for each in held)
    assert one.claim(10) == []


def test_late_words_are_refused(opened: Opened) -> None:
    refuses_late_words(opened(lease_s=0.0), opened())


def test_without_the_fence_they_would_not_be(opened: Opened) -> None:
    with pytest.raises(pytest.fail.Exception):
        refuses_late_words(opened(Unfenced, lease_s=0.0), opened())


def test_a_batch_is_held_once(opened: Opened) -> None:
    is_held_once(opened(), opened())


def test_without_leases_it_would_not_be(opened: Opened) -> None:
    with pytest.raises(AssertionError):
        is_held_once(opened(), opened(Greedy))


def test_who_renews_in_time_goes_on(opened: Opened) -> None:
    one, other = opened(lease_s=0.0), opened()
    held = created(one, uploaded(one, b"x"))
    one.lease_s = 60.0
    assert [each.term for each in one.keep([held])] == [held.term]
    assert other.claim(10) == []
    cancelled = other.change("t", held.batch.id, lambda batch: msgspec.structs.replace(batch, status="cancelling"))
    assert cancelled is not None
    (kept,) = one.keep([held])
    assert kept.batch.status == "cancelling", "its holder learns of it"
    one.settle(held, [(1, good("a"))])


def test_many_gateways_claim_each_batch_once(opened: Opened) -> None:
    maker = opened(lease_s=0.0)
    file = uploaded(maker, b"x")
    made = sorted(created_many(maker, file, 20))

    def claim(store: PostgresBatches) -> list[str]:
        found = list[str]()
        while some := store.claim(2):
            found += [each.batch.id for each in some]
        return found

    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(claim, [opened() for _ in range(4)]))
    assert sorted(name for names in claimed for name in names) == made


def created_many(store: PostgresBatches, file: File, count: int) -> list[str]:
    held = [store.create(batch_of(file), count) for _ in range(count)]
    return [each.batch.id for each in held if each is not None]


def test_quotas_hold_for_gateways_that_ask_at_once(opened: Opened) -> None:
    file = uploaded(opened(), b"x")
    stores = [opened() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        held = list(pool.map(lambda number: stores[number % 4].create(batch_of(file), 5), range(4)))
        held += list(pool.map(lambda number: stores[number % 4].create(batch_of(file), 5), range(4)))
        assert sum(each is not None for each in held) == 5
        kept = list(pool.map(lambda store: uploaded(store, b"x" * 1000, tenant="u", most=2500), stores))
    assert len(stores[0].files("u")) == 2 < len(kept)


CUTS = {
    "before the answers": Cut(b"INSERT INTO fairlead.batch_rows"),
    "between the answers and the counts": Cut(b"UPDATE fairlead.batches SET completed"),
    "before COMMIT": Cut(b"COMMIT"),
    "after COMMIT was sent, its answer lost": Cut(b"COMMIT", forward_first=True),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_connection_lost_while_settling_loses_and_doubles_nothing(
    cut: Cut, shared_postgres: Postgres, database_url: str
) -> None:
    with fault_proxy(shared_postgres.port) as proxy:
        url = database_url.replace(f":{shared_postgres.port}/", f":{proxy.port}/")
        with closing(PostgresBatches(url, ENDED)) as store:
            held = created(store, uploaded(store, b"x"))
            proxy.fault = Fault(cut=cut)
            with pytest.raises(StoreUnavailable):
                store.settle(held, [(1, good("a")), (2, bad("b"))])
            proxy.fault = Fault()
            store.settle(held, [(1, good("a")), (2, bad("b"))])
            now = store.batch("t", held.batch.id)
            assert now is not None
            assert (now.counts.completed, now.counts.failed) == (1, 1)
            assert store.publish(held, OUTPUT, good=True)
            assert len(content_of(store, "file-o").splitlines()) == 1


def test_what_is_deleted_is_gone_at_once_and_its_bytes_with_the_next_look(opened: Opened, database_url: str) -> None:
    store, other = opened(), opened()
    files = [uploaded(store, b"x" * 3_000_000) for _ in range(2)]
    assert store.drop_file("t", files[0].id)
    assert other.file("t", files[0].id) is None
    assert chunks(database_url) == 6
    while other.expire(0, 0):
        pass
    assert chunks(database_url) == 3
    assert content_of(other, files[1].id) == b"x" * 3_000_000


def chunks(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM fairlead.batch_chunks").fetchone()
    assert row
    return int(row[0])
