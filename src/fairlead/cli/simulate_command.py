"""`plan simulate`: a day of requests under every autoscaling policy, side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fairlead.cli.arguments import duration
from fairlead.cli.show import console, table
from fairlead.errors import Problem, UserError

if TYPE_CHECKING:  # numpy is imported late: no other command waits for it
    from fairlead.plan.autoscale.compare import Result
    from fairlead.plan.autoscale.demand import Trace
    from fairlead.plan.autoscale.engine_model import EngineModel, Slo
    from fairlead.plan.autoscale.fleet import Bounds, Floor, Spot
    from fairlead.plan.autoscale.thresholds import Thresholds

COLUMNS = (
    "policy",
    "in SLO",
    "worst 10 min",
    "TTFT p95 s",
    "TPOT p95 ms",
    "GPU-hours",
    "USD",
    "of oracle",
    "most",
    "with",
)
MODEL, DTYPE = "Llama-3.1-8B", "fp8"
FLOOR = re.compile(r"^(\d\d?):(\d\d)-(\d\d?):(\d\d)=(\d+)$")
MOST = 4  # times the replicas of the peak: no policy may ask for more, unless --max says so


@dataclass(frozen=True, slots=True)
class Wish:
    """The engine that is asked for: a model of the catalog, or a file."""

    model: str
    gpu: str
    tp: int
    dtype: str
    file: Path | None
    price: float
    startup_s: float


@dataclass(frozen=True, slots=True)
class Chance:
    """How a day is drawn."""

    requests: int
    burstiness: float
    seed: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the user allows to every policy; `most` 0 leaves it to the peak."""

    least: int
    most: int
    floors: tuple[Floor, ...]
    spot: Spot


@dataclass(frozen=True, slots=True)
class Question:
    """All that a simulation needs; the same question has the same answer."""

    trace: Trace
    derived: Thresholds
    bounds: Bounds
    seed: int


def simulate(
    file: Annotated[
        Path | None, typer.Argument(help="A file whose planned models take the place of an engine.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model of the catalog; Llama-3.1-8B in fp8 on L4 when left out.")] = "",
    gpu: Annotated[str, typer.Option(help="An accelerator of the catalog.")] = "L4",
    tp: Annotated[int, typer.Option(min=1, help="Tensor parallel size of a replica.")] = 1,
    dtype: Annotated[str, typer.Option(help="Quantisation; by default what the model ships in.")] = "",
    engine: Annotated[Path | None, typer.Option(help="Instead of a model, figures in a JSON file.")] = None,
    price: Annotated[float, typer.Option(min=0, help="USD for a replica's hour; 0: the cheapest known.")] = 0.0,
    startup: Annotated[str, typer.Option(help="From asking for a replica to its first request.")] = "180s",
    day: Annotated[str, typer.Option(help="A known day, or a CSV file: window_start_s,rate_rps.")] = "",
    requests: Annotated[int, typer.Option(min=1, help="How many requests the day has.")] = 700_000,
    lengths: Annotated[str, typer.Option(help="Known lengths, or a trace file to draw them from.")] = "",
    trace: Annotated[Path | None, typer.Option(help="Instead of a day, a trace: Azure CSV, Mooncake JSONL.")] = None,
    ttft: Annotated[str, typer.Option(help="The time to first token that each request is promised.")] = "2s",
    tpot: Annotated[str, typer.Option(help="The mean time per further token that each request is promised.")] = "100ms",
    attainment: Annotated[float, typer.Option(help="The part of requests for which both must hold.")] = 0.99,
    policy: Annotated[list[str] | None, typer.Option("--policy", "-p", help="Repeat for more; else all.")] = None,
    least: Annotated[int, typer.Option("--min", min=0, help="Never fewer replicas.")] = 1,
    most: Annotated[int, typer.Option("--max", min=0, help="Never more replicas; 0: four times the peak's.")] = 0,
    schedule: Annotated[list[str] | None, typer.Option(help="At least so many in these hours: 08:00-20:00=4.")] = None,
    spot_share: Annotated[float, typer.Option(min=0, max=1, help="The part of replicas on spot instances.")] = 0.0,
    spot_price: Annotated[float, typer.Option(min=0, max=1, help="Their price, as a part of the full one.")] = 0.5,
    spot_reclaims: Annotated[float, typer.Option(min=0, help="Reclaims of one spot replica per hour.")] = 0.05,
    burstiness: Annotated[float, typer.Option(min=0.1, help="Squared variation of the gaps; 1: Poisson.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance; the same seed gives the same result.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Policies computed at the same time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate a day under autoscaling policies: SLO attainment, GPU-hours, money. Thresholds are derived, not guessed.

    Example: fairlead plan simulate --day servegen-reasoning --requests 700000
    """
    from fairlead.cli.simulate_file import Planned, planned
    from fairlead.plan.autoscale.engine_model import Slo
    from fairlead.plan.autoscale.fleet import Spot

    names = chosen(policy or [])
    if file is not None:
        tell(planned(file, Planned(model, day, burstiness, schedule or [], seed)), names, jobs, as_json=as_json)
        return
    slo = checked_slo(Slo(duration("--ttft", ttft), duration("--tpot", tpot), attainment))
    asked = asked_trace(trace, day, lengths, Chance(requests, burstiness, seed))
    wish = Wish(model, gpu, tp, dtype, engine, price, duration("--startup", startup))
    serving = asked_engine(wish, asked, slo)
    floors = tuple(floor(text) for text in schedule or ())
    spot = Spot(spot_share, spot_price, spot_reclaims)
    tell([posed(asked, serving, slo, Limits(least, most, floors, spot), seed)], names, jobs, as_json=as_json)


def tell(questions: Iterable[Question], names: Sequence[str], jobs: int, *, as_json: bool) -> None:
    """Answer and print one question after the other."""
    for question in questions:
        results = list(answers(question, names, jobs))
        if as_json:
            typer.echo(json.dumps(as_object(question, results)))
            continue
        for line in introduction(question.trace, question.derived):
            console().print(line)
        console().print(shown(results))


def asked_engine(wish: Wish, trace: Trace, slo: Slo) -> EngineModel:
    """The engine of the file, or of the planned model for requests as long as those of the trace."""
    from fairlead.catalog.instances import instances
    from fairlead.plan.autoscale.planned import cheapest, planned_engine
    from fairlead.plan.autoscale.promise import Lengths
    from fairlead.plan.autoscale.traces import read_engine
    from fairlead.plan.constants import shipped
    from fairlead.plan.deployment import deployment

    if wish.file is not None:
        if wish.model:
            raise UserError("--engine has its own figures", hint="leave out --model")
        return replace(read_engine(wish.file), startup_s=wish.startup_s)
    model, dtype = (wish.model, wish.dtype) if wish.model else (MODEL, wish.dtype or DTYPE)
    plan = deployment(model, wish.gpu, dtype=dtype, tp=wish.tp)
    return planned_engine(
        plan,
        shipped(),
        Lengths.of(trace),
        tpot_s=slo.tpot_s,
        startup_s=wish.startup_s,
        price_per_hour=wish.price or cheapest(plan, instances().values()),
    )


def asked_trace(trace: Path | None, day: str, lengths: str, chance: Chance) -> Trace:
    """The trace file, or a day made from rates and lengths."""
    from fairlead.plan.autoscale import traces

    if trace is not None:
        if day or lengths:
            raise UserError("--trace has its own times and lengths", hint="leave out --day and --lengths")
        return traces.read_trace(trace)
    shape = day or traces.DEFAULT_DAY
    rates, window_s = traces.rates_of(shape)
    pairs = traces.pairs_of(lengths or traces.DEFAULT_LENGTHS)
    return traces.day(
        rates, window_s, pairs, requests=chance.requests, burstiness=chance.burstiness, seed=chance.seed, name=shape
    )


def posed(trace: Trace, model: EngineModel, slo: Slo, limits: Limits, seed: int) -> Question:
    """The question, with thresholds and bounds derived from trace, engine and SLO."""
    from fairlead.plan.autoscale import compare
    from fairlead.plan.autoscale.fleet import Bounds
    from fairlead.plan.autoscale.thresholds import derive

    derived = derive(trace, model, slo, seed)
    most = limits.most or max(limits.least, MOST * compare.peak_replicas(trace, derived))
    if most < limits.least:
        raise UserError(f"--max {most} is below --min {limits.least}")
    first = compare.first_replicas(trace, derived)
    return Question(trace, derived, Bounds(first, limits.least, most, limits.floors, limits.spot), seed)


def answers(question: Question, names: Sequence[str], jobs: int) -> Iterator[Result]:
    """Results in the order of `names`, computed in up to `jobs` processes; those that take longest begin first."""
    if jobs == 1 or len(names) == 1:
        yield from (answer(question, name) for name in names)
        return
    done: dict[str, Result] = {}
    workers = ProcessPoolExecutor(min(jobs, len(names)), get_context("spawn"))
    with workers as pool, console(stderr=True).status("simulating") as status:
        tasks = {pool.submit(answer, question, name): name for name in sorted(names, key=lambda name: name != "oracle")}
        for task in as_completed(tasks):
            done[tasks[task]] = task.result()
            status.update(f"simulated {len(done)} of {len(names)} policies")
    yield from (done[name] for name in names)


def answer(question: Question, name: str) -> Result:
    """One policy's result."""
    from fairlead.plan.autoscale.compare import compare

    return next(compare(question.trace, question.derived, question.bounds, [name], question.seed))


def chosen(asked: Sequence[str]) -> list[str]:
    """The policies asked for, in the order of the known ones; all when none is named."""
    from fairlead.plan.autoscale.compare import POLICIES

    known = [*POLICIES, "oracle"]
    problems = [
        Problem(f"--policy {name} is unknown", hint=f"one of {', '.join(known)}") for name in asked if name not in known
    ]
    if problems:
        raise UserError(problems=problems)
    return [name for name in known if not asked or name in asked]


def checked_slo(slo: Slo) -> Slo:
    """The same, or UserError where it promises nothing."""
    if slo.ttft_s <= 0 or slo.tpot_s <= 0:
        raise UserError("--ttft and --tpot must be above zero")
    if not 0 < slo.attainment < 1:
        raise UserError(f"--attainment {slo.attainment:g} is not between 0 and 1", hint="for example 0.99")
    return slo


def floor(text: str) -> Floor:
    """`08:00-20:00=4`: at least four replicas in these hours."""
    from fairlead.plan.autoscale.fleet import Floor

    match = FLOOR.match(text)
    hours = [int(part) for part in match.groups()] if match else []
    if not hours or max(hours[0], hours[2]) > 24 or max(hours[1], hours[3]) > 59:
        raise UserError(f"--schedule {text}: not hours and a count", hint="for example 08:00-20:00=4")
    return Floor(hours[0] * 3600.0 + hours[1] * 60, hours[2] * 3600.0 + hours[3] * 60, hours[4])


def introduction(trace: Trace, derived: Thresholds) -> Iterator[str]:
    """What is simulated, and what follows for the targets."""
    promise, lengths = derived.promise, derived.promise.lengths
    engine, slo = promise.engine, promise.slo
    yield (
        f"{trace.name}: {len(trace.arrival_s):,} requests in {trace.duration_s / 3600:.1f} h, "
        f"mean {lengths.prompt:,.0f} prompt and {lengths.output:,.0f} output tokens"
    )
    yield (
        f"{engine.name}: starts in {engine.startup_s:g} s, {engine.price_per_hour:g} USD/h; "
        f"SLO: TTFT {slo.ttft_s:g} s and TPOT {slo.tpot_s * 1000:g} ms for {slo.attainment:.1%}"
    )
    yield f"one replica within the SLO: {promise.rate_per_replica():.3g} requests/s, {derived.ongoing:.1f} ongoing"
    yield "derived: " + ", ".join(f"{name} {value:g}" for name, value in targets(derived).items())


def targets(derived: Thresholds) -> dict[str, float]:
    """The settings to write into the targets' configurations."""
    ongoing = round(derived.ongoing, 1)
    return {
        "ray target_ongoing_requests": max(1, int(derived.ongoing)),
        "hpa averageValue": ongoing,
        "keda threshold": ongoing,
        "knative target": ongoing,
    }


def shown(results: Sequence[Result]) -> Table:
    """The table for people. `of oracle` is the regret as a factor of GPU-hours."""
    reference = next((result.gpu_hours for result in results if result.policy == "oracle"), None)
    made = table(COLUMNS, numbers=COLUMNS[1:-1])
    for result in results:
        made.add_row(
            result.policy,
            f"{result.attainment:.2%}",
            f"{result.worst:.1%}",
            f"{result.ttft_p95_s:.2f}",
            f"{result.tpot_p95_s * 1000:.1f}",
            f"{result.gpu_hours:,.1f}",
            f"{result.cost:,.2f}",
            f"{result.gpu_hours / reference:.2f}" if reference else "",
            str(result.most_replicas),
            result.settings,
        )
    return made


def as_object(question: Question, results: Sequence[Result]) -> dict[str, Any]:
    """The JSON output."""
    trace, derived = question.trace, question.derived
    reference = next((result for result in results if result.policy == "oracle"), None)
    rows = [
        asdict(result)
        | ({"regret_gpu_hours": result.gpu_hours - reference.gpu_hours, "regret_cost": result.cost - reference.cost}
           if reference else {})
        for result in results
    ]  # fmt: skip
    return {
        "evidence": "simulated",
        "trace": {"name": trace.name, "requests": len(trace.arrival_s), "duration_s": trace.duration_s},
        "engine": asdict(derived.promise.engine),
        "slo": asdict(derived.promise.slo),
        "lengths": asdict(derived.promise.lengths),
        "rate_per_replica": derived.promise.rate_per_replica(),
        "targets": targets(derived),
        "bounds": asdict(question.bounds),
        "seed": question.seed,
        "policies": rows,
    }
