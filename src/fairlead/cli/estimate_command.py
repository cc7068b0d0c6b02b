"""`plan estimate`: one deployment under one workload, or a table of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairlead.catalog.hf_config import shape_of
from fairlead.catalog.models import ModelShape
from fairlead.cli.files import rows_of, text_of
from fairlead.cli.report_file import write_report
from fairlead.cli.show import console, table
from fairlead.errors import EXIT_FAILED, Problem, UserError

if TYPE_CHECKING:
    from fairlead.plan.constants import Fit
    from fairlead.plan.deployment import Deployment
    from fairlead.plan.estimate import Estimate, Queue
    from fairlead.plan.report.page import Section
    from fairlead.plan.traffic import Traffic

CONSTANTS = typer.Option("--constants", help="Constants of your own, written by `plan calibrate`.")
CLIENTS = 16  # that wait, when nothing is said


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
    concurrency: Annotated[str, typer.Option(help="Clients that wait (16), or max: an offline queue.")] = "",
    rate: Annotated[float, typer.Option(help="Requests/s that come by themselves; 0: from waiting clients.")] = 0.0,
    burstiness: Annotated[float, typer.Option(min=0.1, help="Squared variation of the gaps; 1: Poisson.")] = 1.0,
    trace: Annotated[Path | None, typer.Option(help="Recorded requests: Azure CSV, Mooncake JSONL.")] = None,
    sizes: Annotated[str, typer.Option("--lengths", help="Known lengths, or a trace file to draw from.")] = "",
    prompt_p95: Annotated[float, typer.Option(help="Prompt tokens; --isl is then their mean.")] = 0.0,
    output_p95: Annotated[float, typer.Option(help="Output tokens; --osl is then their mean.")] = 0.0,
    prefix_share: Annotated[float, typer.Option(min=0, max=1, help="Share of each prompt in the prefix cache.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance; the same seed gives the same result.")] = 0,
    batch: Annotated[Path | None, typer.Option("--batch", help="A table of questions (CSV).")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the answers of --batch go (CSV).")] = None,
    constants: Annotated[Path | None, CONSTANTS] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with plots to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate throughput and latency of a model on accelerators. Exit code 1 if it does not fit.

    Example: fairlead plan estimate Llama-3.1-8B --gpu L4 --rate 1.5 --isl 1024 --prompt-p95 3000
    """
    from fairlead.plan.constants import parse, shipped
    from fairlead.plan.deployment import deployment

    known = shipped() if constants is None else parse(text_of(constants))
    if batch is not None:
        answer_table(batch, out, html, known)
        return
    if not model or not gpu:
        raise UserError("estimate needs a model and --gpu, or --batch", hint="plan estimate Llama-3.1-8B --gpu L4")
    asked = deployment(shape(model), gpu, dtype=dtype, engine_name=engine, n_gpus=gpus, tp=tp, pp=pp, kv_dtype=kv_dtype)
    wish = Wish(isl, osl, concurrency, rate, burstiness, trace, sizes, (prompt_p95, output_p95), prefix_share, seed)
    made = answered(asked, wish, known)
    if as_json:
        typer.echo(json.dumps(document(made)))
    else:
        show(made)
    if not made.fits:
        raise typer.Exit(EXIT_FAILED)
    if html is not None:
        write_report(html, made.plan.title, "fairlead plan estimate", report_sections(made, wish, known))


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say about the load; 0 and "" where nothing."""

    isl: int
    osl: int
    concurrency: str
    rate: float
    burstiness: float
    trace: Path | None
    lengths: str
    p95: tuple[float, float]
    prefix_share: float
    seed: int

    @property
    def clients(self) -> int | None:
        """How many wait; None: as many as an offline benchmark queues. Raises UserError."""
        if self.concurrency == "max":
            return None
        if self.concurrency and not (self.concurrency.isdecimal() and int(self.concurrency) > 0):
            raise UserError(f"--concurrency {self.concurrency} is neither a number above 0 nor max")
        return int(self.concurrency or CLIENTS)

    @property
    def is_plain(self) -> bool:
        """Whether equal requests come from waiting clients: that has a closed form."""
        return not (self.rate or self.trace or self.lengths or any(self.p95) or self.prefix_share)


def answered(asked: Deployment, wish: Wish, known: Fit) -> Estimate:
    """The estimate, by the closed form or by simulation. Raises UserError where the options contradict each other."""
    from fairlead.plan.estimate import estimate as answer
    from fairlead.plan.served import served
    from fairlead.plan.workload import Workload

    if wish.is_plain:
        return answer(asked, Workload(prompt=wish.isl, output=wish.osl, clients=wish.clients), known)
    return served(asked, traffic_of(wish), known)


def traffic_of(wish: Wish) -> Traffic:
    """Lengths and arrivals as the options say. Raises UserError with all contradictions."""
    from fairlead.plan.autoscale.traces import pairs_of, read_trace
    from fairlead.plan.traffic import Traffic, lengths, recorded

    contradictions = {
        "--rate must be above 0": wish.rate < 0,
        "--rate and --concurrency: requests come by themselves, or from clients that wait": wish.rate > 0
        and wish.concurrency != "",
        "--concurrency max is an offline queue of equal requests": wish.concurrency == "max",
        "--trace has its own lengths: leave out --lengths, --prompt-p95 and --output-p95": wish.trace is not None
        and bool(wish.lengths or any(wish.p95)),
        "--lengths has its own tails: leave out --prompt-p95 and --output-p95": bool(wish.lengths) and any(wish.p95),
        "--trace has its own times: leave out --concurrency": wish.trace is not None and wish.concurrency != "",
    }
    problems = [Problem(text) for text, holds in contradictions.items() if holds]
    if problems:
        raise UserError(problems=problems)
    if wish.trace is not None:
        return recorded(read_trace(wish.trace), rate=wish.rate or None, prefix_share=wish.prefix_share)
    return Traffic(
        lengths=pairs_of(wish.lengths)
        if wish.lengths
        else lengths((wish.isl, wish.p95[0] or wish.isl), (wish.osl, wish.p95[1] or wish.osl)),
        rate=wish.rate or None,
        clients=None if wish.rate else wish.clients,
        burstiness=wish.burstiness,
        prefix_share=wish.prefix_share,
        seed=wish.seed,
    )


def report_sections(made: Estimate, wish: Wish, known: Fit) -> Iterator[Section]:
    """All that is known of the estimate; a day only where requests come by themselves."""
    from fairlead.plan.autoscale.engine_model import Slo
    from fairlead.plan.report.day import day_engine, day_section
    from fairlead.plan.report.estimated import sections

    traffic = traffic_of(replace(wish, concurrency="") if wish.concurrency == "max" else wish)
    days: list[Section] = []
    if traffic.rate is not None:
        slo = Slo()
        days = [day_section(day_engine(made.plan, traffic, known, slo), traffic, slo)]
    yield from sections(made, traffic, known, days)


def answer_table(batch: Path, out: Path | None, html: Path | None, known: Fit) -> None:
    """The batch form."""
    from fairlead.plan.batch import COLUMNS, answers

    if html is not None:
        raise UserError("--html is a report of one deployment, not of a table", hint="leave out --batch")
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
    from fairlead.plan.crosscheck import disagreements
    from fairlead.plan.suggest import suggestions

    return {
        "deployment": made.plan.title,
        "fits": made.fits,
        "problems": [problem.as_json() for problem in made.problems],
        "suggestions": [] if made.fits else suggestions(made.plan, context=made.memory.context),
        "memory": asdict(made.memory) | {"kv_budget": made.memory.kv_budget, "sequences": made.memory.sequences},
        "settings": settings(made),
        "cross_check": [asdict(each) for each in disagreements(made)],
        "confidence": made.confidence,
        "speed": asdict(made.speed) if made.speed else None,
        "queue": asdict(made.queue) if made.queue else None,
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
    if made.queue is not None:
        screen.print(queue_text(made.queue), markup=False)
    interval = f"80 %: {speed.low:.0f} to {speed.high:.0f}" if speed.low < speed.high else "all that comes"
    screen.print(f"{rate} ({interval}; {made.confidence})", markup=False)
    shown = table(("ms", "mean", "p50", "p95", "p99"), numbers=("mean", "p50", "p95", "p99"))
    for name, values in (("TTFT", speed.ttft_ms), ("TPOT", speed.tpot_ms), ("E2E", speed.e2e_ms)):
        shown.add_row(name, *(f"{value:.1f}" for value in values.values()))
    screen.print(shown)
    if made.queue is not None and made.queue.slow:
        screen.print(made.queue.slow_text(), markup=False)
    parts = sorted(speed.parts.items(), key=lambda item: -item[1])
    screen.print("time goes to: " + ", ".join(f"{name} {share:.0%}" for name, share in parts if share >= 0.01))
    show_disagreements(made)


def show_disagreements(made: Estimate) -> None:
    """Where a deployment guide says otherwise."""
    from fairlead.plan.crosscheck import disagreements, guide

    found = disagreements(made)
    if not found:
        return
    shown = table(("setting", "guide", "plan", "why"), title=f"'{guide()['title']}' says otherwise:")
    for each in found:
        shown.add_row(each.setting, each.guide, each.plan, each.why)
    console().print(shown)


def queue_text(queue: Queue) -> str:
    """How full the deployment is."""
    text = f"offered {queue.offered_per_s:.2f} of at most {queue.sustained_per_s:.2f} requests/s"
    text += f", {queue.ongoing:.1f} under way"
    text += "" if queue.keeps_up else "; it does NOT keep up: the queue grows, and the times below with its length"
    text += f"; {queue.preempted:.1%} lose their place in the KV cache" if queue.preempted else ""
    text += f"; {queue.prefix_share:.1%} of the prompt tokens are in the prefix cache" if queue.prefix_share else ""
    return text + (f"; {queue.refused:.1%} are too long and refused" if queue.refused else "")
