"""A gateway with the batch API, and rows to ask it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.conftest import House, build, house, shared_house
from gateway.harness import compiled, running
from gateway.upstream import eventually, upstream

__all__ = ["build", "house", "shared_house"]


def row(number: int, **fields: Any) -> dict[str, Any]:
    """A row whose answer has `number % 7 + 1` tokens."""
    body = {
        "model": "m0",
        "messages": [{"role": "user", "content": f"question {number}"}],
        "max_tokens": number % 7 + 1,
    }
    return {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body, **fields}


def write(path: Path, rows: Iterable[Any]) -> Path:
    """Rows as JSON Lines; a text stands as it is."""
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


RULES: dict[str, Any] = {
    "max_file_bytes": 2**20,
    "max_rows": 500,
    "max_active": 3,
    "storage_bytes": 2**22,
    "concurrency": 8,
    "window_s": 86_400.0,
    "retention_s": 86_400.0,
}


def batching(**rules: Any) -> Any:
    """What `build` changes so that there is a Batch API; roles: `user` may, `chatter` may not."""

    def change(config: dict[str, Any]) -> None:
        config["batches"] = {**RULES, **rules}
        config["fairness"] = {"queue": 400, "max_wait_s": 60.0, "max_in_flight": 16, **config.get("fairness", {})}
        config["roles"]["user"]["operations"] = [*config["roles"]["user"]["operations"], "batch"]

    return change


Official = Callable[..., openai.OpenAI]


@pytest.fixture
def official() -> Iterator[Official]:
    """The official client of a tenant of its own: `official(house)`; it does not try again by itself."""
    with ExitStack() as stack:

        def client(house: House, *, tenant: str = "", role: str = "user") -> openai.OpenAI:
            key = house.gateway.new_key(tenant=tenant or f"tenant-{uuid.uuid4()}", role=role)
            made = openai.OpenAI(base_url=f"{house.gateway.url}/v1", api_key=key, max_retries=0)
            assert eventually(lambda: is_known(made))
            return stack.enter_context(made)

        yield client


def is_known(client: openai.OpenAI) -> bool:
    """Whether the gateway has taken up the key."""
    try:
        client.models.list()
    except openai.AuthenticationError:
        return False
    return True


@pytest.fixture(scope="session")
def batch_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with upstream() as engine:
        folder = tmp_path_factory.mktemp("batches")
        config = compiled(folder / "state", {"m0": [engine]})
        batching()(config)
        with running(config, folder) as gateway:
            yield House(gateway, (engine,))


@pytest.fixture
def desk(batch_house: House) -> House:
    """A gateway with a Batch API that its tests share, each as tenants of its own."""
    batch_house.replicas[0].forget()
    return batch_house


def lines_of(rows: Iterable[Any]) -> bytes:
    return "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in rows).encode()


def upload(client: openai.OpenAI, rows: Iterable[Any]) -> str:
    return client.files.create(file=("rows.jsonl", lines_of(rows)), purpose="batch").id


def create(client: openai.OpenAI, file_id: str, **fields: Any) -> str:
    asked = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **fields}
    return client.batches.create(input_file_id=file_id, **asked).id


def ended(client: openai.OpenAI, batch_id: str, within_s: float = 40.0) -> Any:
    """The batch, once it has ended."""
    found: list[Any] = []

    def has_ended() -> bool:
        found[:] = [client.batches.retrieve(batch_id)]
        return found[0].status in {"completed", "failed", "expired", "cancelled"}

    assert eventually(has_ended, within_s=within_s, every_s=0.05), found
    return found[0]


def results(client: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def answered(client: openai.OpenAI, batch_id: str) -> int:
    counts = client.batches.retrieve(batch_id).request_counts
    return counts.completed if counts else 0
