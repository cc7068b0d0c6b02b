"""Who asks, and may they? Look-ups in tables, deny by default."""

from __future__ import annotations

import hmac

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.config import OPERATIONS
from fairlead.gateway.head import Head, Refused
from fairlead.gateway.tables import Caller, RouteTable, Tables
from fairlead.store.keys import ID_LENGTH, PREFIX, hash_of

MODELS = "models"
MODELS_PATH = b"/v1/models"
_ID_START = len(PREFIX)
_ID_END = _ID_START + ID_LENGTH


def operation_of(head: Head) -> str:
    """What the request wants. Raises Refused (404, 405)."""
    operation = OPERATIONS.get(head.path)
    if operation is not None:
        if head.method != b"POST":
            raise Refused(answers.wrong_method("POST"))
        return operation
    if head.path == MODELS_PATH or head.path.startswith(MODELS_PATH + b"/"):
        if head.method != b"GET":
            raise Refused(answers.wrong_method("GET"))
        return MODELS
    raise Refused(answers.NOT_FOUND)


def caller_of(tables: Tables, head: Head, wall_now: float) -> Caller:
    """The caller behind the API key. Raises Refused (401)."""
    value = head.fields.get(b"authorization")
    if value is None:
        raise Refused(answers.NO_KEY)
    secret = value[7:]
    if value[:7].lower() != b"bearer ":
        raise Refused(answers.NO_KEY)
    caller = tables.callers.get(secret[_ID_START:_ID_END].decode("latin-1"))
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
