"""`plan estimate`: one deployment under one workload, or a table of them."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairlead.catalog.hf_config import shape_of
from fairlead.catalog.models import ModelShape
from fairlead.cli.files import rows_of, text_of
from fairlead.cli.show import console, table
from fairlead.errors import EXIT_FAILED, UserError

if TYPE_CHECKING:
    from fairlead.plan.constants import Fit
    from fairlead.plan.estimate import Estimate

CONSTANTS = typer.Option("--constants", help="Constants of your own, written by `plan calibrate`.")


def estimate(
    model: Annotated[str, typer.Argument(help="A model of the catalog, or a config.json.")] = "",
    gpu: Annotated[str, typer.Option("--gpu", help="An accelerator of the catalog.")] = "",
    gpus: Annotated[int | None, typer.Option("--gpus", help="How many in all; tp x pp by default.")] = None,
    tp: Annotated[int, typer.Option("--tp", help="Tensor parallel size.")] = 1,
    pp: Annotated[int, typer.Option("--pp", help="Pipeline parallel size.")] = 1,
    dtype: Annotated[str, typer.Option("--dtype", help="Quantisation; by default what the model ships in.")] = "",
    kv_dtype: Annotated[str, typer.Option("--kv-dtype", help="auto, fp8 or bf16.")] = "auto",
    engine: Annotated[str, typer.Option("--engine", help="vllm, sglang or trtllm.")] = "vllm",
    isl: Annotated[int, typer.Option("--isl", min=1, help="Prompt tokens.")] = 1024,
    osl: Annotated[int, typer.Option("--osl", min=1, help="Output tokens.")] = 256,
    concurrency: Annotated[str, typer.Option("--concurrency", help="Clients, or max: an offline queue.")] = "16",
    batch: Annotated[Path | None, typer.Option("--batch", help="A table of questions (CSV).")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the answers of --batch go (CSV).")] = None,
    constants: Annotated[Path | None, CONSTANTS] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate throughput and latency of a model on accelerators. Exit code 1 if it does not fit.

    Example: fairlead plan estimate Llama-3.1-8B --gpu L4 --isl 2000 --osl 300
    """
    from fairlead.plan.constants import parse, shipped
    from fairlead.plan.deployment import deployment
    from fairlead.plan.estimate import estimate as answer
    from fairlead.plan.workload import Workload

    known = shipped() if constants is None else parse(text_of(constants))
    if batch is not None:
        answer_table(batch, out, known)
        return
    if not model or not gpu:
        raise UserError(
            "estimate needs a model and --gpu, or --batch", hint="fairlead plan estimate Llama-3.1-8B --gpu L4"
        )
    if concurrency != "max" and not (concurrency.isdecimal() and int(concurrency) > 0):
        raise UserError(f"--concurrency {concurrency} is neither a number above 0 nor max")
    asked = deployment(shape(model), gpu, dtype=dtype, engine_name=engine, n_gpus=gpus, tp=tp, pp=pp, kv_dtype=kv_dtype)
    clients = None if concurrency == "max" else int(concurrency)
    made = answer(asked, Workload(prompt=isl, output=osl, clients=clients), known)
    if as_json:
        typer.echo(json.dumps(document(made)))
    else:
        show(made)
    if not made.fits:
        raise typer.Exit(EXIT_FAILED)


def answer_table(batch: Path, out: Path | None, known: Fit) -> None:
    """The batch form."""
    from fairlead.plan.batch import COLUMNS, answers

    if out is None:
        raise UserError("--batch needs --out")
    made = list(answers(rows_of(batch), known))
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)
    wrong = sum(bool(row["error"]) for row in made)
    console(stderr=True).print(f"wrote {out}: {len(made)} rows, {wrong} of them with an error", markup=False)


def shape(model: str) -> str | ModelShape:
    """A name, or the shape that a config.json describes."""
    if not model.endswith(".json"):
        return model
    try:
        return shape_of(json.loads(text_of(Path(model))), name=Path(model).resolve().parent.name)
    except ValueError as error:
        raise UserError(f"{model} is not JSON: {error}") from error


def document(made: Estimate) -> dict[str, Any]:
    """The estimate as `--json` prints it."""
    from fairlead.plan.suggest import suggestions

    return {
        "deployment": made.plan.title,
        "fits": made.fits,
        "problems": [problem.as_json() for problem in made.problems],
        "suggestions": [] if made.fits else suggestions(made.plan, context=made.memory.context),
        "memory": asdict(made.memory) | {"kv_budget": made.memory.kv_budget, "sequences": made.memory.sequences},
        "settings": settings(made),
        "confidence": made.confidence,
        "speed": asdict(made.speed) if made.speed else None,
    }


def settings(made: Estimate) -> dict[str, float]:
    """What the engine is to be told."""
    return {
        "gpu_memory_utilization": made.plan.utilization,
        "max_model_len": made.memory.context,
        "max_num_seqs": made.running,
        "max_num_batched_tokens": made.plan.tokens,
    }


def show(made: Estimate) -> None:
    """For people."""
    from fairlead.plan.suggest import suggestions

    screen = console()
    screen.print(made.plan.title, markup=False)
    screen.print(f"memory: {made.memory.sum_text()}", markup=False)
    if made.speed is None:
        for problem in made.problems:
            screen.print(f"refused: {problem.text()}", markup=False)
        for each in suggestions(made.plan, context=made.memory.context):
            screen.print(f"fits: {each}", markup=False)
        return
    speed = made.speed
    told = ", ".join(f"{name} {value:g}" for name, value in settings(made).items())
    screen.print(f"engine: {told}", markup=False)
    rate = f"{speed.requests_per_s:.2f} requests/s, {speed.output_tokens_per_s:.0f} output tokens/s"
    screen.print(f"{rate} (80 %: {speed.low:.0f} to {speed.high:.0f}; {made.confidence})", markup=False)
    shown = table(("ms", "mean", "p50", "p95", "p99"), numbers=("mean", "p50", "p95", "p99"))
    for name, values in (("TTFT", speed.ttft_ms), ("TPOT", speed.tpot_ms), ("E2E", speed.e2e_ms)):
        shown.add_row(name, *(f"{value:.1f}" for value in values.values()))
    screen.print(shown)
    parts = sorted(speed.parts.items(), key=lambda item: -item[1])
    screen.print("time goes to: " + ", ".join(f"{name} {share:.0%}" for name, share in parts if share >= 0.01))
