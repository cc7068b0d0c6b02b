"""`fairlead plan simulate`: a table, JSON, the same on a rerun in any number of processes, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.errors import UserError

SMALL = ["plan", "simulate", "--requests", "5000", "--seed", "4"]


def output(*options: str) -> str:
    result = CliRunner().invoke(app, [*SMALL, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def answer(*options: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(output("--json", *options))
    return made


def test_all_policies_stand_beside_the_oracle() -> None:
    made = answer("--jobs", "1")
    assert made["evidence"] == "simulated"
    assert [row["policy"] for row in made["policies"]] == [
        "static peak", "ray serve, default", "ray serve, derived", "hpa", "keda", "knative", "capacity", "oracle",
    ]  # fmt: skip
    assert made["policies"][-1]["regret_cost"] == 0
    assert set(made["targets"]) >= {"ray target_ongoing_requests", "hpa averageValue", "keda threshold"}


def test_more_processes_give_the_same_numbers() -> None:
    options = ("-p", "capacity", "-p", "static")
    assert answer("--jobs", "1", *options) == answer("--jobs", "2", *options)


def test_the_table_is_for_people() -> None:
    shown = output("-p", "static")
    assert "one replica within the SLO" in shown
    assert "static peak" in shown
    assert "derived: ray target_ongoing_requests" in shown


def test_bounds_schedules_spot_and_start_up_are_taken() -> None:
    made = answer(
        "-p", "capacity", "--schedule", "08:00-20:00=3", "--max", "5", "--startup", "30s",
        "--spot-share", "1", "--spot-price", "0.25", "--spot-reclaims", "0",
    )  # fmt: skip
    assert made["bounds"]["floors"] == [{"start_s": 28800.0, "end_s": 72000.0, "replicas": 3}]
    assert made["engine"]["startup_s"] == 30
    row = made["policies"][0]
    assert row["most_replicas"] >= 3
    assert row["cost"] == pytest.approx(row["gpu_hours"] * made["engine"]["price_per_hour"] * 0.25)


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    line = '{{"timestamp": {}, "input_length": 500, "output_length": 20}}\n'
    path.write_text("".join(line.format(index * 700) for index in range(200)))
    made = answer("-p", "static", "--trace", str(path))
    assert made["trace"] == {"name": "mine.jsonl", "requests": 200, "duration_s": pytest.approx(139.3)}


REFUSED = {
    "an unknown policy": (["-p", "magic"], "--policy magic is unknown"),
    "an unknown model": (["--model", "abacus"], "abacus"),
    "a model that does not fit": (["--model", "Llama-3.1-70B", "--gpu", "L4"], "does not fit"),
    "an engine and a model": (["--engine", "e.json", "--model", "Llama-3.1-8B"], "has its own figures"),
    "a missing engine": (["--engine", "nowhere.json"], "cannot be read"),
    "a promise of nothing": (["--ttft", "0s"], "must be above zero"),
    "all requests": (["--attainment", "1"], "not between 0 and 1"),
    "a wrong schedule": (["--schedule", "8-20=4"], "not hours and a count"),
    "no such hour": (["--schedule", "08:00-25:00=4"], "not hours and a count"),
    "bounds that cross": (["--min", "5", "--max", "2"], "--max 2 is below --min 5"),
    "a duration without a unit": (["--tpot", "50"], "--tpot"),
    "a trace and a day": (["--trace", "t.csv", "--day", "servegen-mid"], "has its own times"),
    "a missing trace": (["--trace", "nowhere.csv"], "cannot be read"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_simulated_is_refused(options: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CliRunner().invoke(app, [*SMALL, *options], catch_exceptions=False)
