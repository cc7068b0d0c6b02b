"""Days and lengths by name; traces and engines from the user's files. A wrong file says where and why.

Trace files: CSV as the Azure LLM inference traces have it (TIMESTAMP, ContextTokens, GeneratedTokens), or JSON lines as
Mooncake has it (timestamp in ms, input_length, output_length, and perhaps hash_ids). Day files: CSV with window_start_s
and rate_rps. Any of them may end in .gz.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from fairlead.errors import UserError
from fairlead.plan.autoscale.demand import Floats, Ints, Trace, arrivals
from fairlead.plan.autoscale.engine_model import EngineModel, engine_from

DEFAULT_DAY = "servegen-reasoning"
DEFAULT_LENGTHS = "azure-chat"


def packaged(name: str) -> Mapping[str, Any]:
    """A data file of this package: days or lengths."""
    made: dict[str, Any] = json.loads((resources.files(__package__) / "data" / f"{name}.json").read_text())
    return made


def day(
    rates: Floats, window_s: float, pairs: Ints, *, requests: float, burstiness: float = 1.0, seed: int, name: str
) -> Trace:
    """About `requests` requests, arriving with the shape of `rates`, shape (w,), as long as `pairs`, shape (n, 2)."""
    rng = np.random.default_rng(seed)
    scaled = rates * (requests / (rates.sum() * window_s))
    moments = arrivals(scaled, window_s, rng, burstiness)
    if not len(moments):
        raise UserError(f"{name} has no requests", hint="ask for more of them")
    drawn = pairs[rng.integers(len(pairs), size=len(moments))]
    return Trace(name, moments, np.maximum(1, drawn[:, 0]), np.maximum(1, drawn[:, 1]))


def rates_of(source: str) -> tuple[Floats, float]:
    """Rates and window length in seconds, of a packaged day or of a CSV file."""
    known = packaged("days")
    if source in known["days"]:
        return np.array(known["days"][source]), float(known["window_s"])
    rows = _csv(_file(source, "day", known["days"]), ("window_start_s", "rate_rps"))
    starts, rates = rows[:, 0], rows[:, 1]
    steps = np.unique(np.diff(starts))
    if len(steps) != 1 or steps[0] <= 0 or (rates < 0).any() or not rates.any():
        raise UserError("not a day: windows must follow each other evenly, rates must not be negative", where=source)
    return rates, float(steps[0])


def pairs_of(source: str) -> Ints:
    """Prompt and output tokens, shape (n, 2), of a packaged distribution or of a trace file."""
    known = packaged("lengths")
    if source in known["pairs"]:
        return np.array(known["pairs"][source], np.int64)
    trace = read_trace(_file(source, "lengths", known["pairs"]))
    return np.stack([trace.prompt, trace.output], axis=1)


def read_engine(path: Path) -> EngineModel:
    """An engine from a JSON file with the fields of EngineModel. Raises UserError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except ValueError as error:
        raise UserError(f"is not JSON: {error}", where=str(path)) from None
    if not isinstance(values, dict):
        raise UserError("an engine is a JSON object", where=str(path))
    return engine_from({"name": path.stem, **values}, str(path))


def read_trace(path: Path) -> Trace:
    """Requests in order of arrival, from zero. Raises UserError."""
    blocks: list[tuple[int, ...]] = []
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        rows = _json_lines(path, blocks)
    else:
        rows = _csv(path, ("TIMESTAMP", "ContextTokens", "GeneratedTokens"))
    if not len(rows):
        raise UserError("has no requests", where=str(path))
    prompt, output = (np.maximum(1, rows[:, column]).astype(np.int64) for column in (1, 2))
    known = tuple(blocks) if any(blocks) else None
    made = Trace(path.name, rows[:, 0] - rows[:, 0].min(), prompt, output, blocks=known)
    return made.picked(np.argsort(rows[:, 0], kind="stable"))


def _file(source: str, kind: str, known: Mapping[str, Any]) -> Path:
    path = Path(source)
    if not path.is_file():
        raise UserError(f"--{kind} {source} is neither known nor a file", hint=f"known: {', '.join(sorted(known))}")
    return path


def _lines(path: Path) -> list[str]:
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return file.read().splitlines()
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from None


def _csv(path: Path, columns: tuple[str, ...]) -> Floats:
    """These columns as numbers, shape (n, columns); moments as seconds."""
    reader = csv.DictReader(_lines(path))
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise UserError(f"has no column {', '.join(missing)}", where=str(path), hint=f"needed: {', '.join(columns)}")
    made = []
    for row in reader:
        try:
            made.append([_number(row[column]) for column in columns])
        except (TypeError, ValueError):
            raise UserError("a value is missing or no number", where=f"{path}:{reader.line_num}") from None
    return _finite(np.array(made, np.float64).reshape(-1, len(columns)), path)


def _json_lines(path: Path, blocks: list[tuple[int, ...]]) -> Floats:
    """Requests as `_csv` gives them; the ids of each one's blocks go to `blocks`."""
    made = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = json.loads(line)
            made.append([row["timestamp"] / 1000, float(row["input_length"]), float(row["output_length"])])
            blocks.append(tuple(map(int, row.get("hash_ids", ()))))
        except (ValueError, KeyError, TypeError):
            hint = 'a line is {"timestamp": ms, "input_length": n, "output_length": n}'
            raise UserError("not a request", where=f"{path}:{number}", hint=hint) from None
    return _finite(np.array(made, np.float64).reshape(-1, 3), path)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return (
            datetime.fromisoformat(text[:26]).replace(tzinfo=UTC).timestamp()
        )  # Azure writes seven decimals; six are known here


def _finite(rows: Floats, path: Path) -> Floats:
    if not np.isfinite(rows).all():
        raise UserError("a value is not finite", where=str(path))
    return rows
