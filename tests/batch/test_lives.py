"""What a batch lives through: kill -9, restarts, its window's end, cancellation, limits, a revoked key, retention."""

from __future__ import annotations

import sqlite3
from typing import Any

import openai
import pytest

from fairlead.store.keys import id_of
from gateway.conftest import Build, House
from gateway.upstream import Manner, eventually

from .conftest import Official, answered, batching, create, ended, results, row, upload


def test_three_kills_of_the_gateway_lose_and_double_no_row(build: Build, official: Official) -> None:
    house = build(change=batching(concurrency=4))
    client = official(house)
    house.replicas[0].manner = Manner(first_byte_s=0.02)
    batch_id = create(client, upload(client, [row(number) for number in range(240)]))
    for _ in range(3):
        before = answered(client, batch_id)
        assert eventually(lambda before=before: answered(client, batch_id) > before + 15, within_s=30.0)  # type: ignore[misc]
        house.gateway.kill()
        house.gateway.start()
    done = ended(client, batch_id)
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 240, 0)
    got = results(client, done.output_file_id)
    assert sorted(each["custom_id"] for each in got) == sorted(f"row-{number}" for number in range(240))
    assert len(house.seen) <= 240 + 3 * 4, "answered rows were asked again"
    answers = {row_of(each["response"]["request_id"]) for each in got}
    assert eventually(lambda: answers <= {row_of(each["request_id"]) for each in house.gateway.ledger()})
    charged = [row_of(each["request_id"]) for each in house.gateway.ledger() if each["status"] == 200]
    assert (len(charged), set(charged)) == (240, answers), "each row is charged once"


def row_of(request_id: str) -> str:
    """The part that all requests for a row have."""
    return request_id.partition("@")[0]


def test_a_stop_and_a_start_go_on_with_the_batch(build: Build, official: Official) -> None:
    house = build(change=batching(concurrency=2))
    client = official(house)
    house.replicas[0].manner = Manner(first_byte_s=0.05)
    batch_id = create(client, upload(client, [row(number) for number in range(30)]))
    assert eventually(lambda: answered(client, batch_id) > 3)
    assert house.gateway.stop() == 0
    asked = len(house.seen)
    house.gateway.start()
    house.replicas[0].manner = Manner()
    assert ended(client, batch_id).request_counts.completed == 30
    assert len(house.seen) == 30, f"{asked} before the stop: a row in flight was thrown away"


def test_a_batch_expires_with_what_it_has(build: Build, official: Official) -> None:
    house = build(change=batching(concurrency=1, window_s=2.0))
    client = official(house)
    house.replicas[0].manner = Manner(first_byte_s=0.2)
    with pytest.raises(openai.BadRequestError):
        create(client, "file-0", completion_window="24h")
    batch_id = create(client, upload(client, [row(number) for number in range(60)]), completion_window="2s")
    done = ended(client, batch_id)
    assert (done.status, done.request_counts.total) == ("expired", 60)
    good, late = results(client, done.output_file_id), results(client, done.error_file_id)
    assert {each["error"]["code"] for each in late} == {"batch_expired"}
    assert 0 < len(good) < 60
    ids = [each["custom_id"] for each in good + late]
    assert sorted(ids) == sorted(f"row-{number}" for number in range(60))
    assert (done.request_counts.completed, done.request_counts.failed) == (len(good), len(late))


def test_a_cancelled_batch_keeps_what_it_has(desk: House, official: Official) -> None:
    client = official(desk)
    desk.replicas[0].manner = Manner(first_byte_s=0.1)
    batch_id = create(client, upload(client, [row(number) for number in range(300)]))
    assert eventually(lambda: answered(client, batch_id) > 5)
    assert client.batches.cancel(batch_id).status in {"cancelling", "cancelled"}
    done = ended(client, batch_id)
    assert done.status == "cancelled"
    assert done.cancelling_at <= done.cancelled_at
    assert len(results(client, done.output_file_id)) == done.request_counts.completed < 300
    asked = len(desk.seen)
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch_id)
    client.models.list()
    assert len(desk.seen) == asked


def test_rows_wait_for_an_engine_that_is_busy(desk: House, official: Official) -> None:
    client = official(desk)
    desk.replicas[0].manner = Manner(status=429, fields=(("retry-after", "0"),))
    batch_id = create(client, upload(client, [row(number) for number in range(10)]))
    assert eventually(lambda: len(desk.seen) > 10)
    desk.replicas[0].manner = Manner()
    before = told(desk, "answered")
    assert ended(client, batch_id).request_counts.completed == 10
    assert told(desk, "retried") > 0
    assert 0 <= told(desk, "answered") - before <= 10


def told(house: House, result: str) -> float:
    """Rows of all tests of this gateway, by what its metrics say."""
    return house.gateway.metrics().get(("fairlead_batch_rows_total", (("result", result),)), 0.0)


def test_limits_and_budgets_hold_for_rows(build: Build, official: Official) -> None:
    def change(config: dict[str, Any]) -> None:
        batching()(config)
        nano = 10**9
        config["prices"] = {"m0": {"prompt_nano": nano, "cached_nano": nano, "completion_nano": nano}}
        config["budgets"] = {"small": {"amount_nano": 3_000_000, "period": "month", "per": ["tenant"]}}
        config["rate_limits"] = {"slow": {"per": ["tenant"], "requests": {"count": 20, "period_s": 1.0, "burst": 1}}}

    house = build(change=change)
    client = official(house)
    rows = [row(number, body={**row(number)["body"], "max_tokens": 100, "seed": 100}) for number in range(40)]
    done = ended(client, create(client, upload(client, rows)))
    assert done.status == "completed"
    assert 0 < done.request_counts.completed <= 15, "3 million billionths are 15 rows of 200 tokens"
    wrong = results(client, done.error_file_id)
    assert {each["response"]["status_code"] for each in wrong} == {429}
    assert {each["response"]["body"]["error"]["code"] for each in wrong} == {"insufficient_quota"}
    assert eventually(lambda: sum(each["cost_nano"] for each in house.gateway.ledger()) > 0)
    assert sum(each["cost_nano"] for each in house.gateway.ledger()) <= 3_000_000


def test_a_revoked_key_ends_its_batch(desk: House, official: Official) -> None:
    desk.replicas[0].manner = Manner(first_byte_s=0.1)
    client, colleague = official(desk, tenant="both"), official(desk, tenant="both")
    batch_id = create(client, upload(client, [row(number) for number in range(300)]))
    assert eventually(lambda: answered(client, batch_id) > 5)
    desk.gateway.keys.revoke(id_of(client.api_key))
    done = ended(colleague, batch_id)
    assert (done.status, done.errors.data[0].code) == ("failed", "key_ended")
    assert len(results(colleague, done.output_file_id)) == done.request_counts.completed < 300


def test_no_more_rows_run_at_once_than_declared(build: Build, official: Official) -> None:
    house = build(change=batching(concurrency=3))
    house.replicas[0].manner = Manner(first_byte_s=0.05)
    clients = [official(house) for _ in range(2)]
    made = [create(client, upload(client, [row(number) for number in range(30)])) for client in clients]
    for client, batch_id in zip(clients, made, strict=True):
        assert ended(client, batch_id).request_counts.completed == 30
    assert house.replicas[0].record.peak_open == 3


def test_a_batch_waits_for_a_disk_that_fails(build: Build, official: Official) -> None:
    house = build(change=batching())
    client = official(house)
    file_id = upload(client, [row(number) for number in range(10)])
    parts = house.gateway.state_dir / "batches" / "parts"
    parts.rmdir()
    parts.write_text("no folder any more")
    batch_id = create(client, file_id)
    assert eventually(lambda: any("batch_store_failed" in line for line in house.gateway.log_lines()))
    assert client.batches.retrieve(batch_id).status == "in_progress"
    assert house.gateway.chat().status_code == 200
    parts.unlink()
    parts.mkdir()
    assert ended(client, batch_id).request_counts.completed == 10


def test_files_and_batches_go_at_their_age(build: Build, official: Official) -> None:
    house = build(change=batching(retention_s=1.0, window_s=3600.0))
    client = official(house)
    file_id = upload(client, [row(0)])
    done = ended(client, create(client, file_id, completion_window="1h"))
    folder = house.gateway.state_dir / "batches"
    assert len(list((folder / "files").iterdir())) == 2
    house.gateway.stop()
    (folder / "files" / "file-without-a-record.new").write_bytes(b"torn")
    assert eventually(lambda: is_past(folder / "batches.db"))
    house.gateway.start()

    def is_gone() -> bool:
        return not list((folder / "files").iterdir())

    assert eventually(is_gone, within_s=10.0)
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve(done.id)
    assert list(client.files.list()) == []


def is_past(database: Any) -> bool:
    """Whether the newest file's time is over."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as opened:
        found = opened.execute("SELECT max(expires_at) < unixepoch() FROM files").fetchone()[0]
    opened.close()
    return bool(found)
