"""The shipped constants are those of `make fit`, and as good as the reference says. Needs the development tables."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairlead.plan.constants import Fit, as_json, shipped

ROOT = Path(__file__).parents[2]
TABLES = ROOT.parent / "shared" / "data" / "planner"
pytestmark = pytest.mark.skipif(not TABLES.is_dir(), reason="the development tables are not beside the checkout")


@pytest.fixture(scope="module")
def fitted() -> Fit:
    """What `make fit` would write now."""
    spec = importlib.util.spec_from_file_location("fit", ROOT / "tools" / "fit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Fit = module.fitted(TABLES)
    return made


def test_the_shipped_constants_are_those_of_the_fit(fitted: Fit) -> None:
    made, known = (json.loads(as_json(each)) for each in (fitted, shipped()))
    for name, row in known["local"].items():
        assert made["local"][name] == pytest.approx(row, rel=0.01)
    assert made["shared"] == pytest.approx(known["shared"], rel=0.01)
    assert made["measured"] == known["measured"]


def overall(fit: Fit, kind: str) -> Mapping[str, Any]:
    return next(row for row in fit.accuracy["by_source"] if (row["source"], row["kind"]) == ("all", kind))


def test_tables_that_were_left_out_are_predicted(fitted: Fit) -> None:
    """Each source is predicted from the others. Reached: dense median 8.8 %, mean 12.8 %; mixtures 11.1 %."""
    assert overall(fitted, "dense")["median"] <= 0.095
    assert overall(fitted, "dense")["mape"] <= 0.14
    assert overall(fitted, "moe")["median"] <= 0.125
    assert max(row["median"] for row in fitted.accuracy["by_source"] if row["rows"] >= 20) <= 0.175


def test_the_interval_covers_what_it_says(fitted: Fit) -> None:
    """Reached: 80.8 % of a source, in the interval of the others."""
    assert 0.75 <= fitted.accuracy["coverage"] <= 0.90


def test_decisions_are_right(fitted: Fit) -> None:
    """Reached: 94.4 % of all pairs, 95.8 % of those that differ in more than the engine, 94.7 % of TPOT objectives.

    The aim of 95 % of all pairs is missed; docs/reference/planner.md says why.
    """
    ranking = fitted.accuracy["ranking"]
    assert ranking["all"] >= 0.94
    assert ranking["hardware"] >= 0.95
    assert ranking["clear"] >= 0.96
    assert ranking["all"] < ranking["fitted"] < ranking["possible"] < 1
    assert fitted.accuracy["tpot_slo"] >= 0.93
