"""`plan`: how much of what. The planner and numpy are imported by the commands that need them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli import estimate_command, service_plan_command, simulate_command
from fairlead.cli.files import rows_of
from fairlead.cli.show import console, table

app = typer.Typer(cls=service_plan_command.FileGroup, help="How much of what: hardware, speed, cost.")
app.command()(service_plan_command.service)
app.command()(estimate_command.estimate)
app.command()(simulate_command.simulate)


@app.callback()
def plan() -> None:
    """How much of what: hardware, speed, cost. `fairlead plan FILE` plans the service of a file."""


@app.command()
def calibrate(
    measurements: Annotated[Path, typer.Argument(help="Your measured benchmarks (CSV).")],
    out: Annotated[Path, typer.Option("--out", help="Where the constants go.")] = Path("constants.json"),
) -> None:
    """Refit the constants of the accelerators that you have measured; the others stay as they are.

    The columns are those of `estimate --batch`, with output_tokens_per_s and perhaps ttft_ms_mean and tpot_ms_mean.

    Example: fairlead plan calibrate runs.csv --out constants.json
    """
    from fairlead.plan.calibration import calibrated
    from fairlead.plan.constants import as_json, shipped

    found = calibrated(rows_of(measurements), shipped())
    out.write_text(as_json(found.fit), encoding="utf-8")
    screen = console()
    for problem in found.problems:
        console(stderr=True).print(problem.text(), markup=False)
    shown = table(("GPU", "runs", "error before", "error after"), numbers=("runs", "error before", "error after"))
    for name, runs, before, after in found.errors:
        shown.add_row(name, str(runs), f"{before:.1%}", f"{after:.1%}")
    screen.print(shown)
    screen.print(f"wrote {out}; use it with: fairlead plan estimate --constants {out} ...", markup=False)
