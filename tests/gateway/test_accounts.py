"""One ledger row, one log line and one count for each request, with the engine's numbers and nobody's words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from fairlead import signals

from .conftest import Build, House
from .harness import HASTY, question
from .upstream import Manner, eventually
from .wire import Answer, ask, connection, post, read_chunks, read_head

CANARY = "xylophone-canary-7431"


def send(house: House, *, path: str = "/v1/chat/completions", key: str = "", **fields: Any) -> Answer:
    return asyncio.run(ask(house.gateway.port, post(key or house.gateway.key, question(**fields), path=path)))


def test_a_row_has_the_engines_numbers(house: House) -> None:
    answer = send(house, prompt="one two three", max_tokens=7, seed=123)
    row = house.gateway.ledger_row(answer.request_id)
    expected = {
        "tenant": "t",
        "route": "m0",
        "model": "m0",
        "operation": "chat",
        "status": 200,
        "prompt_tokens": 123,
        "cached_tokens": 3,
        "completion_tokens": 7,
        "ttft_ms": None,
        "estimated": 0,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["duration_ms"] > 0
    assert house.gateway.key.startswith(f"sk-fl-{row['key_id']}-")


def test_a_streams_row_has_them_too_whoever_asked_for_the_usage(house: House) -> None:
    for options in (None, {"include_usage": True}):
        answer = send(house, stream=True, max_tokens=9, seed=77, stream_options=options)
        row = house.gateway.ledger_row(answer.request_id)
        assert (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"], row["status"]) == (77, 9, 3, 200)
        assert 0 < row["ttft_ms"] <= row["duration_ms"]
        assert not row["estimated"]


def test_a_row_names_route_operation_and_tenant_of_its_own(house: House) -> None:
    key = house.gateway.new_key(tenant="other")
    assert eventually(lambda: send(house, key=key).status == 200, within_s=2.0)
    for path, operation in {"/v1/completions": "completions", "/v1/embeddings": "embeddings"}.items():
        answer = send(house, key=key, path=path, model=HASTY)
        row = house.gateway.ledger_row(answer.request_id)
        assert (row["tenant"], row["route"], row["model"], row["operation"]) == ("other", HASTY, "m0", operation)


def test_a_stream_that_breaks_is_charged_for_what_was_generated(house: House) -> None:
    for one in house.replicas:
        one.manner = Manner(die="middle", die_after=6)
    request_id = asyncio.run(interrupted(house, tokens=1000))
    row = house.gateway.ledger_row(request_id)
    assert row["completion_tokens"] == 5
    assert row["prompt_tokens"] > 0
    assert row["estimated"]
    assert row["status"] != 200


def test_a_client_that_leaves_is_charged_for_what_was_generated(house: House) -> None:
    for one in house.replicas:
        one.manner = Manner(gap_s=0.02)
    request_id = asyncio.run(interrupted(house, tokens=10))
    row = house.gateway.ledger_row(request_id)
    assert row["status"] == 499
    assert 10 <= row["completion_tokens"] <= sum(one.record.tokens_sent for one in house.replicas)


async def interrupted(house: House, *, tokens: int) -> str:
    """Read a stream until it breaks or `tokens` have come, then leave; its request id."""
    async with connection(house.gateway.port) as (reader, writer):
        writer.write(post(house.gateway.key, question(stream=True, max_tokens=1000)))
        fields = (await read_head(reader))[1]
        seen = 0
        try:
            async for piece in read_chunks(reader):
                seen += piece.count(b'"finish_reason"')
                if seen >= tokens:
                    break
        except asyncio.IncompleteReadError:
            pass
    return fields["x-request-id"]


def test_failures_have_rows_too(house: House) -> None:
    for one in house.replicas:
        one.manner = Manner(die="before")
    assert house.gateway.ledger_row(send(house).request_id)["status"] == 502
    for one in house.replicas:
        one.manner = Manner(status=400, error="no")
    row = house.gateway.ledger_row(send(house).request_id)
    assert (row["status"], row["prompt_tokens"], row["completion_tokens"]) == (400, 0, 0)


def test_one_row_a_request_and_their_sum_is_right(build: Build) -> None:
    house = build(replicas=2)
    answers = asyncio.run(many(house, 300))
    assert {answer.status for answer in answers} == {200}
    assert eventually(lambda: len(house.gateway.ledger()) == 300)
    rows = house.gateway.ledger()
    assert {row["request_id"] for row in rows} == {answer.request_id for answer in answers}
    assert sum(row["completion_tokens"] for row in rows) == sum(range(1, 301))
    assert sum(row["prompt_tokens"] for row in rows) == sum(range(1001, 1301))
    check_metrics(house)
    check_log(house, {answer.request_id for answer in answers})


async def many(house: House, number: int) -> list[Answer]:
    gate = asyncio.Semaphore(16)

    async def one(serial: int) -> Answer:
        fields = question(max_tokens=serial, seed=1000 + serial, stream=bool(serial % 2))
        async with gate:
            return await ask(house.gateway.port, post(house.gateway.key, fields))

    return await asyncio.gather(*(one(serial) for serial in range(1, number + 1)))


def check_metrics(house: House) -> None:
    """The counters after `many(house, 300)`."""
    metrics = house.gateway.metrics()
    labels = (("code", "200"), ("operation", "chat"), ("route", "m0"))
    assert metrics["fairlead_requests_total", labels] == 300
    for kind, tokens in {"prompt": sum(range(1001, 1301)), "completion": sum(range(1, 301)), "cached": 900}.items():
        wanted = (("kind", kind), ("model", "m0"), ("tenant", "t"))
        assert metrics["fairlead_tokens_total", wanted] == tokens, kind
    assert metrics["fairlead_ttft_seconds_count", (("model", "m0"),)] == 150
    assert metrics["fairlead_request_duration_seconds_count", (("model", "m0"),)] == 300
    assert sum(value for (name, _), value in metrics.items() if name == "fairlead_in_flight_requests") == 0
    assert sum(value for (name, _), value in metrics.items() if name == "fairlead_replica_up") == 2


def check_log(house: House, ids: set[str]) -> None:
    def logged() -> list[str]:
        lines = [json.loads(line) for line in house.gateway.log_lines()]
        return [line["request_id"] for line in lines if line.get("event") == "request"]

    assert eventually(lambda: len(logged()) == len(ids))
    assert set(logged()) == ids


def test_refusals_are_counted_by_reason(build: Build) -> None:
    house = build()
    gateway = house.gateway
    for _ in range(3):
        gateway.chat(key="sk-fl-wrong")
    gateway.chat(model="no-such-model")
    counted = {labels: value for (name, labels), value in gateway.metrics().items() if name == "fairlead_refused_total"}
    assert counted[("code", "401"), ("reason", "invalid_api_key")] == 3
    assert counted[("code", "404"), ("reason", "model_not_found")] == 1


def test_every_metric_of_the_table_is_emitted_and_no_other(build: Build) -> None:
    house = build()
    assert send(house, stream=True).status == 200
    families = list(text_string_to_metric_families(house.gateway.admin("/metrics").text))
    ours = {signal.name.removesuffix("_total"): signal for signal in signals.GATEWAY}
    assert {family.name for family in families if family.name.startswith("fairlead")} == set(ours)
    for family in families:
        assert family.type == ours[family.name].kind, family.name
        assert family.documentation == ours[family.name].help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(ours[family.name].labels), sample


def test_no_word_of_a_prompt_an_answer_or_a_key_is_kept(build: Build) -> None:
    house = build()
    gateway = house.gateway
    (one,) = house.replicas
    assert send(house, prompt=CANARY).status == 200
    assert send(house, prompt=CANARY, stream=True).status == 200
    assert send(house, prompt=CANARY, model="no-such-model").status == 404
    broken = json.dumps(question(CANARY)).encode()[:-9]
    assert asyncio.run(ask(gateway.port, post(gateway.key, broken))).status == 400
    query = post(gateway.key, question(), path=f"/v1/chat/completions?prompt={CANARY}")
    assert asyncio.run(ask(gateway.port, query)).status == 200
    one.manner = Manner(pieces=(f'data: {{"choices": [{{"delta": "{CANARY}"}}]}}\n\n'.encode(),))
    send(house, prompt=CANARY, stream=True)
    one.manner = Manner(status=500, error=CANARY)
    send(house, prompt=CANARY)
    one.manner = Manner(raw=f"HTTP/1.1 {CANARY}\r\n\r\n".encode())
    send(house, prompt=CANARY)
    assert gateway.stop() == 0
    secret = gateway.key.split("-")[-1]
    for path in files_under(gateway.folder):
        kept = path.read_bytes()
        assert CANARY.encode() not in kept, path
        assert secret.encode() not in kept, path
    assert all(json.loads(line)["event"] for line in gateway.log_lines())


def files_under(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert len(found) >= 4, found
    return found


def test_the_admin_pages_answer_and_nothing_else_does(house: House) -> None:
    gateway = house.gateway
    assert gateway.admin("/healthz").status_code == 200
    assert gateway.admin("/readyz").status_code == 200
    assert gateway.admin("/status").json()["models"]
    for path in ("/", "/v1/models", "/v1/chat/completions", "/metrics/x", "/../etc/passwd"):
        assert gateway.admin(path).status_code == 404, path


def test_a_request_id_of_the_client_is_kept_when_it_is_one_and_replaced_when_it_is_not(house: House) -> None:
    good = asyncio.run(ask(house.gateway.port, post(house.gateway.key, question(), "X-Request-Id: mine-1")))
    assert good.request_id in ("mine-1", house.gateway.ledger_row(good.request_id)["request_id"])
    for odd in ("a b", "a" * 300, '"quoted"', "<script>", "\u00e9"):
        raw = post(house.gateway.key, question(), f"X-Request-Id: {odd}".encode().decode("latin-1"))
        answer = asyncio.run(ask(house.gateway.port, raw))
        assert answer.status in (200, 400)
        assert answer.request_id != odd


def test_a_request_id_used_again_is_charged_again(house: House) -> None:
    raw = post(house.gateway.key, question(max_tokens=11), "X-Request-Id: the-same-again")
    for _ in range(3):
        assert asyncio.run(ask(house.gateway.port, raw)).status == 200

    def charged() -> list[int]:
        return [row["completion_tokens"] for row in house.gateway.ledger() if row["request_id"] == "the-same-again"]

    assert eventually(lambda: charged() == [11, 11, 11]), charged()
