"""Who may do what: every refusal has OpenAI's shape, a request id and no side effect on an engine."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from typing import Any

import httpx
import pytest

from .conftest import House
from .harness import HASTY, question
from .upstream import eventually
from .wire import Answer, ask, exchange, get, head, post


def refused(answer: httpx.Response | Answer, status: int) -> dict[str, Any]:
    """Check OpenAI's error shape; the error."""
    if isinstance(answer, httpx.Response):
        answer = Answer(answer.status_code, dict(answer.headers), answer.content)
    assert answer.status == status, answer
    assert answer.fields["content-type"].startswith("application/json")
    assert answer.request_id
    body = answer.json
    assert set(body) == {"error"}
    assert {"message", "type", "param", "code"} <= set(body["error"])
    assert body["error"]["message"]
    error: dict[str, Any] = body["error"]
    return error


CREDENTIALS = {
    "no header": b"X-A: b",
    "empty": b"Authorization:",
    "empty bearer": b"Authorization: Bearer ",
    "scheme only": b"Authorization: Bearer",
    "another scheme": b"Authorization: Basic dXNlcjpwYXNz",
    "not ours": b"Authorization: Bearer sk-123",
    "unknown id": b"Authorization: Bearer sk-fl-000000000000-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "very long": b"Authorization: Bearer sk-fl-" + b"a" * 5000,
    "not ASCII": b"Authorization: Bearer sk-fl-\xe9\xe9",
}


@pytest.mark.parametrize("field", CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("line", [b"POST /v1/chat/completions", b"GET /v1/models"])
def test_without_a_good_key_nothing_is_done(house: House, field: bytes, line: bytes) -> None:
    body = json.dumps(question()).encode() if line.startswith(b"POST") else b""
    start = b"%s HTTP/1.1\r\nHost: a\r\n%s\r\nContent-Length: %d\r\n\r\n" % (line, field, len(body))
    answer = asyncio.run(ask(house.gateway.port, start + body))
    assert refused(answer, 401)["code"] == "invalid_api_key"
    assert house.seen == []


def test_a_changed_secret_of_a_known_id_is_refused(house: House) -> None:
    key = house.gateway.key
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    refused(house.gateway.chat(key=other), 401)
    refused(house.gateway.chat(key=key + "A"), 401)
    refused(house.gateway.chat(key=key[:-1]), 401)
    assert house.seen == []


def test_a_new_key_works_and_a_revoked_one_stops_within_a_second(house: House) -> None:
    gateway = house.gateway
    secret, key = gateway.keys.create(tenant="brief", role="user")
    assert eventually(lambda: gateway.chat(key=secret).status_code == 200, within_s=1.0)
    gateway.keys.revoke(key.id)
    assert eventually(lambda: gateway.chat(key=secret).status_code == 401, within_s=1.0)


def test_an_expired_key_is_refused(house: House) -> None:
    secret, key = house.gateway.keys.create(tenant="brief", role="user", max_age_s=1.0)
    assert eventually(lambda: house.gateway.chat(key=secret).status_code == 200, within_s=1.0, every_s=0.02)
    assert key.expires_at
    assert eventually(lambda: house.gateway.chat(key=secret).status_code == 401, within_s=2.0)
    assert time.time() >= key.expires_at


def test_a_role_is_held_to_its_operations_and_models(house: House) -> None:
    gateway = house.gateway
    chatter, nobody = gateway.new_key(role="chatter"), gateway.new_key(role="nobody")
    stranger = gateway.new_key(role="a role that the file does not name")
    assert eventually(lambda: gateway.chat(key=chatter).status_code == 200, within_s=1.0)
    assert eventually(lambda: gateway.chat(key=stranger).status_code != 401, within_s=1.0)
    seen = len(house.seen)
    assert eventually(lambda: gateway.chat(key=nobody).status_code != 401, within_s=1.0)
    for key in (nobody, stranger):
        refused(gateway.chat(key=key), 403)
    refused(gateway.chat(key=chatter, model=HASTY), 403)
    with gateway.client(chatter) as client:
        refused(client.post("/v1/completions", json={"model": "m0", "prompt": "a"}), 403)
    assert len(house.seen) == seen


def test_models_lists_what_the_role_may_use(house: House) -> None:
    gateway = house.gateway
    expected = {"user": {"m0", HASTY}, "chatter": {"m0"}, "nobody": set()}
    for role, names in expected.items():
        assert eventually(partial(lists, house, gateway.new_key(role=role), names), within_s=1.0), role


def lists(house: House, key: str, names: set[str]) -> bool:
    with house.gateway.client(key) as client:
        answer = client.get("/v1/models")
    if answer.status_code != 200:
        return False
    assert answer.json()["object"] == "list"
    assert all(entry["object"] == "model" for entry in answer.json()["data"])
    return {entry["id"] for entry in answer.json()["data"]} == names


def test_one_model_can_be_asked_for(house: House) -> None:
    with house.gateway.client() as client:
        assert client.get("/v1/models/m0").json()["id"] == "m0"
        refused(client.get("/v1/models/other"), 404)


def test_an_unknown_model_is_404_as_the_clients_expect(house: House) -> None:
    error = refused(house.gateway.chat(model="no-such-model"), 404)
    assert error["code"] == "model_not_found"
    assert "no-such-model" in error["message"]


PATHS = [
    "/",
    "/v1",
    "/v1/chat",
    "/v1/chat/completions/",
    "/v1/../v1/chat/completions",
    "//v1/models",
    "/metrics",
    "/V1/models",
]


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_path_is_404(house: House, path: str) -> None:
    refused(asyncio.run(ask(house.gateway.port, post(house.gateway.key, question(), path=path))), 404)
    assert house.seen == []


def test_a_wrong_method_is_405(house: House) -> None:
    with house.gateway.client() as client:
        refused(client.get("/v1/chat/completions"), 405)
        refused(client.post("/v1/models", json={}), 405)
        refused(client.delete("/v1/chat/completions"), 405)


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"hello",
    "cut JSON": b'{"model": "m0", "messages": [',
    "two values": b'{"model": "m0"} {"model": "m0"}',
    "a list": b"[]",
    "no model": json.dumps({"messages": []}).encode(),
    "model is null": json.dumps({"model": None}).encode(),
    "model is a number": json.dumps({"model": 1}).encode(),
    "stream is a word": json.dumps({"model": "m0", "stream": "yes"}).encode(),
    "not UTF-8": b'{"model": "m0\xff"}',
    "deep": b"[" * 100_000,
    "deep in a field": b'{"model": "m0", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_400(house: House, body: bytes) -> None:
    with house.gateway.client() as client:
        refused(client.post("/v1/chat/completions", content=body), 400)
    assert house.seen == []
    assert house.gateway.chat().status_code == 200


def test_of_two_equal_fields_the_engine_and_the_gateway_read_the_same(house: House) -> None:
    """Else a caller names a model that it may use, and gets another."""
    body = b'{"model": "no-such-model", "model": "m0", "messages": []}'
    other = b'{"model": "m0", "model": "no-such-model", "messages": []}'
    with house.gateway.client() as client:
        assert client.post("/v1/chat/completions", content=other).status_code in (400, 404)
        answer = client.post("/v1/chat/completions", content=body)
    assert answer.status_code in (200, 400)
    assert all(request.json["model"] == "m0" for request in house.seen)


def test_every_operation_reaches_the_engine_at_its_own_path(house: House) -> None:
    bodies = {
        "/v1/chat/completions": question(),
        "/v1/completions": {"model": "m0", "prompt": "a"},
        "/v1/embeddings": {"model": "m0", "input": "a"},
        "/v1/responses": {"model": "m0", "input": "a"},
    }
    with house.gateway.client() as client:
        for path, body in bodies.items():
            assert client.post(path, json=body).status_code == 200, path
    assert [request.path for request in house.seen] != []
    assert sorted(request.path for request in house.seen) == sorted(bodies)


def test_the_callers_key_never_reaches_the_engine(house: House) -> None:
    assert house.gateway.chat().status_code == 200
    (request,) = house.seen
    assert house.gateway.key not in str(request)
    assert "authorization" not in request.fields


def test_each_answer_has_a_request_id_of_its_own(house: House) -> None:
    ids = [house.gateway.chat().headers["x-request-id"] for _ in range(5)]
    assert len(set(ids)) == 5


def test_a_head_request_is_answered_without_a_body(house: House) -> None:
    """Else its body would be read as the next answer."""
    raw = head("HEAD /v1/models HTTP/1.1", house.gateway.key) + get(house.gateway.key)
    answer = asyncio.run(exchange(house.gateway.port, raw, quiet_s=0.5))
    first, rest = answer.split(b"\r\n\r\n", 1)
    assert first.startswith(b"HTTP/1.1 ")
    assert rest == b"" or rest.startswith(b"HTTP/1.1 "), rest[:80]
