"""Fit the planner's constants on tables of measured benchmarks, and write them with their error. `make fit`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from fairlead.plan.accuracy import held_out, report, spreads
from fairlead.plan.constants import Fit, as_json
from fairlead.plan.fit import fit, observe, predict
from fairlead.plan.measurements import read

ROOT = Path(__file__).parent.parent
FOLDER = ROOT.parent / "shared" / "data" / "planner"
TABLES = ("inferencex_dev.csv", "trtllm_v0.14_max.csv", "trtllm_v0.20_max.csv", "trtllm_v0.9_static.csv")
WRITTEN = ROOT / "src" / "fairlead" / "plan" / "data" / "constants.json"


def main(folder: Path = FOLDER) -> None:
    """Read the tables in `folder`, fit, cross-validate, write."""
    found = fitted(folder)
    WRITTEN.write_text(as_json(found), encoding="utf-8")
    for row in found.accuracy["by_source"]:
        sys.stdout.write(
            f"{row['source']:32} {row['kind']:6} {row['rows']:5} rows  median {row['median']:6.1%}"
            f"  mean {row['mape']:6.1%}  within 15 % {row['within_15']:6.1%}\n"
        )
    told = found.accuracy
    sys.stdout.write(
        f"80 % interval covers {told['coverage']:.1%}; ranking of {told['ranking']['pairs']} pairs"
        f" {told['ranking']['all']:.1%}, of clear ones {told['ranking']['clear']:.1%};"
        f" TPOT objective {told['tpot_slo']:.1%}\n"
    )


def fitted(folder: Path) -> Fit:
    """The fit on the tables in `folder`, judged by cross-validation."""
    rows = [row for name in TABLES for row in csv.DictReader((folder / name).read_text().splitlines())]
    measurements, _ = read(rows)
    seen = observe(measurements)
    by_source, ttft = held_out(seen, seen.source.tolist())
    by_generation, _ = held_out(seen, seen.generation.tolist())
    known = fit(seen, np.ones(len(seen), dtype=bool), names=sorted(set(seen.generation.tolist())))
    told = report(measurements, seen, by_source, ttft, predict(seen, known)[0]) | {"tables": list(TABLES)}
    gpus = frozenset(each.plan.gpu.name for each in measurements)
    return Fit(known, spreads(seen, by_source, by_generation), frozenset(), gpus, told)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
