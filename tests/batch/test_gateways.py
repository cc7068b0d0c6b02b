"""Two gateways and one PostgreSQL: whoever is asked knows every batch, one of them works on it, and either may die."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import openai
import psycopg
import pytest

from fairlead.store.postgres_keys import PostgresKeys
from gateway.harness import Gateway, compiled
from gateway.upstream import Manner, Upstream, eventually, upstream
from servers.place import freeze, thaw
from servers.postgres import Postgres, postgres

from .conftest import answered, batching, create, ended, lines_of, results, row, upload


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as one:
        yield one


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gateways before one engine, a client of one tenant at each, and the database's URL."""

    gateways: tuple[Gateway, Gateway]
    engine: Upstream
    url: str
    tenant: str = ""
    clients: tuple[openai.OpenAI, ...] = ()

    def holder(self) -> Gateway | None:
        """Who works on a batch now, by its own word."""
        return next((each for each in self.gateways if each.is_ready() and held_by(each)), None)

    def charged(self) -> Counter[str]:
        """How often the ledger has each row's good answer."""
        with psycopg.connect(self.url) as connection:
            asked = "SELECT request_id FROM fairlead.usage WHERE status = 200 AND tenant = %s"
            rows = connection.execute(asked, (self.tenant,)).fetchall()
        return Counter(each[0].partition("@")[0] for each in rows if "@" in each[0])


def held_by(gateway: Gateway) -> float:
    return sum(value for (name, _), value in gateway.metrics().items() if name == "fairlead_batches")


@pytest.fixture(scope="module")
def shared_pair(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder, url = tmp_path_factory.mktemp("pair"), server.new_database()
    with upstream() as engine, closing(PostgresKeys(url)) as keys:
        gateways = (made(folder / "a", engine, url, keys), made(folder / "b", engine, url, keys))
        try:
            for each in gateways:
                each.begin()
            assert eventually(lambda: all(each.is_ready() for each in gateways), within_s=30.0)
            yield Pair(gateways, engine, url)
        finally:
            for each in gateways:
                each.stop()


def made(folder: Path, engine: Upstream, url: str, keys: PostgresKeys) -> Gateway:
    """A gateway with a disk of its own."""
    folder.mkdir()
    config = compiled(folder / "state", {"m0": (engine,)})
    config["store"] = {"postgres": {"url_env": "THE_URL", "keys_stale_for_s": 3600.0}, "redis": None}
    batching(concurrency=4, max_active=1)(config)
    return Gateway(config, folder, environ={"THE_URL": url}, keys=keys)


@pytest.fixture
def pair(shared_pair: Pair) -> Iterator[Pair]:
    """Both gateways run, and a tenant is new."""
    for each in shared_pair.gateways:
        if each.process is not None and each.process.poll() is not None:
            each.start()
    shared_pair.engine.forget()
    tenant = f"tenant-{uuid.uuid4()}"
    key = shared_pair.gateways[0].new_key(tenant=tenant)
    with ExitStack() as stack:
        clients = tuple(stack.enter_context(client_of(each, key)) for each in shared_pair.gateways)
        assert eventually(lambda: all(knows(each) for each in clients), within_s=10.0)
        yield replace(shared_pair, tenant=tenant, clients=clients)


def client_of(gateway: Gateway, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def knows(client: openai.OpenAI) -> bool:
    """Whether the gateway has taken up the key: it may just have come back, or its database."""
    try:
        client.models.list()
    except openai.APIStatusError:
        return False
    return True


def rows(count: int) -> list[dict[str, Any]]:
    return [row(number) for number in range(count)]


def ids(count: int) -> list[str]:
    return sorted(f"row-{number}" for number in range(count))


@pytest.mark.timeout(180)
def test_three_kills_of_whoever_works_on_it_lose_and_double_no_row(pair: Pair) -> None:
    two, count = pair, 200
    batch_id = create(two.clients[0], upload(two.clients[0], rows(count)))
    for _ in range(3):
        two.engine.manner = Manner(first_byte_s=0.1)
        assert eventually(lambda: two.holder() is not None, within_s=20.0)
        dead = two.holder()
        assert dead is not None
        alive = two.clients[1 - two.gateways.index(dead)]
        before = answered(alive, batch_id)
        assert eventually(lambda: answered(alive, batch_id) > before + 8, within_s=20.0)  # noqa: B023 - used at once
        dead.kill()
        at_its_end = answered(alive, batch_id)
        assert eventually(lambda: answered(alive, batch_id) > at_its_end + 4, within_s=20.0)  # noqa: B023
        two.engine.manner = Manner(first_byte_s=1.0)  # so that there is something left once it is back
        dead.start()
    two.engine.manner = Manner()
    done = ended(two.clients[0], batch_id)
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", count, 0)
    for client in two.clients:
        assert sorted(each["custom_id"] for each in results(client, done.output_file_id)) == ids(count)
    assert len(two.engine.record.seen) <= count + 3 * 4, "answered rows were asked again"
    assert eventually(lambda: all(shipped(each) for each in two.gateways), within_s=20.0)
    charged = two.charged()
    assert (len(charged), set(charged.values())) == (count, {1})
    assert {each["response"]["request_id"].partition("@")[0] for each in results(alive, done.output_file_id)} == set(
        charged
    )


def test_a_gateway_that_wakes_up_too_late_changes_nothing(pair: Pair) -> None:
    two, count = pair, 120
    two.engine.manner = Manner(first_byte_s=0.1)
    batch_id = create(two.clients[0], upload(two.clients[0], rows(count)))
    assert eventually(lambda: answered(two.clients[1], batch_id) > 8)
    asleep = two.gateways[0]
    freeze(asleep.pid)
    try:
        done = ended(two.clients[1], batch_id)
    finally:
        thaw(asleep.pid)
    assert (done.status, done.request_counts.completed) == ("completed", count)
    assert eventually(lambda: any('"batch_lost"' in line for line in asleep.log_lines()))
    for client in two.clients:
        assert ended(client, batch_id) == done
        assert sorted(each["custom_id"] for each in results(client, done.output_file_id)) == ids(count)
    assert len(two.engine.record.seen) <= count + 4, "it began rows that were not its any more"
    assert eventually(lambda: all(shipped(each) for each in two.gateways), within_s=20.0)
    assert (len(two.charged()), set(two.charged().values())) == (count, {1})


def shipped(gateway: Gateway) -> bool:
    return gateway.metrics()["fairlead_journal_unshipped_bytes", ()] == 0


def test_a_batch_is_known_wherever_one_asks(pair: Pair) -> None:
    two = pair
    one, other = two.clients
    two.engine.manner = Manner(first_byte_s=0.1)
    file = one.files.create(file=("rows.jsonl", lines_of(rows(300))), purpose="batch")
    assert other.files.retrieve(file.id) == file
    assert other.files.content(file.id).content == lines_of(rows(300))
    batch_id = create(other, file.id)
    assert [each.id for each in one.batches.list()] == [batch_id]
    with pytest.raises(openai.RateLimitError) as many:
        create(one, file.id)
    assert many.value.code == "too_many_batches"
    with pytest.raises(openai.ConflictError):
        one.files.delete(file.id)
    assert eventually(lambda: answered(one, batch_id) > 5)
    assert [held_by(each) for each in two.gateways] == [0, 1], "one of them works on it"
    assert one.batches.cancel(batch_id).status == "cancelling"
    done = ended(other, batch_id)
    assert (done.status, two.engine.record.peak_open) == ("cancelled", 4)
    assert len(results(one, done.output_file_id)) == done.request_counts.completed < 300
    with pytest.raises(openai.ConflictError):
        one.batches.cancel(batch_id)
    assert one.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        other.files.retrieve(file.id)


def test_the_official_clients_flow_at_two_gateways_by_turns(pair: Pair) -> None:
    two = pair
    turns = [two.clients[number % 2] for number in range(6)]
    file_id = upload(turns[0], rows(30))
    batch_id = create(turns[1], file_id)
    assert turns[2].batches.retrieve(batch_id).input_file_id == file_id
    done = ended(turns[3], batch_id)
    assert (done.status, done.request_counts.completed, done.error_file_id) == ("completed", 30, None)
    assert [each["custom_id"] for each in results(turns[4], done.output_file_id)] == [
        f"row-{number}" for number in range(30)
    ]
    assert {each.id for each in turns[5].files.list()} == {file_id, done.output_file_id}


def test_a_gateway_that_stops_hands_its_batches_over(pair: Pair) -> None:
    two = pair
    two.engine.manner = Manner(first_byte_s=0.05)
    batch_id = create(two.clients[0], upload(two.clients[0], rows(100)))
    assert eventually(lambda: answered(two.clients[1], batch_id) > 10)
    assert two.gateways[0].stop() == 0
    done = ended(two.clients[1], batch_id)
    assert (done.status, done.request_counts.completed) == ("completed", 100)
    assert len(two.engine.record.seen) == 100, "a row in flight was thrown away"
    assert sorted(each["custom_id"] for each in results(two.clients[1], done.output_file_id)) == ids(100)


def test_a_database_that_is_away_holds_up_the_batch_and_nobody_else(pair: Pair, server: Postgres) -> None:
    two = pair
    two.engine.manner = Manner(first_byte_s=0.05)
    client = two.clients[0]
    batch_id = create(client, upload(client, rows(150)))
    assert eventually(lambda: answered(client, batch_id) > 10)
    server.stop()
    try:
        asked = len(two.engine.record.seen)
        assert eventually(lambda: is_told_to_come_back(two.gateways[0], f"/v1/batches/{batch_id}"))
        for path in ("/v1/files", "/v1/batches"):
            assert is_told_to_come_back(two.gateways[1], path)
        with two.gateways[0].client() as caller:
            sent = caller.post("/v1/files", data={"purpose": "batch"}, files={"file": b"{}"})
            assert (sent.status_code, sent.json()["error"]["code"]) == (503, "storage_unavailable")
        assert [two.gateways[0].chat(key=client.api_key).status_code for _ in range(20)] == [200] * 20
        beside = 20 + 2 * 4  # and rows that were under way, or whose answers could not be written down yet
        assert len(two.engine.record.seen) <= asked + beside, "rows begin that nobody could settle"
    finally:
        server.start()
    assert eventually(lambda: not is_told_to_come_back(two.gateways[0], "/v1/files"), within_s=20.0)
    done = ended(client, batch_id)
    assert (done.status, done.request_counts.completed) == ("completed", 150)
    assert sorted(each["custom_id"] for each in results(client, done.output_file_id)) == ids(150)
    assert eventually(lambda: len(two.charged()) == 150, within_s=20.0)
    assert set(two.charged().values()) == {1}


def is_told_to_come_back(gateway: Gateway, path: str) -> bool:
    with gateway.client() as client:
        try:
            answer = client.get(path)
        except httpx.TransportError:
            return False
        assert answer.status_code in {200, 404, 503}
        return (answer.status_code, "retry-after" in answer.headers) == (503, True)
