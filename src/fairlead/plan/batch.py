"""Many questions in a table, one answer a row: nothing in a row can stop the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fairlead.errors import UserError
from fairlead.plan.constants import Fit
from fairlead.plan.estimate import Estimate, estimate
from fairlead.plan.measurements import Row, question

COLUMNS = (
    "row_id",
    "fits",
    "request_throughput_per_s",
    "output_tokens_per_s",
    "ttft_ms_mean",
    "tpot_ms_mean",
    "low",
    "high",
    "confidence",
    "error",
)


def answers(rows: Iterable[Row], known: Fit) -> Iterator[dict[str, str]]:
    """One row of COLUMNS for each question; what cannot be answered has an `error`."""
    for number, row in enumerate(rows, start=1):
        empty = dict.fromkeys(COLUMNS, "") | {"row_id": row.get("row_id") or str(number)}
        try:
            plan, load = question(row)
        except UserError as error:
            yield empty | {"error": one_line(str(error))}
        else:
            yield empty | answer(estimate(plan, load, known))


def answer(made: Estimate) -> dict[str, str]:
    """The columns of one estimate. What does not fit has no speed, and the sum as the error."""
    if made.speed is None:
        text = "; ".join(problem.text() for problem in made.problems)
        return {"fits": "false", "confidence": made.confidence, "error": one_line(text)}
    return {
        "fits": "true",
        "request_throughput_per_s": f"{made.speed.requests_per_s:.5g}",
        "output_tokens_per_s": f"{made.speed.output_tokens_per_s:.6g}",
        "ttft_ms_mean": f"{made.speed.ttft_ms['mean']:.5g}",
        "tpot_ms_mean": f"{made.speed.tpot_ms['mean']:.5g}",
        "low": f"{made.speed.low:.6g}",
        "high": f"{made.speed.high:.6g}",
        "confidence": made.confidence,
    }


def one_line(text: str) -> str:
    """The text without line breaks."""
    return " ".join(text.split())
