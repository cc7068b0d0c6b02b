"""Measured benchmarks, from rows of a table.

Two forms: one figure a row (`metric`, `value`: the form of published tables), or one benchmark a row
(`output_tokens_per_s`, and perhaps `ttft_ms_mean` and `tpot_ms_mean`: the form that `estimate --batch` writes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fairlead.errors import Problem, UserError
from fairlead.plan.deployment import Deployment, deployment
from fairlead.plan.memory import refusals
from fairlead.plan.workload import Workload

Row = Mapping[str, str]
FIGURE = {"metric", "value", "unit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """`requests_per_s` of the whole deployment; `ttft_s` and `tpot_s` are means, 0 where not measured."""

    source: str
    plan: Deployment
    load: Workload
    requests_per_s: float
    ttft_s: float = 0.0
    tpot_s: float = 0.0


def question(row: Row) -> tuple[Deployment, Workload]:
    """What a row asks. Raises UserError."""
    try:
        n_gpus, tp = whole(row["n_gpus"]), whole(row.get("tp") or row["n_gpus"])
        clients = None if row["concurrency"].strip().lower() == "max" else whole(row["concurrency"])
        load = Workload(
            prompt=whole(row["isl"]),
            output=whole(row["osl"]),
            clients=clients,
            static="static" in row.get("metric", "") or row.get("metric") == "ttft",
        )
    except KeyError as error:
        raise UserError(f"column {error} is missing") from error
    except (ValueError, OverflowError, AttributeError) as error:
        raise UserError(f"a number is wrong: {error}") from error
    if min(load.prompt, load.output, load.requests) < 1:
        raise UserError("isl, osl and concurrency must be at least 1")
    for name in ("model", "gpu"):
        if not row.get(name):
            raise UserError(f"column '{name}' is missing or empty")
    plan = deployment(
        row["model"],
        row["gpu"],
        dtype=row.get("dtype", ""),
        engine_name=row.get("engine") or "vllm",
        n_gpus=n_gpus,
        tp=tp,
    )
    return plan, load


def whole(text: str) -> int:
    """`1024` or `1024.0`. Raises ValueError."""
    number = float(text)
    if number != int(number):
        raise ValueError(f"{text} is not a whole number")
    return int(number)


def read(rows: Iterable[Row]) -> tuple[list[Measurement], list[Problem]]:
    """All usable measurements, and why the others are not: unknown names, bad figures, what should not fit."""
    found: list[Measurement] = []
    problems: list[Problem] = []
    for line, group in grouped(rows):
        try:
            found.append(measurement(group))
        except UserError as error:
            problems += [Problem(each.message, where=f"row {line}", hint=each.hint) for each in error.problems]
    return found, problems


def grouped(rows: Iterable[Row]) -> Iterator[tuple[int, list[Row]]]:
    """Rows that are figures of one benchmark, with the number of the first."""
    groups: dict[object, tuple[int, list[Row]]] = {}
    for line, row in enumerate(rows, start=1):
        key = tuple(value for name, value in row.items() if name not in FIGURE) if paired(row) else line
        groups.setdefault(key, (line, []))[1].append(row)
    yield from groups.values()


def paired(row: Row) -> bool:
    """Whether the row is one of two figures of a benchmark."""
    return row.get("metric") in {"ttft_mean", "tpot_mean"}


def measurement(rows: list[Row]) -> Measurement:
    """One benchmark. Raises UserError."""
    plan, load = question(rows[0])
    refused = list(refusals(plan, context=load.prompt + load.output))
    if refused:
        raise UserError(problems=refused)
    try:
        throughput, ttft, tpot = figures(rows, plan, load)
    except (KeyError, ValueError) as error:
        raise UserError(f"a figure is missing or wrong: {error}") from error
    if throughput <= 0:
        raise UserError("the throughput is not above 0")
    return Measurement(
        source=rows[0].get("source") or "measurements",
        plan=plan,
        load=load,
        requests_per_s=throughput,
        ttft_s=ttft,
        tpot_s=tpot,
    )


def figures(rows: list[Row], plan: Deployment, load: Workload) -> tuple[float, float, float]:
    """(requests/s, TTFT in s, TPOT in s)."""
    row = rows[0]
    if "metric" not in row:
        ttft, tpot = (float(row.get(name) or 0) / 1e3 for name in ("ttft_ms_mean", "tpot_ms_mean"))
        return float(row["output_tokens_per_s"]) / load.output, ttft, tpot
    by_metric = {each["metric"]: float(each["value"]) for each in rows}
    if paired(row):
        ttft, tpot = by_metric["ttft_mean"] / 1e3, by_metric["tpot_mean"] / 1e3
        return load.requests / (ttft + (load.output - 1) * tpot), ttft, tpot
    if row["metric"] == "ttft":
        return 1e3 / by_metric["ttft"], by_metric["ttft"] / 1e3, 0.0
    gpus = plan.tp * plan.pp * plan.replicas if "per_gpu" in row["metric"] else 1
    return by_metric[row["metric"]] * gpus / load.output, 0.0, 0.0
