"""The way of a whole request into an exchange: its route, its idempotency key, and what it may still use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.gateway import once
from fairlead.gateway.admission import Admitted, route_of
from fairlead.gateway.body import UNREADABLE, choices, decode, most_completion
from fairlead.gateway.exchange import Exchange
from fairlead.gateway.head import Refused
from fairlead.gateway.once import Recorder

if TYPE_CHECKING:
    from fairlead.gateway.app import App
    from fairlead.gateway.connection import ClientConnection
    from fairlead.gateway.tables import Caller, ModelTable

IDEMPOTENCY_KEY = b"idempotency-key"
GENERATES_NOTHING = "embeddings"


class Known(Exception):
    """The answer was given before."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("answered before")
        self.answer = answer


def enter(app: App, client: ClientConnection, admitted: Admitted, raw: bytes, request_id: bytes) -> Exchange:
    """An exchange that may begin. Raises Refused, Known, and what msgspec raises for a body that it cannot read."""
    caller, operation = admitted.caller, admitted.operation
    body = decode(raw)
    route = route_of(app.tables, caller, operation, body.model)
    now = app.now()
    key = admitted.head.fields.get(IDEMPOTENCY_KEY)
    recorder = None if key is None else recorder_for(app, client, admitted, raw, route.model, request_id=request_id)
    admission = None
    try:
        if app.consumption is not None:
            most = 0 if operation == GENERATES_NOTHING else most_completion(body)
            wall_now = app.wall_offset + now
            admission = app.consumption.admit(caller, route.model, len(raw), most, wall_now, choices=choices(body))
        return Exchange(
            app,
            recorder or client,
            request_id=request_id,
            caller=caller,
            operation=operation,
            route=route,
            raw=raw,
            body=body,
            started=now,
            admission=admission,
        )
    except (Refused, *UNREADABLE):
        if recorder is not None:
            recorder.drop()
        if admission is not None:
            admission.cancel(app.wall())
        raise


def recorder_for(
    app: App, client: ClientConnection, admitted: Admitted, raw: bytes, model: ModelTable, *, request_id: bytes
) -> Recorder:
    """What keeps the answer of a first run. Raises Known for a later one, and Refused."""
    head, caller = admitted.head, admitted.caller
    asked = head.path + b"\n" + raw
    try:
        begun = once.begin(app, client, head.fields[IDEMPOTENCY_KEY], tenant=caller.tenant, asked=asked)
    except Refused as refused:
        refused.headers += figures(app, caller, model)
        raise
    if isinstance(begun, Recorder):
        return begun
    raise Known(once.replay(begun, request_id, figures(app, caller, model), close=client.must_close()))


def figures(app: App, caller: Caller, model: ModelTable) -> bytes:
    """`x-ratelimit-*` for an answer that takes nothing."""
    return app.consumption.headers(caller, model, app.wall()) if app.consumption is not None else b""
