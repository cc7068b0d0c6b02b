"""The report is a pure function: medians over rounds, then ratios. A disturbed run is counted as such."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.rig.load import Figures
from bench.scenarios import SCENARIOS

DIRECT = "direct"  # the mock itself, no gateway between
BASELINE = "nginx"
KEPT_UP = 0.95  # a peer that answers less of the offered rate is saturated
RATIO_KEYS = (
    "rps_per_core",
    "chunks_per_s_per_core",
    "busy_chunks_per_s_per_core",
    "large_mb_per_s",
    "large_mb_per_s_per_core",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario of one peer in one round."""

    peer: str
    scenario: str
    round_number: int
    figures: Figures
    disturbed: bool


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise about our gateway: the figure, or its ratio to a peer's, on one side of a limit."""

    text: str
    key: str
    at_least: float | None = None
    at_most: float | None = None
    ratio_to: str = ""
    of: str = "fairlead"


GOALS = (
    Goal("requests/s per core beside nginx", "rps_per_core", at_least=0.60, ratio_to="nginx"),
    Goal("requests/s per core beside vllm-router", "rps_per_core", at_least=1.5, ratio_to="vllm-router"),
    Goal("paced chunks/s per core beside nginx", "chunks_per_s_per_core", at_least=0.75, ratio_to="nginx"),
    Goal("delay of a chunk p99, us", "chunk_delay_p99_us", at_most=1000.0),
    Goal("added p50 at 50 requests/s, us", "added_p50_us", at_most=500.0),
    Goal("resident, MiB", "rss_mib", at_most=60.0),
    Goal(
        "with Redis leases: requests/s per core", "rps_per_core", at_least=0.50, ratio_to="nginx", of="fairlead-leases"
    ),
)

Row = dict[str, Any]


def rows(runs: Sequence[Run]) -> dict[str, Row]:
    """The figures of each peer, the mock itself first."""
    names = list(dict.fromkeys(run.peer for run in runs))
    direct = [run for run in runs if run.peer == DIRECT]
    return {name: _row([run for run in runs if run.peer == name], direct) for name in names}


def ratios(table: Mapping[str, Row], baseline: str = BASELINE) -> dict[str, Row]:
    """Each peer's figures as a share of the baseline's. Empty when the baseline was not measured."""
    base = table.get(baseline)
    if base is None:
        return {}
    return {
        name: {key: round(row[key] / base[key], 3) for key in RATIO_KEYS if base.get(key) and key in row}
        for name, row in table.items()
        if name != DIRECT
    }


def verdicts(table: Mapping[str, Row]) -> list[dict[str, Any]]:
    """Each goal with what was measured; `met` is None when it could not be judged."""
    return [_verdict(goal, table) for goal in GOALS]


def _row(runs: Sequence[Run], direct: Sequence[Run]) -> Row:
    present = {run.scenario for run in runs}
    row: Row = {}
    for scenario in SCENARIOS:
        if scenario in present:
            row |= FIGURES[scenario](Medians(runs, scenario), Medians(direct, scenario))
    return row | {
        "rss_mib": max(Medians(runs, scenario).of("pss_mib") for scenario in present),
        "failures": sum(run.figures.failures for run in runs),
        "first_error": next((run.figures.first_error for run in runs if run.figures.first_error), ""),
        "runs": len(runs),
        "disturbed_runs": sum(run.disturbed for run in runs),
    }


@dataclass(frozen=True, slots=True)
class Medians:
    """Medians over the rounds of one scenario."""

    runs: Sequence[Run]
    scenario: str

    def of(self, key: str) -> float:
        """The median of one measured figure."""
        return float(median(getattr(figures, key) for figures in self._figures()))

    def per_core(self, key: str) -> float:
        """The median of a rate divided by the cores it took: what one full core would carry."""
        return float(median(getattr(figures, key) / (figures.target_cores or 1e-9) for figures in self._figures()))

    def _figures(self) -> list[Figures]:
        return [run.figures for run in self.runs if run.scenario == self.scenario]


def _json(own: Medians, _: Medians) -> Row:
    return {
        "rps": round(own.of("rps"), 1),
        "rps_per_core": round(own.per_core("rps"), 1),
        "cpu_us_per_request": round(1e6 / max(own.per_core("rps"), 1e-9), 2),
    }


def _paced(own: Medians, _: Medians) -> Row:
    rate = {"chunks_per_s_per_core": round(own.per_core("chunks_per_s"), 1)}
    if not own.of("chunks_per_s"):
        return rate
    return rate | {
        "chunk_delay_p50_us": own.of("chunk_delay_p50_us"),
        "chunk_delay_p99_us": own.of("chunk_delay_p99_us"),
    }


def _busy(own: Medians, direct: Medians) -> Row:
    return {f"busy_{key}": value for key, value in _paced(own, direct).items()}


def _rate(own: Medians, direct: Medians) -> Row:
    """Added latency, if the peer kept up at all: behind, every request waits for those before it."""
    kept_up = own.of("rps") / SCENARIOS["rate"].load.rate_per_s
    if kept_up < KEPT_UP:
        return {"kept_up": round(kept_up, 3)}
    return {
        "kept_up": round(kept_up, 3),
        "added_p50_us": round(own.of("latency_p50_us") - direct.of("latency_p50_us"), 1),
        "added_p99_us": round(own.of("latency_p99_us") - direct.of("latency_p99_us"), 1),
    }


def _large(own: Medians, _: Medians) -> Row:
    mb = SCENARIOS["large"].load.prompt_bytes / 1e6
    return {
        "large_mb_per_s": round(own.of("rps") * mb, 1),
        "large_mb_per_s_per_core": round(own.per_core("rps") * mb, 1),
    }


FIGURES: Mapping[str, Callable[[Medians, Medians], Row]] = {
    "json": _json,
    "paced": _paced,
    "busy": _busy,
    "rate": _rate,
    "large": _large,
}


def _verdict(goal: Goal, table: Mapping[str, Row]) -> dict[str, Any]:
    measured = _measured(goal, table)
    return {"goal": goal.text, "limit": _limit(goal), "measured": measured, "met": _met(goal, measured)}


def _measured(goal: Goal, table: Mapping[str, Row]) -> float | None:
    value = table.get(goal.of, {}).get(goal.key)
    if value is None or not goal.ratio_to:
        return value
    other = table.get(goal.ratio_to, {}).get(goal.key)
    return round(value / other, 3) if other else None


def _met(goal: Goal, measured: float | None) -> bool | None:
    if measured is None:
        return None
    if goal.at_least is not None:
        return measured >= goal.at_least
    return goal.at_most is not None and measured <= goal.at_most


def _limit(goal: Goal) -> str:
    return f">= {goal.at_least:g}" if goal.at_least is not None else f"<= {goal.at_most:g}"
