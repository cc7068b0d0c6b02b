"""/v1/files and /v1/batches as OpenAI has them: which handler a path has, and what it answers.

Everything is asked for by tenant and id: what is another tenant's is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.batches_download import Download
from fairlead.gateway.batches_run import changed
from fairlead.gateway.head import Refused
from fairlead.policy.batch import CANCELLABLE, next_state
from fairlead.store.batch_rows import URLS
from fairlead.store.batches import Batch, File, InUse, new_id
from fairlead.units import QuantityError, format_seconds, parse_seconds

if TYPE_CHECKING:
    from fairlead.gateway.admission import Admitted
    from fairlead.gateway.batches import Batches
    from fairlead.gateway.connection import ClientConnection

MOST_FILES, MOST_BATCHES, USUAL_BATCHES = 10_000, 100, 20
MOST_METADATA, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512  # as OpenAI's reference has them
Body = bytes | Download


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for the API."""

    batches: Batches
    client: ClientConnection
    tenant: str
    key_id: str
    role: str
    id: str
    query: Mapping[str, str]
    raw: bytes


class Create(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/batches; what is not acted on is not taken."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


def answer(batches: Batches, client: ClientConnection, admitted: Admitted, raw: bytes) -> asyncio.Task[Body]:
    """The task that finds the answer out. Raises Refused (403, 404, 405)."""
    head, caller = admitted.head, admitted.caller
    batches.check(caller)
    kind, _, rest = head.path.removeprefix(b"/v1/").partition(b"/")
    name, _, action = rest.partition(b"/")
    shape = b"/".join(part for part in (kind, b"ID" if name else b"", action) if part)
    found = HANDLERS.get(shape)
    if found is None:
        raise Refused(answers.NOT_FOUND)
    handler = found.get(head.method)
    if handler is None:
        raise Refused(answers.wrong_method(" or ".join(method.decode() for method in found)))
    query = dict(parse_qsl(head.query.decode("latin-1")))
    asked = Asked(batches, client, caller.tenant, caller.key_id, caller.role, name.decode("latin-1"), query, raw)
    return asyncio.get_running_loop().create_task(told(handler, asked))


async def told(handler: Handler, asked: Asked) -> Body:
    """What the handler says; a disk that fails or a database that is away is a refusal like any other."""
    try:
        return await handler(asked)
    except OSError:
        raise Refused(asked.batches.AWAY) from None


# -- files ------------------------------------------------------------------------------------------------------------


async def list_files(asked: Asked) -> Body:
    """GET /v1/files."""
    files = await asked.batches.do(asked.batches.store.files, asked.tenant)
    purpose = asked.query.get("purpose")
    shown = [file.shown() for file in files if purpose is None or file.purpose == purpose]
    if asked.query.get("order", "desc") == "asc":
        shown.reverse()
    return page(shown, asked.query, most=MOST_FILES, usual=MOST_FILES)


async def show_file(asked: Asked) -> Body:
    """GET /v1/files/ID."""
    return msgspec.json.encode((await file_of(asked, asked.id)).shown())


async def delete_file(asked: Asked) -> Body:
    """DELETE /v1/files/ID; not while a batch reads it."""
    file = await file_of(asked, asked.id)
    try:
        await asked.batches.do(asked.batches.store.drop_file, asked.tenant, file.id)
    except InUse:
        raise Refused(Refusal(409, "file_in_use", "A batch that has not ended reads this file.")) from None
    return msgspec.json.encode({"id": file.id, "object": "file", "deleted": True})


async def send_file(asked: Asked) -> Body:
    """GET /v1/files/ID/content."""
    file = await file_of(asked, asked.id)
    first = await asked.batches.do(asked.batches.store.read, file.id)
    return Download(asked.batches, asked.client, file, first)


async def file_of(asked: Asked, file_id: str, param: str | None = None) -> File:
    """A file of the caller's tenant. Raises Refused (404; 400 for a parameter)."""
    file = await asked.batches.do(asked.batches.store.file, asked.tenant, file_id)
    if file is None:
        raise Refused(no_file(file_id, param))
    return file


def no_file(file_id: str, param: str | None) -> Refusal:
    """404, or 400 for a parameter."""
    message = f"No such File object: {file_id[:100]}"
    return Refusal(400 if param else 404, "file_not_found", message, param=param or "id")


# -- batches ----------------------------------------------------------------------------------------------------------


async def create_batch(asked: Asked) -> Body:
    """POST /v1/batches."""
    batches = asked.batches
    wanted = wish(asked.raw, batches.rules.window_s)
    file = await file_of(asked, wanted.input_file_id, "input_file_id")
    if file.purpose != "batch":
        raise Refused(wrong("input_file_id", "The file's purpose is not 'batch'."))
    now = int(batches.app.wall())
    batch = Batch(
        new_id("batch_"),
        asked.tenant,
        asked.key_id,
        asked.role,
        wanted.endpoint,
        file.id,
        wanted.completion_window,
        now,
        now + max(1, int(batches.rules.window_s)),
        metadata=wanted.metadata,
    )
    since = batches.app.now()
    try:
        held = await batches.do(batches.store.create, batch, batches.rules.max_active)
    except FileNotFoundError:  # deleted meanwhile
        raise Refused(no_file(file.id, "input_file_id")) from None
    if held is None:
        told = f"The tenant has {batches.rules.max_active} batches that have not ended."
        raise Refused(Refusal(429, "too_many_batches", told, "rate_limit_error", retry_after_s=60))
    batches.begin(held, since)
    return msgspec.json.encode(batch.shown())


def wish(raw: bytes, window_s: float) -> Create:
    """What is asked for. Raises Refused (400)."""
    try:
        wanted = msgspec.json.decode(raw, type=Create)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(answers.bad_body(str(error))) from None
    if wanted.endpoint not in URLS:
        raise Refused(wrong("endpoint", f"Not a supported endpoint: use one of {', '.join(URLS)}."))
    if seconds(wanted.completion_window) != window_s:
        told = f"The only completion_window here is {hours(window_s)!r}."
        raise Refused(wrong("completion_window", told))
    metadata = wanted.metadata or {}
    if len(metadata) > MOST_METADATA or any(
        len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE for key, value in metadata.items()
    ):
        told = f"Up to {MOST_METADATA} pairs, keys to {LONGEST_KEY} and values to {LONGEST_VALUE} characters."
        raise Refused(wrong("metadata", told))
    return wanted


def seconds(window: str) -> float | None:
    """A window's length; None for what is none."""
    try:
        return parse_seconds(window)
    except QuantityError:
        return None


def hours(window_s: float) -> str:
    """A window in hours, as OpenAI writes it, where it is whole hours."""
    return f"{window_s / 3600:.0f}h" if window_s % 3600 == 0 else format_seconds(window_s)


async def list_batches(asked: Asked) -> Body:
    """GET /v1/batches."""
    found = await asked.batches.do(asked.batches.store.batches, asked.tenant)
    return page([batch.shown() for batch in found], asked.query, most=MOST_BATCHES, usual=USUAL_BATCHES)


async def show_batch(asked: Asked) -> Body:
    """GET /v1/batches/ID."""
    batch = await asked.batches.do(asked.batches.store.batch, asked.tenant, asked.id)
    if batch is None:
        raise Refused(no_batch(asked.id))
    return msgspec.json.encode(batch.shown())


async def cancel_batch(asked: Asked) -> Body:
    """POST /v1/batches/ID/cancel; whoever works on it learns of it within seconds."""
    now = int(asked.batches.app.wall())

    def cancelled(batch: Batch) -> Batch:
        if batch.status not in CANCELLABLE:
            raise Refused(Refusal(409, "batch_ended", f"Cannot cancel a batch with status {batch.status!r}."))
        return changed(batch, next_state(batch.status, "cancel"), now)

    batch = await asked.batches.do(asked.batches.store.change, asked.tenant, asked.id, cancelled)
    if batch is None:
        raise Refused(no_batch(asked.id))
    if (run := asked.batches.runs.get(batch.id)) is not None:
        run.take_up(batch)
    return msgspec.json.encode(batch.shown())


def no_batch(batch_id: str) -> Refusal:
    """404."""
    return Refusal(404, "batch_not_found", f"No batch found with id {batch_id[:100]!r}.", param="id")


# -- pages ------------------------------------------------------------------------------------------------------------


def page(shown: Sequence[Mapping[str, object]], query: Mapping[str, str], *, most: int, usual: int) -> bytes:
    """One page of a list: `limit` of them, those behind `after`. Raises Refused (400)."""
    limit, after = query.get("limit", str(usual)), query.get("after")
    if not limit.isdecimal() or not 1 <= int(limit) <= most:
        raise Refused(wrong("limit", f"A number from 1 to {most}."))
    ids = [each["id"] for each in shown]
    if after is not None and after not in ids:
        raise Refused(wrong("after", f"There is no {after[:100]!r} in this list."))
    start = ids.index(after) + 1 if after is not None else 0
    found = shown[start : start + int(limit)]
    first, last = (found[0]["id"], found[-1]["id"]) if found else (None, None)
    more = start + len(found) < len(shown)
    return msgspec.json.encode({"object": "list", "data": found, "first_id": first, "last_id": last, "has_more": more})


def wrong(param: str, message: str) -> Refusal:
    """400 for one parameter."""
    return Refusal(400, "invalid_value", message, param=param)


Handler = Callable[[Asked], Awaitable[Body]]
HANDLERS: Mapping[bytes, Mapping[bytes, Handler]] = {
    b"files": {b"GET": list_files},  # POST never comes here: it is an upload
    b"files/ID": {b"GET": show_file, b"DELETE": delete_file},
    b"files/ID/content": {b"GET": send_file},
    b"batches": {b"GET": list_batches, b"POST": create_batch},
    b"batches/ID": {b"GET": show_batch},
    b"batches/ID/cancel": {b"POST": cancel_batch},
}
