"""`plan simulate FILE`: the day's engines, SLO, bounds and busiest rate are those of the file's plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.errors import UserError
from fairlead.plan.capacity import NODE_START_S

FILE = Path(__file__).parents[2] / "examples" / "production" / "fairlead.yaml"


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["plan", "simulate", *words])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def day(tmp_path: Path) -> str:
    """Ten minutes; the file's rate is reached in the third."""
    rows = [f"{60 * window},{rate}" for window, rate in enumerate((1, 2, 4, 2, 1, 1, 2, 1, 1, 1))]
    path = tmp_path / "day.csv"
    path.write_text("window_start_s,rate_rps\n" + "\n".join(rows) + "\n")
    return str(path)


def test_a_planned_model_has_its_day(day: str) -> None:
    made: dict[str, Any] = json.loads(run(str(FILE), "--model", "llama-8b", "--day", day, "-p", "capacity", "--json"))
    engine = made["engine"]
    assert engine["name"].startswith("llama-8b: Llama-3.1-8B fp8")
    assert engine["price_per_hour"] == pytest.approx(0.8048)
    assert engine["startup_s"] == 92 + NODE_START_S
    assert made["slo"] == {"ttft_s": 3.0, "tpot_s": 0.12, "attainment": 0.95}
    assert (made["bounds"]["least"], made["bounds"]["most"]) == (2, 8)
    assert made["bounds"]["spot"]["share"] == 0.0
    rates = 3 / 4 * sum((1, 2, 4, 2, 1, 1, 2, 1, 1, 1)) * 60
    assert made["trace"]["requests"] == pytest.approx(rates, rel=0.15)
    (result,) = made["policies"]
    assert result["attainment"] > 0.95


def test_every_model_of_the_file_is_simulated(day: str) -> None:
    text = run(str(FILE), "--day", day, "-p", "capacity")
    assert text.index("llama-8b: ") < text.index("qwen-small: ")
    assert text.count("one replica within the SLO") == 2


def test_a_model_that_is_not_planned_is_refused(day: str) -> None:
    with pytest.raises(UserError) as refused:
        run(str(FILE), "--model", "lama-8b", "--day", day)
    (told,) = refused.value.problems
    assert "no planned model with a workload" in told.message
    assert told.hint == "did you mean llama-8b?"
