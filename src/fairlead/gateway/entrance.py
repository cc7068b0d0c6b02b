"""The way of a whole request into an exchange: its route, its idempotency key, and what it may still use."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fairlead.gateway import once
from fairlead.gateway.admission import Admitted, route_of
from fairlead.gateway.body import UNREADABLE, Body, choices, decode, most_completion
from fairlead.gateway.counting import Counting
from fairlead.gateway.exchange import Exchange
from fairlead.gateway.head import Refused
from fairlead.gateway.once import Recorder

if TYPE_CHECKING:
    from fairlead.gateway.app import App
    from fairlead.gateway.connection import ClientConnection
    from fairlead.gateway.tables import Caller, ModelTable, RouteTable

    # whom to answer, the recorder among them, who asks what, the route, the body as it came and as it is read, the
    # request's id, and when it was whole; a plain tuple, since one is made for each request
    Asked = tuple[ClientConnection | Recorder, Recorder | None, Admitted, RouteTable, bytes, Body, bytes, float]

IDEMPOTENCY_KEY = b"idempotency-key"
GENERATES_NOTHING = "embeddings"
COUNTED = frozenset({"chat", "completions"})  # what an engine's /tokenize understands


class Known(Exception):
    """The answer was given before."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("answered before")
        self.answer = answer


def enter(app: App, client: ClientConnection, admitted: Admitted, raw: bytes, request_id: bytes) -> Exchange | Counting:
    """What may begin. Raises Refused, Known, and what msgspec raises for a body that it cannot read."""
    body = decode(raw)
    route = route_of(app.tables, admitted.caller, admitted.operation, body.model)
    now = app.now()
    key = admitted.head.fields.get(IDEMPOTENCY_KEY)
    recorder = None if key is None else recorder_for(app, client, admitted, raw, route.model, request_id=request_id)
    asked = (recorder or client, recorder, admitted, route, raw, body, request_id, now)
    if route.model.exact_prompts and app.consumption is not None and admitted.operation in COUNTED:
        counting = Counting(client, route, raw, body, now + route.timeout_s, proceed=partial(exchange_of, app, asked))
        counting.drop = recorder.drop if recorder is not None else counting.drop
        return counting
    return exchange_of(app, asked, None)


def exchange_of(app: App, asked: Asked, prompt: int | None) -> Exchange:
    """An exchange that holds what it is expected to use. `prompt`: its tokens, None for an estimate. Raises Refused."""
    client, recorder, admitted, route, raw, body, request_id, now = asked
    admission = None
    try:
        if app.consumption is not None:
            most = 0 if admitted.operation == GENERATES_NOTHING else most_completion(body)
            caller, model, wall_now = admitted.caller, route.model, app.wall_offset + now
            admission = app.consumption.admit(
                caller, model, len(raw), most, wall_now, choices=choices(body), prompt=prompt
            )
        exchange = Exchange(
            app,
            client,
            request_id=request_id,
            caller=admitted.caller,
            operation=admitted.operation,
            route=route,
            raw=raw,
            body=body,
            started=now,
            admission=admission,
        )
        if admitted.patient:
            exchange.patient = True
        return exchange
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
