"""What one request used: the record that the journal keeps, the ledger sums and the log line shows."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

BIGGEST_INTEGER = 2**63 - 1  # of every database that we know
Whole = Annotated[int, msgspec.Meta(ge=-BIGGEST_INTEGER, le=BIGGEST_INTEGER)]


ROW_MARK = "@"  # in the id of a row's request; callers' own ids have none, so nobody can pass for a row


def row_request(batch_id: str, custom_id: str, request_id: bytes) -> bytes:
    """The id of a request that asks a row of a batch: which row, then which request.

    A row may be asked again after a death. By the first part ledgers know it: of a row's good answers they keep one.
    """
    row = hashlib.sha256(f"{batch_id}\n{custom_id}".encode()).hexdigest()[:24]
    return b"row-%b%b%b" % (row.encode(), ROW_MARK.encode(), request_id)


class Usage(msgspec.Struct, frozen=True, tag_field="event", tag="request"):
    """One answered request. Never holds any text of a prompt or an answer.

    `status` 499: the client left before the end. `estimated` is true where the engine told no usage (a broken
    stream): the tokens are then counted from what was relayed. `ttft_ms` is null for answers that are not streamed.
    """

    at: float  # seconds since 1970, when the answer ended
    request_id: str
    tenant: str
    key_id: str
    route: str
    model: str
    operation: str
    status: Whole
    prompt_tokens: Whole
    cached_tokens: Whole
    completion_tokens: Whole
    ttft_ms: float | None
    duration_ms: float
    estimated: bool
    cost_nano: Whole = 0  # billionths of the currency, by the prices of that moment; 0 where the model has none
    level: str = "info"  # the journal's line is the log's line too


COLUMNS: tuple[str, ...] = Usage.__struct_fields__[:-1]
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Usage).decode
