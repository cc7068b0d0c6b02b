"""Every store of files and batches keeps the same promises: on the disk, and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from fairlead.store.batch_rows import Answer
from fairlead.store.batches import Batch, BatchStore, File, Held, InUse, new_id
from fairlead.store.stores import Place, open_batches

KINDS = ("sqlite", "postgresql")
ENDED = frozenset(("completed", "failed"))
MUCH = 2**30


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path)
    return Place(tmp_path, request.getfixturevalue("database_url"))


@pytest.fixture
def store(place: Place) -> Iterator[BatchStore]:
    with closing(open_batches(place, ENDED)) as opened:
        yield opened


def uploaded(store: BatchStore, content: bytes, *, tenant: str = "t", most: int = MUCH, expires_at: int = 500) -> File:
    """A file, in parts; whether it is kept is for who asks."""
    file = File(new_id("file-"), tenant, 100, expires_at, len(content), "r.jsonl", "batch")
    incoming = store.receive(file.id)
    for at in range(0, len(content), 300_000):
        incoming.write(content[at : at + 300_000])
    incoming.keep(file, most)
    incoming.discard()
    return file


def content_of(store: BatchStore, file_id: str) -> bytes:
    mark: int | None = 0
    found = b""
    while mark is not None:
        piece = store.read(file_id, mark)
        found, mark = found + piece.content, piece.following
    return found


def batch_of(file: File, **fields: object) -> Batch:
    made = Batch(new_id("batch_"), file.tenant, "k", "r", "/v1/chat/completions", file.id, "24h", 100, 86_500)
    return msgspec.structs.replace(made, **fields)


def created(store: BatchStore, file: File, **fields: object) -> Held:
    held = store.create(batch_of(file, **fields), 10)
    assert held is not None
    return held


def good(name: str) -> Answer:
    return Answer(name, 200, f"req-{name}", b'{"text": "so"}')


def bad(name: str) -> Answer:
    return Answer(name, code="batch_expired", message="late")


def ended(batch: Batch) -> Batch:
    return msgspec.structs.replace(batch, status="completed")


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 2**20, 2**20 + 1, 2_500_000])
def test_a_file_comes_back_as_it_was_sent(store: BatchStore, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    file = uploaded(store, content)
    assert store.file("t", file.id) == file
    assert content_of(store, file.id) == content
    assert store.stored_bytes("t") == size


def test_what_is_not_kept_is_not_there(store: BatchStore) -> None:
    file = uploaded(store, b"x" * 100)
    small = uploaded(store, b"x" * 100, most=150)
    incoming = store.receive("file-broken-off")
    incoming.write(b"x" * 2_000_000)
    incoming.discard()
    assert [each.id for each in store.files("t")] == [file.id]
    assert store.file("t", small.id) is None
    with pytest.raises(FileNotFoundError):
        store.read("file-broken-off")
    assert store.stored_bytes("t") == 100


def test_a_tenant_has_its_own(store: BatchStore) -> None:
    file = uploaded(store, b"x")
    held = created(store, file)
    assert (store.file("u", file.id), store.files("u"), store.stored_bytes("u")) == (None, [], 0)
    assert (store.batch("u", held.batch.id), store.batches("u")) == (None, [])
    assert store.change("u", held.batch.id, ended) is None
    assert not store.drop_file("u", file.id)
    assert store.file("t", file.id) == file
    assert store.file("t", "file-\0") is None


def test_a_tenant_has_only_so_many_batches(store: BatchStore) -> None:
    file, other = uploaded(store, b"x"), uploaded(store, b"x", tenant="u")
    held = store.create(batch_of(file), 1)
    assert held is not None
    assert store.create(batch_of(file), 1) is None
    assert store.create(batch_of(other), 1) is not None
    store.move(held, ended)
    assert store.create(batch_of(file), 1) is not None
    with pytest.raises(FileNotFoundError):
        store.create(batch_of(msgspec.structs.replace(file, id="file-gone")), 10)


def test_a_file_that_is_read_stays(store: BatchStore) -> None:
    file = uploaded(store, b"x")
    held = created(store, file)
    with pytest.raises(InUse):
        store.drop_file("t", file.id)
    everything_expires(store, 10_000, 0)
    assert content_of(store, file.id) == b"x"
    store.move(held, ended)
    assert store.drop_file("t", file.id)
    assert not store.drop_file("t", file.id)
    with pytest.raises(FileNotFoundError):
        store.read(file.id)


def test_a_row_is_settled_once_and_its_answer_is_in_the_output(store: BatchStore) -> None:
    held = created(store, uploaded(store, b"x"))
    assert set(store.answered(held)) == set()
    odd = 'a\0"ü'
    store.settle(held, [(1, good("a")), (3, bad("c")), (2, good(odd))])
    store.settle(held, [(1, bad("a")), (4, good("d")), (3, bad("c"))])
    assert set(store.answered(held)) == {"a", odd, "c", "d"}
    now = store.batch("t", held.batch.id)
    assert now is not None
    assert (now.counts.completed, now.counts.failed) == (3, 1)
    for _ in range(2):
        for name, is_good in (("output", True), ("error", False)):
            record = File(f"file-{name}", "t", 100, 500, 0, f"{name}.jsonl", "batch_output")
            assert store.publish(held, record, good=is_good)
    lines = {name: content_of(store, f"file-{name}").splitlines() for name in ("output", "error")}
    assert {msgspec.json.decode(line)["custom_id"] for line in lines["output"]} == {"a", odd, "d"}
    assert {msgspec.json.decode(line)["custom_id"] for line in lines["error"]} == {"c"}
    output = store.file("t", "file-output")
    assert output is not None
    assert output.bytes == len(content_of(store, "file-output"))


def test_nothing_becomes_no_file(store: BatchStore) -> None:
    held = created(store, uploaded(store, b"x"))
    store.settle(held, [(1, good("a"))])
    assert not store.publish(held, File("file-e", "t", 100, 500, 0, "e.jsonl", "batch_output"), good=False)
    assert store.file("t", "file-e") is None


def test_an_output_of_many_rows_is_read_in_pieces(store: BatchStore) -> None:
    held = created(store, uploaded(store, b"x"))
    for start in range(0, 1000, 250):
        store.settle(held, [(number + 1, good(f"row-{number}")) for number in range(start, start + 250)])
    file = File("file-o", "t", 100, 500, 0, "o.jsonl", "batch_output")
    assert store.publish(held, file, good=True)
    lines = content_of(store, "file-o").splitlines()
    assert [msgspec.json.decode(line)["custom_id"] for line in lines] == [f"row-{number}" for number in range(1000)]


def test_what_changes_is_what_is_there(store: BatchStore) -> None:
    held = created(store, uploaded(store, b"x"))

    def refuse(batch: Batch) -> Batch:
        raise ValueError(batch.status)

    with pytest.raises(ValueError, match="validating"):
        store.change("t", held.batch.id, refuse)
    store.settle(held, [(1, good("a"))])
    changed = store.change("t", held.batch.id, lambda batch: msgspec.structs.replace(batch, metadata={"a": "ü\0"}))
    assert changed is not None
    assert (changed.metadata, changed.counts.completed) == ({"a": "ü\0"}, 1)
    (kept,) = store.keep([held])
    assert kept.batch == store.batch("t", held.batch.id) == changed
    assert store.move(held, ended).metadata == {"a": "ü\0"}


def test_what_is_let_go_of_is_claimed_again_and_goes_on(store: BatchStore) -> None:
    file = uploaded(store, b"x")
    first, second = created(store, file), created(store, file, created_at=200)
    assert store.claim(10) == [], "both are held"
    store.settle(first, [(1, good("a"))])
    store.release([first, second])
    (claimed,) = store.claim(1)
    assert claimed.batch.id == first.batch.id, "the oldest first"
    assert set(store.answered(claimed)) == {"a"}
    store.move(claimed, ended)
    assert [each.batch.id for each in store.claim(10)] == [second.batch.id]


def test_everything_goes_at_its_age(store: BatchStore) -> None:
    held = created(store, uploaded(store, b"x" * 1_500_000))
    store.settle(held, [(1, good("a"))])
    store.publish(held, File("file-o", "t", 100, 900, 0, "o.jsonl", "batch_output"), good=True)
    store.move(held, ended)
    everything_expires(store, 600, 50)
    assert [each.id for each in store.files("t")] == ["file-o"]
    assert store.batch("t", held.batch.id) is not None
    everything_expires(store, 900, 100)
    assert (store.files("t"), store.batches("t"), store.stored_bytes("t")) == ([], [], 0)


def everything_expires(store: BatchStore, now: float, batches_before: float) -> None:
    while store.expire(now, batches_before):
        pass
