"""Who asks, and may they? Look-ups in tables, deny by default.

A client sends the same head again and again, but for the digits of content-length. `Heads` remembers what a head
came to, so that the usual request is admitted by one look-up. Benchmark: bench/microseconds.py, `head`.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.batches_paths import is_batches
from fairlead.gateway.config import BATCH, OPERATIONS
from fairlead.gateway.desk import MODELS, MODELS_PATH
from fairlead.gateway.desk import OPERATIONS as DESK_OPERATIONS
from fairlead.gateway.head import PRIORITY, Head, Refused
from fairlead.gateway.length import without_length
from fairlead.gateway.tables import Caller, RouteTable, Tables
from fairlead.store.keys import ID_LENGTH, PREFIX, hash_of

if TYPE_CHECKING:
    from fairlead.gateway.tokens import Tokens

ONE_REQUEST = frozenset((b"x-request-id", b"expect", b"idempotency-key"))  # fields that make a head one request's own
REMEMBERED_HEADS = 2048
PATIENT = b"batch"  # what x-fairlead-priority says of a request that may wait; nobody can ask for more than its turn
_PREFIX = PREFIX.encode()
_ID_START = len(PREFIX)
_ID_END = _ID_START + ID_LENGTH


class KeysPending(Exception):
    """Whose key signed the token is not known yet: ask again when `fetch` is done."""

    def __init__(self, fetch: asyncio.Task[None]) -> None:
        super().__init__("the key set is being fetched")
        self.fetch = fetch


@dataclass(frozen=True, slots=True)
class Admitted:
    """A head that was let in: what it wants, and who asks. `patient`: it may wait behind those in a hurry."""

    head: Head
    operation: str
    caller: Caller
    patient: bool = False


def admit(tables: Tables, head: Head, wall_now: float, tokens: Tokens | None = None) -> Admitted:
    """Let a head in. Raises Refused (401, 404, 405; by token also 403, 503) and KeysPending."""
    operation = operation_of(head)
    patient = head.fields.get(PRIORITY) == PATIENT
    return Admitted(head, operation, caller_of(tables, head, wall_now, tokens), patient)


class Heads:
    """Heads that were let in, by their bytes without the digits of content-length. Void when keys or tables change."""

    def __init__(self) -> None:
        self._seen: dict[bytes, Admitted] = {}

    def recall(self, block: bytes, wall_now: float) -> tuple[Admitted, int] | None:
        """What an equal head came to, and this one's content-length in bytes."""
        split = without_length(block)
        if split is None:
            return None
        admitted = self._seen.get(split[0])
        if admitted is None or admitted.caller.expires_at <= wall_now:
            return None
        return admitted, split[1]

    def remember(self, block: bytes, admitted: Admitted) -> None:
        """Keep a head whose like can be let in unread: nothing in it is for one request alone."""
        fields = admitted.head.fields
        split = without_length(block)
        if split is None or admitted.head.chunked or not ONE_REQUEST.isdisjoint(fields):
            return
        if len(self._seen) >= REMEMBERED_HEADS:
            self._seen.clear()
        self._seen[split[0]] = admitted


def operation_of(head: Head) -> str:
    """What the request wants. Raises Refused (404, 405)."""
    operation = OPERATIONS.get(head.path)
    if operation is not None:
        if head.method != b"POST":
            raise Refused(answers.wrong_method("POST"))
        return operation
    if is_batches(head.path):
        return BATCH
    is_models = head.path == MODELS_PATH or head.path.startswith(MODELS_PATH + b"/")
    operation = MODELS if is_models else DESK_OPERATIONS.get(head.path)
    if operation is not None:
        if head.method != b"GET":
            raise Refused(answers.wrong_method("GET"))
        return operation
    raise Refused(answers.NOT_FOUND)


def caller_of(tables: Tables, head: Head, wall_now: float, tokens: Tokens | None) -> Caller:
    """The caller behind the API key, or behind the token where tokens are taken. Raises Refused, KeysPending."""
    value = head.fields.get(b"authorization")
    if value is None:
        raise Refused(answers.NO_KEY)
    secret = value[7:]
    if value[:7].lower() != b"bearer ":
        raise Refused(answers.NO_KEY)
    if tokens is not None and secret and not secret.startswith(_PREFIX):
        return tokens.caller_of(secret, tables, wall_now)
    key_id = secret[_ID_START:_ID_END].decode("latin-1")
    caller = tables.callers.get(key_id)
    if caller is None and secret.startswith(_PREFIX) and key_id not in tables.ended:
        raise Refused(tables.unknown_key)
    if caller is None or not hmac.compare_digest(hash_of(secret), caller.hash) or caller.expires_at <= wall_now:
        raise Refused(answers.WRONG_KEY)
    return caller


def route_of(tables: Tables, caller: Caller, operation: str, model: str) -> RouteTable:
    """The route behind a public name. Raises Refused (403, 404)."""
    routes = caller.allowed.get(operation)
    route = routes.get(model) if routes is not None else None
    if route is not None:
        return route
    if model not in tables.routes:
        raise Refused(answers.unknown_model(model))
    raise Refused(denial(tables, caller, operation, model))


def denial(tables: Tables, caller: Caller, operation: str, model: str) -> Refusal:
    """Why not: the model cannot do it, or the role may not."""
    if operation not in tables.routes[model].model.operations:
        return Refusal(
            400, "unsupported_operation", f"The model {model!r} does not serve {operation!r}.", param="model"
        )
    return answers.forbidden(caller.role, operation, model)
