"""`fairlead batch run`: each row is in the output once, whatever dies meanwhile; what is wrong stands beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # comes with moto
import pyarrow
import pyarrow.parquet
import pytest
from moto.server import ThreadedMotoServer

from fairlead.errors import UserError
from fairlead.store.batch_output import BatchOutput
from fairlead.store.batch_rows import Answer
from gateway.conftest import House
from gateway.upstream import Manner, eventually

from .conftest import read, row, write

SOME = 40


def command(house: House, *arguments: str | Path, key: str = "") -> list[str]:
    words = [sys.executable, "-m", "fairlead.cli.main", "batch", "run", *map(str, arguments)]
    return [*words, "--url", house.gateway.url, "--key", key or house.gateway.key, "--json"]


def run(house: House, *arguments: str | Path, cwd: Path, code: int = 0, **more: Any) -> dict[str, Any]:
    """The report."""
    done = subprocess.run(command(house, *arguments, **more), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"told": done.stderr}
    return report


def test_every_row_has_one_answer_and_the_report_adds_up(house: House, tmp_path: Path) -> None:
    rows = [row(number) for number in range(SOME)]
    report = run(house, write(tmp_path / "in.jsonl", rows), "out.jsonl", cwd=tmp_path)
    answers = {each["custom_id"]: each["response"]["body"] for each in read(tmp_path / "out.jsonl")}
    assert set(answers) == {each["custom_id"] for each in rows}
    assert {number: answers[f"row-{number}"]["usage"]["completion_tokens"] for number in range(SOME)} == {
        number: number % 7 + 1 for number in range(SOME)
    }
    assert report["completion_tokens"] == sum(number % 7 + 1 for number in range(SOME))
    assert (report["rows"], report["good"], report["failed"], report["errors"]) == (SOME, SOME, 0, "")
    assert report["rows_per_s"] > 0
    assert not (tmp_path / "out.jsonl.part").exists()


def test_three_kills_lose_and_double_nothing(house: House, tmp_path: Path) -> None:
    rows = [row(number) for number in range(300)]
    source, part = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl.part" / "results.jsonl"
    for one in house.replicas:
        one.manner = Manner(first_byte_s=0.02)
    for kill in range(3):
        process = subprocess.Popen(command(house, source, "out.jsonl", "--concurrency", "4"), cwd=tmp_path)
        before = lines(part)
        assert eventually(lambda before=before: lines(part) > before + 20, within_s=30.0)  # type: ignore[misc]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with part.open("ab") as file:  # as a death in the middle of a line leaves it
            file.write(b'{"id":"batch_req_1","custom_id":"row-29' if kill else b"")
    report = run(house, source, "out.jsonl", cwd=tmp_path)
    ids = [each["custom_id"] for each in read(tmp_path / "out.jsonl")]
    assert sorted(ids) == sorted(each["custom_id"] for each in rows)
    assert report["resumed"] >= 60
    assert report["resumed"] + report["good"] == 300
    asked = len(house.seen)
    assert asked <= 300 + 3 * 4, f"{asked} requests: answered rows were asked again"


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_what_is_no_row_stands_in_the_error_file_with_its_line(house: House, tmp_path: Path) -> None:
    rows = [
        row(1),
        "{not json",
        {"custom_id": "no-body", "method": "POST", "url": "/v1/chat/completions"},
        row(2, method="GET"),
        row(3, url="/v1/nothing"),
        row(1),
        row(4, body={"model": "m0", "messages": [], "stream": True}),
        "",
        row(5, body={"model": "no-such-model", "messages": []}),
    ]
    report = run(house, write(tmp_path / "in.jsonl", rows), "out.jsonl", cwd=tmp_path, code=1)
    assert [each["custom_id"] for each in read(tmp_path / "out.jsonl")] == ["row-1"]
    wrong = {each["custom_id"]: each for each in read(tmp_path / "out.errors.jsonl")}
    assert {name: each["error"]["code"] for name, each in wrong.items() if each["error"]} == {
        "bad-line-2": "invalid_json_line",
        "bad-line-3": "invalid_request",
        "bad-line-4": "invalid_method",
        "bad-line-5": "invalid_url",
        "bad-line-6": "duplicate_custom_id",
        "bad-line-7": "invalid_request",
    }
    assert wrong["row-5"]["response"]["status_code"] == 404
    assert wrong["row-5"]["response"]["body"]["error"]["code"] == "model_not_found"
    assert (report["rows"], report["good"], report["failed"]) == (8, 1, 7)


def test_an_engine_that_is_busy_or_gone_is_asked_again(house: House, tmp_path: Path) -> None:
    for one in house.replicas:
        one.manner = Manner(status=429, fields=(("retry-after", "0"),))
    source = write(tmp_path / "in.jsonl", [row(number) for number in range(SOME)])
    process = subprocess.Popen(command(house, source, "out.jsonl"), cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert eventually(lambda: len(house.seen) > SOME, within_s=20.0)
    for one in house.replicas:
        one.forget()
    assert process.wait(60.0) == 0
    assert len(read(tmp_path / "out.jsonl")) == SOME


def test_another_input_does_not_go_on_from_these_answers(house: House, tmp_path: Path) -> None:
    first = write(tmp_path / "in.jsonl", [row(1), row(2)])
    run(house, first, "out.jsonl", cwd=tmp_path)
    assert "is there already" in run(house, first, "out.jsonl", cwd=tmp_path, code=2)["told"]
    (tmp_path / "out.jsonl").unlink()
    BatchOutput(tmp_path / "out.jsonl.part").close()
    (tmp_path / "out.jsonl.part" / "input.json").write_text('{"source": "other.jsonl", "sha256": "0"}')
    told = run(house, first, "out.jsonl", cwd=tmp_path, code=2)["told"]
    assert "answers to another input: other.jsonl" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("in.csv", "out.jsonl"), "neither JSON Lines nor Parquet"),
        (("none.jsonl", "out.jsonl"), "no such file"),
        (("in.jsonl", "no/such/out.jsonl"), "no such folder"),
    ],
)
def test_places_that_cannot_be_are_refused(house: House, tmp_path: Path, arguments: tuple[str, str], told: str) -> None:
    write(tmp_path / "in.jsonl", [row(1)])
    assert told in run(house, *arguments, cwd=tmp_path, code=2)["told"]


def test_a_refused_key_ends_the_run(house: House, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [row(1)])
    assert "the key is refused" in run(house, source, "out.jsonl", cwd=tmp_path, code=2, key="sk-fl-no")["told"]


def test_parquet_in_and_out(house: House, tmp_path: Path) -> None:
    rows = [row(number) for number in range(SOME)]
    rows[3]["body"]["temperature"] = 0.5
    rows[4]["body"] = json.dumps(rows[4]["body"])
    structs = [each for each in rows if isinstance(each["body"], dict)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(structs), tmp_path / "in.parquet")
    run(house, "in.parquet", "out.parquet", cwd=tmp_path)
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert {each["custom_id"] for each in table} == {each["custom_id"] for each in structs}
    assert all(each["status_code"] == 200 for each in table)
    assert {each["custom_id"]: each["completion_tokens"] for each in table}["row-3"] == 4
    assert [seen.json["temperature"] for seen in house.seen if "temperature" in seen.json] == [0.5]
    texts = [{**row(number), "body": json.dumps(row(number)["body"])} for number in range(3)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(texts), tmp_path / "texts.parquet")
    run(house, "texts.parquet", "texts.jsonl", cwd=tmp_path)
    assert len(read(tmp_path / "texts.jsonl")) == 3


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    named = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket="rows")
    yield client
    server.stop()


def test_rows_from_and_to_an_object_store(house: House, tmp_path: Path, bucket: Any) -> None:
    text = "".join(json.dumps(row(number)) + "\n" for number in range(5)) + "{}\n"
    bucket.put_object(Bucket="rows", Key="in/a.jsonl", Body=text.encode())
    report = run(house, "s3://rows/in/a.jsonl", "s3://rows/out/b.jsonl", cwd=tmp_path, code=1)
    results = bucket.get_object(Bucket="rows", Key="out/b.jsonl")["Body"].read().splitlines()
    assert {json.loads(line)["custom_id"] for line in results} == {f"row-{number}" for number in range(5)}
    assert report["errors"] == "s3://rows/out/b.errors.jsonl"
    assert b"bad-line-6" in bucket.get_object(Bucket="rows", Key="out/b.errors.jsonl")["Body"].read()
    told = run(house, "s3://rows/in/a.jsonl", "s3://rows/out/b.jsonl", cwd=tmp_path, code=2)["told"]
    assert "is there already" in told


def test_an_output_holds_a_row_once_whatever_it_is_told(tmp_path: Path) -> None:
    out = BatchOutput(tmp_path)
    assert out.add(Answer("a", 200, "r", b"{\n}"))
    assert not out.add(Answer("a", 200, "r", b"{}"))
    assert out.add(Answer("b", 500, "r", b"no json"))
    out.close()
    again = BatchOutput(tmp_path)
    assert (again.done, again.good, again.failed) == ({"a", "b"}, 1, 1)
    assert not again.add(Answer("b", 200, "r", b"{}"))
    again.close()
    for torn in (b'{"custom_id": "c"', b"garbage\n", b'{"custom_id": "a"}\n'):
        whole = out.results.read_bytes()
        out.results.write_bytes(whole + torn)
        BatchOutput(tmp_path).close()
        assert out.results.read_bytes() == whole


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = BatchOutput(tmp_path)
    out.add(Answer("a", 200, "r", b"{}"))
    write_some, calls = os.write, []

    def full(file: int, content: Any) -> int:
        calls.append(len(content))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write_some(file, content[:5])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        out.add(Answer("b", 200, "r", b"{}"))
    monkeypatch.undo()
    assert out.done == {"a"}
    assert out.add(Answer("b", 200, "r", b"{}"))
    out.close()
    assert [each["custom_id"] for each in read(out.results)] == ["a", "b"]


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    from fairlead.batch.job import held

    with held(tmp_path), pytest.raises(UserError, match="another run"), held(tmp_path):
        raise AssertionError("both hold it")
