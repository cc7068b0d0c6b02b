"""The Files and Batch API as the official client uses it, and what it says no to."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from gateway.conftest import Build, House
from gateway.upstream import eventually

from .conftest import Official, batching, create, ended, lines_of, results, row, upload

SOME = 30


def test_the_official_clients_flow(desk: House, official: Official) -> None:
    client = official(desk)
    file = client.files.create(file=("rows.jsonl", lines_of(row(number) for number in range(SOME))), purpose="batch")
    assert (file.object, file.filename, file.purpose, file.status) == ("file", "rows.jsonl", "batch", "processed")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"for": "me"}
    )
    assert (batch.object, batch.status, batch.metadata) == ("batch", "validating", {"for": "me"})
    done = ended(client, batch.id)
    assert (done.status, done.request_counts.total, done.request_counts.completed) == ("completed", SOME, SOME)
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at < done.expires_at
    assert done.error_file_id is None
    answers = {each["custom_id"]: each for each in results(client, done.output_file_id)}
    assert len(answers) == SOME
    assert answers["row-3"]["response"]["status_code"] == 200
    assert answers["row-3"]["response"]["body"]["usage"]["completion_tokens"] == 4
    assert answers["row-3"]["error"] is None
    assert [each.id for each in client.batches.list()] == [batch.id]
    assert {each.id for each in client.files.list()} == {file.id, done.output_file_id}
    assert [each.id for each in client.files.list(purpose="batch")] == [file.id]
    charged = {each["response"]["request_id"] for each in answers.values()}
    assert eventually(lambda: charged <= {each["request_id"] for each in desk.gateway.ledger()})
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


WRONG: dict[str, tuple[Any, str, int | None]] = {
    "no JSON": ("{not json", "invalid_json_line", 2),
    "no body": ({"custom_id": "x", "method": "POST", "url": "/v1/chat/completions"}, "invalid_request", 2),
    "another URL": (row(1, url="/v1/embeddings"), "url_mismatch", 2),
    "another method": (row(1, method="GET"), "invalid_method", 2),
    "an id twice": (row(0), "duplicate_custom_id", 2),
    "a stream": (row(1, body={"model": "m0", "messages": [], "stream": True}), "invalid_request", 2),
    "an unknown model": (row(1, body={"model": "m7", "messages": []}), "model_not_found", 2),
}


def test_wrong_lines_fail_the_batch_with_openais_errors(build: Build, official: Official) -> None:
    house = build(change=batching(max_rows=3))
    client = official(house)
    for name, (line, code, number) in WRONG.items():
        done = ended(client, create(client, upload(client, [row(0), line])))
        (error,) = done.errors.data
        assert (name, done.status, error.code, error.line) == (name, "failed", code, number)
        assert error.message
    assert not house.seen, "a row was asked although another one is wrong"
    for rows, code in (([], "empty_file"), ([row(number) for number in range(4)], "too_many_tasks")):
        done = ended(client, create(client, upload(client, rows)))
        assert (done.status, done.errors.data[0].code) == ("failed", code)


def test_a_row_that_is_refused_stands_in_the_error_file(desk: House, official: Official) -> None:
    client = official(desk)
    rows = [row(0), row(1, body={**row(1)["body"], "max_tokens": "many"})]
    done = ended(client, create(client, upload(client, rows)))
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 1, 1)
    (wrong,) = results(client, done.error_file_id)
    assert wrong["custom_id"] == "row-1"


REFUSED: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no file": ("POST", "/v1/batches", {"json": {"input_file_id": "file-0"}}, 400, "invalid_body"),
    "an unknown file": (
        "POST",
        "/v1/batches",
        {"json": {"input_file_id": "file-0", "endpoint": "/v1/embeddings", "completion_window": "24h"}},
        400,
        "file_not_found",
    ),
    "an unknown endpoint": (
        "POST",
        "/v1/batches",
        {"json": {"input_file_id": "f", "endpoint": "/v1/images", "completion_window": "24h"}},
        400,
        "invalid_value",
    ),
    "another window": (
        "POST",
        "/v1/batches",
        {"json": {"input_file_id": "f", "endpoint": "/v1/responses", "completion_window": "1h"}},
        400,
        "invalid_value",
    ),
    "what is not acted on": (
        "POST",
        "/v1/batches",
        {"json": {"input_file_id": "f", "endpoint": "/v1/responses", "completion_window": "24h", "tier": "fast"}},
        400,
        "invalid_body",
    ),
    "an unknown batch": ("GET", "/v1/batches/batch_0", {}, 404, "batch_not_found"),
    "an unknown content": ("GET", "/v1/files/file-0/content", {}, 404, "file_not_found"),
    "a path behind": ("GET", "/v1/files/file-0/content/more", {}, 404, "not_found"),
    "a path beside": ("GET", "/v1/filesystem", {}, 404, "not_found"),
    "a method": ("PUT", "/v1/files", {}, 405, "method_not_allowed"),
    "a limit": ("GET", "/v1/batches?limit=0", {}, 400, "invalid_value"),
    "no form": ("POST", "/v1/files", {"content": b"{}"}, 400, "invalid_upload"),
    "no file in the form": ("POST", "/v1/files", {"files": {"purpose": (None, "batch")}}, 400, "invalid_upload"),
    "another purpose": (
        "POST",
        "/v1/files",
        {"data": {"purpose": "fine-tune"}, "files": {"file": b"{}"}},
        400,
        "invalid_upload",
    ),
    "a field that is not acted on": (
        "POST",
        "/v1/files",
        {"data": {"purpose": "batch", "expires_after[seconds]": "3600"}, "files": {"file": b"{}"}},
        400,
        "unknown_parameter",
    ),
    "a file that is too large": (
        "POST",
        "/v1/files",
        {"data": {"purpose": "batch"}, "files": {"file": b"x" * (2**20 + 1)}},
        413,
        "request_too_large",
    ),
}


def test_what_is_wrong_is_refused_in_openais_shape(desk: House) -> None:
    got = {}
    for name, (method, path, given, *_) in REFUSED.items():
        with desk.gateway.client() as client:
            answer = client.request(method, path, **given)
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        got[name] = (answer.status_code, error["code"])
    assert got == {name: (status, code) for name, (*_, status, code) in REFUSED.items()}


def test_a_tenant_sees_nothing_of_another(desk: House, official: Official) -> None:
    mine, theirs = official(desk), official(desk)
    file_id = upload(mine, [row(0)])
    batch_id = create(mine, file_id)
    output = ended(mine, batch_id).output_file_id
    for ask in (
        lambda: theirs.files.retrieve(file_id),
        lambda: theirs.files.content(output),
        lambda: theirs.files.delete(file_id),
        lambda: theirs.batches.retrieve(batch_id),
        lambda: theirs.batches.cancel(batch_id),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()
    with pytest.raises(openai.BadRequestError):
        create(theirs, file_id)
    assert [list(theirs.files.list()), list(theirs.batches.list())] == [[], []]
    assert mine.files.retrieve(file_id).id == file_id


def test_it_is_denied_by_default_and_absent_where_it_is_not_declared(
    house: House, desk: House, official: Official
) -> None:
    with house.gateway.client() as client:
        assert client.get("/v1/files").status_code == 404
        assert client.post("/v1/files", files={"file": b"{}"}).status_code == 404
    chatter = official(desk, role="chatter")
    for ask in (chatter.files.list, chatter.batches.list, lambda: upload(chatter, [row(0)])):
        with pytest.raises(openai.PermissionDeniedError):
            ask()
    anybody = httpx.post(f"{desk.gateway.url}/v1/files", files={"file": b"{}"})
    assert anybody.status_code == 401


def test_quotas_of_a_tenant(build: Build, official: Official) -> None:
    house = build(change=batching(storage_bytes=1500, max_active=1, concurrency=1))
    client = official(house)
    house.replicas[0].manner = type(house.replicas[0].manner)(first_byte_s=0.5)
    file_id = upload(client, [row(number) for number in range(5)])
    with pytest.raises(openai.APIStatusError) as full:
        upload(client, [row(number) for number in range(6)])
    assert (full.value.status_code, full.value.code) == (413, "storage_quota_exceeded")
    batch_id = create(client, file_id)
    with pytest.raises(openai.RateLimitError) as many:
        create(client, file_id)
    assert many.value.code == "too_many_batches"
    with pytest.raises(openai.ConflictError):
        client.files.delete(file_id)
    client.batches.cancel(batch_id)
    assert ended(client, batch_id).status == "cancelled"
    client.files.delete(file_id)
    upload(client, [row(number) for number in range(3)])


def test_pages_of_lists(desk: House, official: Official) -> None:
    client = official(desk)
    made = [upload(client, [row(number)]) for number in range(5)]
    page = client.files.list(limit=2)
    assert (len(page.data), page.has_more) == (2, True)
    assert {each.id for each in client.files.list(limit=2)} == set(made)
    assert [each.id for each in client.files.list(order="asc")] == [each.id for each in client.files.list()][::-1]


def test_large_files_come_and_go_through_a_small_memory(build: Build) -> None:
    house = build(change=batching(max_file_bytes=2**27, storage_bytes=2**30))
    content = b"".join(b"%0127d\n" % number for number in range(2**19))  # 64 MiB
    before = house.gateway.rss_mib()
    with house.gateway.client() as client:
        made = client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", content)}).json()
        assert made["bytes"] == len(content)
        assert client.get(f"/v1/files/{made['id']}/content").content == content
        assert client.get("/v1/models").status_code == 200
    assert house.gateway.rss_mib() - before < 32
