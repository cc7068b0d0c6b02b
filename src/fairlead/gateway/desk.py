"""What the gateway answers itself: the models that a caller may use, and the admin operations of its role.

An admin operation shows a caller its own tenant and no other; all of them are for who has the machine
(`fairlead usage`, `fairlead keys`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Union

import msgspec

from fairlead.errors import UserError
from fairlead.gateway import answers
from fairlead.gateway.admin import status
from fairlead.gateway.config import ADMIN_OPERATIONS, BATCH, Config
from fairlead.gateway.head import Refused
from fairlead.gateway.tables import Caller, model_entry, visible

if TYPE_CHECKING:
    from fairlead.gateway.admission import Admitted
    from fairlead.gateway.app import App
    from fairlead.gateway.batches_download import Download
    from fairlead.gateway.connection import ClientConnection


MODELS = "models"
MODELS_PATH = b"/v1/models"
OPERATIONS: Mapping[bytes, str] = {b"/admin/" + name.removeprefix("admin:").encode(): name for name in ADMIN_OPERATIONS}
USAGE_DAYS = 31
PATIENCE_S = 30.0
Found = Union[bytes, "Download"]  # what a task finds out: an answer, or what sends one
Body = bytes | asyncio.Task[Found]


class Desk:
    """Answers what needs no engine. The reads of a database that are under way are its own; one at a time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._reading: set[asyncio.Task[Found]] = set()
        self._one = asyncio.Semaphore(1)

    def body(self, admitted: Admitted, client: ClientConnection, raw: bytes) -> Body:
        """What is answered, or the task that finds it out. Raises Refused (403, 404, 405)."""
        caller, operation = admitted.caller, admitted.operation
        if operation == BATCH:
            if self._app.batches is None:
                raise Refused(answers.NOT_FOUND)
            from fairlead.gateway import batches_api

            return batches_api.answer(self._app.batches, client, admitted, raw)
        if operation == MODELS:
            return models(caller, admitted.head.path)
        if operation not in caller.allowed:
            raise Refused(answers.forbidden_operation(caller.role, operation))
        return PAGES[operation](self, caller)

    def status(self, caller: Caller) -> Body:
        """Whether the service is well, and its replicas."""
        return status(self._app)[2]

    def keys(self, caller: Caller) -> Body:
        """The keys of the caller's tenant that work now; never a secret, nor its hash."""
        found = [
            {
                "id": each.key_id,
                "role": each.role,
                "expires_at": None if each.expires_at == FOREVER else each.expires_at,
            }
            for each in self._app.tables.callers.values()
            if each.tenant == caller.tenant and each.expires_at > self._app.wall_now
        ]
        return msgspec.json.encode({"tenant": caller.tenant, "keys": sorted(found, key=lambda key: str(key["id"]))})

    def usage(self, caller: Caller) -> Body:
        """What the caller's tenant used in the last days, by day, key, model and operation."""
        task = asyncio.get_running_loop().create_task(self._usage(caller.tenant))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        return task

    async def _usage(self, tenant: str) -> Found:
        async with self._one:
            return await asyncio.to_thread(usage_of, self._app.config, tenant, time.time() - USAGE_DAYS * 86_400)

    def close(self) -> None:
        """Nobody waits for these any more."""
        for task in self._reading:
            task.cancel()


def outcome(task: asyncio.Task[Found]) -> Found | Refused:
    """What a task found out. Raises what is nobody's to tell: a bug of ours."""
    error = None if task.cancelled() else task.exception()
    if task.cancelled() or isinstance(error, UserError):
        return Refused(answers.LEDGER_UNREAD)
    return error if isinstance(error, Refused) else task.result()


FOREVER = float("inf")
PAGES: Mapping[str, Callable[[Desk, Caller], Body]] = {
    "admin:keys": Desk.keys,
    "admin:status": Desk.status,
    "admin:usage": Desk.usage,
}


def models(caller: Caller, path: bytes) -> bytes:
    """The models that the caller may use for something, or one of them. Raises Refused (404)."""
    name = path[len(MODELS_PATH) + 1 :].decode("latin-1")
    if not name:
        return caller.models_body
    if name not in visible(caller.allowed):
        raise Refused(answers.unknown_model(name))
    return msgspec.json.encode(model_entry(name))


def usage_of(config: Config, tenant: str, since: float) -> bytes:
    """The chargeback of a tenant. Blocks; not for the event loop. Raises UserError when the database is away."""
    from fairlead.store.stores import open_ledger, place_of

    postgres = config.store.postgres
    ledger = open_ledger(place_of(Path(config.state_dir), postgres.url_env if postgres else ""))
    try:
        lines = [line for line in ledger.charge_lines(since) if line.tenant == tenant]
    finally:
        ledger.close()
    return msgspec.json.encode({"tenant": tenant, "days": USAGE_DAYS, "usage": [asdict(line) for line in lines]})
