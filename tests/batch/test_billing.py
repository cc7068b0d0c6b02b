"""Rows that pass the gateway by are in the ledger once, at whatever step the run before died."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from fairlead.batch.billing import MARK, NAME, Bill
from fairlead.batch.engines import Deliver
from fairlead.batch.job import Job, unanswered
from fairlead.store.batch_output import BatchOutput
from fairlead.store.batch_rows import Answer, Row
from fairlead.store.contract import Total
from fairlead.store.ledger import Ledger

from .conftest import row, write

BODY = b'{"usage":{"prompt_tokens":10,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}'
ANSWERS = (
    Answer("row-1", 200, body=BODY),
    Answer("row-2", 200, body=BODY),
    Answer("row-3", 400, body=b'{"error":{"message":"no"}}'),
    Answer("row-4", code="engine_error", message="never came to an engine"),
)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    folder = tmp_path / "out.jsonl.part"
    out = BatchOutput(folder)
    for answer in ANSWERS:
        out.add(answer)
    out.close()
    return folder


@pytest.fixture
def bill(tmp_path: Path) -> Bill:
    return Bill(tmp_path / "journal", "bulk", {"alias": "m0"}, lambda model, used: used.completion * 5)


def rows(tmp_path: Path) -> Iterator[Row]:
    body = {"model": "alias", "messages": []}
    return unanswered(write(tmp_path / "in.jsonl", [row(number, body=body) for number in (1, 2, 3, 4)]), set())


def totals(tmp_path: Path) -> list[Total]:
    ledger = Ledger(tmp_path / "ledger.db", tmp_path / "journal")
    try:
        ledger.ship()
        return ledger.totals("tenant")
    finally:
        ledger.close()


ONCE = Total("bulk", 3, 1, 20, 4, 8, None, 0.0, 40)


def test_what_an_engine_answered_is_billed(part: Path, bill: Bill, tmp_path: Path) -> None:
    bill(part, rows(tmp_path))
    assert totals(tmp_path) == [ONCE]


def test_a_run_that_comes_again_bills_nothing_twice(part: Path, bill: Bill, tmp_path: Path) -> None:
    bill(part, rows(tmp_path))
    assert totals(tmp_path) == [ONCE]
    bill(part, rows(tmp_path))
    assert totals(tmp_path) == [ONCE]


def test_a_death_while_the_records_are_written(part: Path, bill: Bill, tmp_path: Path) -> None:
    """The draft is torn, and there is no mark: it is written anew, under the same name."""
    bill.journal.mkdir()
    name = f"{time.time_ns():020d}.jsonl"
    (part / NAME).write_text(name)
    (bill.journal / f"{name}.draft").write_bytes(b'{"event":"request","at":1')
    assert totals(tmp_path) == []
    bill(part, rows(tmp_path))
    assert totals(tmp_path) == [ONCE]
    assert [path.name for path in bill.journal.iterdir()] == [name]


def test_a_death_before_the_segment_has_its_name(part: Path, bill: Bill, tmp_path: Path) -> None:
    bill(part, rows(tmp_path))
    (segment,) = bill.journal.iterdir()
    segment.rename(f"{segment}.draft")
    assert (part / MARK).exists()
    assert totals(tmp_path) == []
    bill(part, rows(tmp_path))
    assert totals(tmp_path) == [ONCE]


def test_a_run_bills_before_its_folder_goes(bill: Bill, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [row(1, body={"model": "alias", "messages": []})])
    Job(str(source), str(tmp_path / "out.jsonl"), answer_all, {}, bill=bill).run()
    assert totals(tmp_path) == [Total("bulk", 1, 0, 10, 2, 4, None, 0.0, 20)]
    assert not (tmp_path / "out.jsonl.part").exists()


def answer_all(rows: Iterable[Row], deliver: Deliver) -> None:
    for each in rows:
        deliver(each, Answer(each.custom_id, 200, body=BODY))
