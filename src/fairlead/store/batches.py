"""Files and batches of all tenants: what there is, and what every store of them can do.

A record is asked for by tenant and id together: there is no way to one without saying whose it is. What runs is *held*
by one gateway at a time. `settle`, `move` and `publish` are refused (`LeaseLost`) once another one holds it, however
late they come; so a row is answered once, whoever dies or wakes up when.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from fairlead.store.batch_rows import Answer

PIECE_BYTES = 256 * 1024  # that a file is read in, about


class LeaseLost(Exception):
    """Another gateway works on the batch: what was to be written is not."""


class InUse(Exception):
    """A batch that has not ended reads the file."""


class File(msgspec.Struct, frozen=True):
    """An uploaded file, or what a batch made. Times are whole seconds since 1970."""

    id: str
    tenant: str
    created_at: int
    expires_at: int
    bytes: int
    filename: str
    purpose: str

    def shown(self) -> dict[str, object]:
        """As OpenAI's API has it."""
        fields = ("id", "bytes", "created_at", "expires_at", "filename", "purpose")
        return {"object": "file", **{name: getattr(self, name) for name in fields}, "status": "processed"}


class Counts(msgspec.Struct, frozen=True):
    """Rows of a batch: all of them, those with an answer, those with an error."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class Batch(msgspec.Struct, frozen=True):
    """A batch, who made it, and by which key: `key_id` answers for its rows."""

    id: str
    tenant: str
    key_id: str
    role: str
    endpoint: str
    input_file_id: str
    completion_window: str
    created_at: int
    expires_at: int
    status: str = "validating"
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: tuple[dict[str, str | int | None], ...] = ()
    counts: Counts = Counts()
    metadata: dict[str, str] | None = None
    stamps: dict[str, int] = {}  # `in_progress_at` and the like

    def shown(self) -> dict[str, object]:
        """As OpenAI's API has it."""
        own = ("id", "endpoint", "input_file_id", "completion_window", "status", "output_file_id", "error_file_id")
        return {
            "object": "batch",
            **{name: getattr(self, name) for name in own},
            "errors": {"object": "list", "data": list(self.errors)} if self.errors else None,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            **{name: self.stamps.get(name) for name in STAMPS},
            "request_counts": self.counts,
            "metadata": self.metadata,
        }


STAMPS = (
    *("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at"),
    *("cancelling_at", "cancelled_at"),
)


class Held(msgspec.Struct, frozen=True):
    """A batch that this gateway works on. `term` counts the holders so far: an older one's word is refused."""

    batch: Batch
    term: int = 0


class Piece(msgspec.Struct, frozen=True):
    """A part of a file, and where the next one begins (a mark of the store's own); None behind the last one."""

    content: bytes
    following: int | None


class Incoming(Protocol):
    """A file that is being uploaded. Nobody sees it before it is kept."""

    def write(self, part: bytes) -> None:
        """The next bytes."""

    def keep(self, file: File, storage_bytes: int) -> bool:
        """Make it a file, durably, unless its tenant's files would then be larger; whether it was made."""

    def discard(self) -> None:
        """Remove what is left of it; nothing once it was kept."""


Change = Callable[[Batch], Batch]
Numbered = tuple[int, Answer]  # the number of a row's line in the input, and what came of it


class BatchStore(Protocol):
    """For one thread at a time; what was written is durable when a call returns, answers once `keep` has returned.

    Raises OSError or StoreUnavailable while it cannot be reached: everything can then be tried again.
    """

    lease_s: float
    """How long a batch stays held without `keep`."""

    def close(self) -> None:
        """Close it. Nothing is held any more by who has it open."""

    # -- files --------------------------------------------------------------------------------------------------------

    def receive(self, file_id: str) -> Incoming:
        """Begin an upload. Nothing is made before its first bytes, so nobody has to wait for this."""

    def read(self, file_id: str, mark: int = 0) -> Piece:
        """A piece of a file, the first one at mark 0. Raises OSError when it is gone."""

    def file(self, tenant: str, file_id: str) -> File | None:
        """A tenant's file."""

    def files(self, tenant: str) -> list[File]:
        """All of a tenant's files, the newest first."""

    def stored_bytes(self, tenant: str) -> int:
        """How much all of a tenant's files have."""

    def drop_file(self, tenant: str, file_id: str) -> bool:
        """Delete a file; whether there was one. Raises InUse."""

    # -- batches ------------------------------------------------------------------------------------------------------

    def create(self, batch: Batch, max_active: int) -> Held | None:
        """Make a batch and hold it; None where its tenant has so many that have not ended.

        Raises FileNotFoundError when its input is gone.
        """

    def batch(self, tenant: str, batch_id: str) -> Batch | None:
        """A tenant's batch, its counts those of now."""

    def batches(self, tenant: str) -> list[Batch]:
        """All of a tenant's batches, the newest first, their counts those of now."""

    def change(self, tenant: str, batch_id: str, how: Change) -> Batch | None:
        """Change a batch as it is now, whoever holds it; what `how` raises leaves it as it is. None: there is none."""

    # -- work ---------------------------------------------------------------------------------------------------------

    def claim(self, most: int) -> list[Held]:
        """Hold some of the batches that have not ended and that nobody holds, the oldest first."""

    def keep(self, held: Sequence[Held]) -> list[Held]:
        """Hold on to these, and bring their answers to the disk. Those that are held still, as they are now."""

    def release(self, held: Sequence[Held]) -> None:
        """Let others have these now."""

    def answered(self, held: Held) -> Collection[str]:
        """The `custom_id` of every row that is settled."""

    def settle(self, held: Held, answers: Sequence[Numbered]) -> None:
        """Write answers down, but for rows that have one. Raises LeaseLost."""

    def move(self, held: Held, how: Change) -> Batch:
        """Change a batch as it is now, as its holder. Raises LeaseLost, and what `how` raises."""

    def publish(self, held: Held, file: File, *, good: bool) -> bool:
        """Make the answers (the good ones or the others) a file, whose size is found out; False where there are none.

        A second time changes nothing. Raises LeaseLost.
        """

    # -- what goes ----------------------------------------------------------------------------------------------------

    def expire(self, now: float, batches_before: float) -> bool:
        """Delete files past their time, and ended batches made before a moment; whether there is more to delete.

        The input of a batch that has not ended stays.
        """


def new_id(prefix: str) -> str:
    """An id that nobody can guess."""
    return f"{prefix}{secrets.token_hex(12)}"
