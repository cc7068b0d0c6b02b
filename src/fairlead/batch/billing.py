"""Usage of rows that pass the gateway by, brought into the service's ledger: each answer once, whatever dies.

When all rows are answered their records become one segment of the service's journal, which the ledger is filled from.
A run's folder holds the segment's name before anything is written there, and a mark before the segment gets that name:
whoever finds the mark has nothing left to do but that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fairlead.batch.ray_engine import METHODS
from fairlead.store.batch_output import ERRORS, RESULTS
from fairlead.store.batch_rows import Answer, Row, Tokens, answered, tokens_of
from fairlead.store.usage import Usage, encode

NAME, MARK = "segment", "segment.complete"
BATCH_RUN = "batch-run"  # the key of records that no key was needed for


@dataclass(frozen=True, slots=True)
class Bill:
    """Who is billed, and where. `models`: public name -> the model that answers to it."""

    journal: Path
    tenant: str
    models: Mapping[str, str]
    charge: Callable[[str, Tokens], int]

    def __call__(self, folder: Path, rows: Iterator[Row]) -> None:
        """Bill what the run in `folder` has answered of `rows`. Raises OSError when the disk is full."""
        self.journal.mkdir(parents=True, exist_ok=True)
        name = named(folder / NAME)
        draft = self.journal / f"{name}.draft"
        mark = folder / MARK
        if not mark.exists():
            with draft.open("wb") as segment:
                segment.writelines(encode(record) + b"\n" for record in self._records(folder, rows, name))
                segment.flush()
                os.fsync(segment.fileno())
            mark.touch()
        if draft.exists():
            draft.rename(self.journal / name)

    def _records(self, folder: Path, rows: Iterator[Row], name: str) -> Iterator[Usage]:
        answers = {answer.custom_id: answer for answer in asked(folder)}
        for row in rows:
            if (answer := answers.get(row.custom_id)) is not None:
                yield self._record(row, answer, f"{BATCH_RUN}-{Path(name).stem}-{row.line}")

    def _record(self, row: Row, answer: Answer, request_id: str) -> Usage:
        used = tokens_of(answer.body)
        return Usage(
            at=time.time(),
            request_id=request_id,
            tenant=self.tenant,
            key_id=BATCH_RUN,
            route=row.model,
            model=self.models[row.model],
            operation=METHODS[row.url],
            status=answer.status,
            prompt_tokens=used.prompt,
            cached_tokens=used.cached,
            completion_tokens=used.completion,
            ttft_ms=None,
            duration_ms=0.0,  # Ray Data tells no row's own
            estimated=False,
            cost_nano=self.charge(row.model, used),
        )


def named(path: Path) -> str:
    """The name of the run's segment: chosen once."""
    if not path.exists():
        draft = path.with_suffix(".new")
        draft.write_text(f"{time.time_ns():020d}.jsonl")
        draft.replace(path)
    return path.read_text()


def asked(folder: Path) -> Iterator[Answer]:
    """The answers so far that an engine gave, refusals included."""
    for name in (RESULTS, ERRORS):
        with (folder / name).open("rb") as lines:
            yield from (answer for answer in map(answered, lines) if answer.status)
