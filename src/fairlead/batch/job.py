"""One batch run: validate, ask what has no answer yet, publish. Killed at any moment, the next run goes on from there.

Beside the output stands its folder `OUT.part/`: the results and the errors so far, and which input they are of. It
goes when the output is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.batch.engines import Engine
from fairlead.batch.places import check_place, exists, is_remote, local_rows, publish
from fairlead.errors import UserError
from fairlead.store.batch_output import BatchOutput
from fairlead.store.batch_rows import Answer, BadRow, Row, Tokens, duplicate, parse, tokens_of

SYNC_EVERY_S = 1.0
BAD_LINE = "bad-line-"  # the id of a line in the error file that has none of its own
Charge = Callable[[str, Tokens], int]  # a public model name and tokens -> billionths of the currency
Bill = Callable[[Path, Iterator[Row]], None]  # a run's folder and all its rows, when they are answered


@dataclass(slots=True)
class Progress:
    """How far a run is. `resumed` rows had an answer before it began; tokens and cost are of this run's rows."""

    rows: int = 0
    resumed: int = 0
    good: int = 0
    failed: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    cost_nano: int = 0

    @property
    def answered(self) -> int:
        """By this run."""
        return self.good + self.failed


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to; figures are of this run's rows, `seconds` of asking them."""

    rows: int
    resumed: int
    good: int
    failed: int
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    cost_nano: int
    output: str
    errors: str  # "" when there are none

    @property
    def rows_per_s(self) -> float:
        """Rows answered a second."""
        return (self.good + self.failed) / self.seconds if self.seconds else 0.0

    @property
    def tokens_per_s(self) -> float:
        """Tokens generated a second."""
        return self.completion_tokens / self.seconds if self.seconds else 0.0


@dataclass
class Job:
    """Rows from `source` to `output`. `tell` is called whenever an answer is written down.

    With a `model`, a public name, rows that ask for another one are errors.
    """

    source: str
    output: str
    engine: Engine
    environ: Mapping[str, str]
    charge: Charge = lambda model, tokens: 0
    tell: Callable[[Progress], None] = lambda progress: None
    bill: Bill = lambda folder, rows: None
    model: str = ""

    def run(self) -> Report:
        """Answer every row once. Raises UserError."""
        check_place(self.source)
        check_place(self.output, output=True)
        folder = part_folder(self.output)
        if finished(self.output, self.environ):
            raise UserError("the output is there already", where=self.output, hint="remove it, or name another")
        folder.mkdir(exist_ok=True)
        with held(folder):
            rows = local_rows(self.source, folder, self.environ)
            with contextlib.closing(BatchOutput(folder)) as out:
                report = self._answer(rows, out, folder)
            self.bill(folder, unanswered(rows, set(), self.model))
            if report.errors:  # first: where the output is, all is
                publish(out.errors, report.errors, self.environ)
            publish(out.results, self.output, self.environ)
            shutil.rmtree(folder)
        return report

    def _answer(self, rows: Path, out: BatchOutput, folder: Path) -> Report:
        progress = Progress(resumed=len(out.done))
        digest, bad = validated(rows, progress, self.model)
        belongs(folder, self.source, digest)
        lock = threading.Lock()

        def deliver(row: Row, answer: Answer) -> None:
            used = tokens_of(answer.body)
            with lock:
                if not out.add(answer):
                    return
                progress.tokens += used
                progress.cost_nano += self.charge(row.model, used)
                progress.good, progress.failed = progress.good + answer.good, progress.failed + (not answer.good)
                self.tell(progress)

        for each in bad:
            deliver(Row(each.custom_id, "", "", b"", 0), each)
        began = time.monotonic()
        with syncing(out):
            self.engine(unanswered(rows, out.done, self.model), deliver)
        errors = errors_place(self.output) if out.failed else ""
        return Report(
            rows=progress.rows,
            resumed=progress.resumed,
            good=progress.good,
            failed=progress.failed,
            seconds=time.monotonic() - began,
            prompt_tokens=progress.tokens.prompt,
            completion_tokens=progress.tokens.completion,
            cost_nano=progress.cost_nano,
            output=self.output,
            errors=errors,
        )


def finished(output: str, environ: Mapping[str, str]) -> bool:
    """Whether the output is there, and no run is on its way to it. Raises UserError when the store does not say."""
    return not part_folder(output).exists() and exists(output, environ)


def part_folder(output: str) -> Path:
    """Where a run keeps what it has: beside a local output, here for one in an object store."""
    return Path(f"{output.rpartition('/')[2] if is_remote(output) else output}.part")


def errors_place(output: str) -> str:
    """Where the rows go that could not be answered, always as JSON Lines."""
    return f"{output.rpartition('.')[0]}.errors.jsonl"


def validated(path: Path, progress: Progress, model: str) -> tuple[str, list[Answer]]:
    """Count the rows into `progress`; the input's digest, and an answer for each line that is no row."""
    digest, ids, bad = hashlib.sha256(), set[str](), list[Answer]()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            digest.update(line)
            if not line.strip():
                continue
            progress.rows += 1
            try:
                row = parsed(line, number, model)
                if row.custom_id in ids:
                    raise duplicate(row)
                ids.add(row.custom_id)
            except BadRow as told:
                bad.append(Answer(f"{BAD_LINE}{number}", code=told.code, message=f"line {number}: {told.message}"))
    return digest.hexdigest(), bad


def parsed(line: bytes, number: int, model: str) -> Row:
    """A row whose id is no bad line's, and for that model if there is one. Raises BadRow."""
    row = parse(line, number)
    if model and row.model != model:
        raise BadRow("invalid_request", f"The rows are for {model}, this one is for {row.model[:60]!r}.", line=number)
    if row.custom_id.startswith(BAD_LINE):
        raise BadRow("invalid_request", f"A custom_id does not begin with {BAD_LINE!r}.", line=number)
    return row


def unanswered(path: Path, done: set[str], model: str = "") -> Iterator[Row]:
    """The rows that have no answer; of two with the same id the first."""
    before, asked = frozenset(done), set[str]()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = parsed(line, number, model)
            except BadRow:
                continue
            if row.custom_id not in before and row.custom_id not in asked:
                asked.add(row.custom_id)
                yield row


def belongs(folder: Path, source: str, digest: str) -> None:
    """What is in the folder is of this input. Raises UserError where it is of another."""
    about = folder / "input.json"
    told = {"source": source, "sha256": digest}
    if about.exists():
        known = json.loads(about.read_text())
        if known["sha256"] != digest:
            message = f"holds answers to another input: {known['source']}"
            raise UserError(message, where=str(folder), hint="name another output, or remove the folder")
        return
    fresh = about.with_suffix(".new")
    fresh.write_text(json.dumps(told))
    fresh.replace(about)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """One run at a time. Raises UserError when there is another."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another run is writing this output", where=str(folder)) from None
        yield


@contextlib.contextmanager
def syncing(out: BatchOutput) -> Iterator[None]:
    """Bring the answers to the disk every second, beside whoever delivers them."""
    ended = threading.Event()

    def sync() -> None:
        while not ended.wait(SYNC_EVERY_S):
            out.sync()

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
