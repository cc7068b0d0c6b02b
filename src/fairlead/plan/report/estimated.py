"""The sections of one estimate: figures, memory, latency against throughput and load, cost by accelerator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fairlead.catalog.accelerators import GIB, accelerators
from fairlead.plan.constants import Fit
from fairlead.plan.crosscheck import disagreements, guide
from fairlead.plan.deployment import Deployment
from fairlead.plan.estimate import Estimate, Queue, Speed, estimate
from fairlead.plan.memory import kv_bytes, refusals
from fairlead.plan.report import plots
from fairlead.plan.report.page import Section, Table
from fairlead.plan.served import part_engine, served
from fairlead.plan.serving import capacity
from fairlead.plan.suggest import TP_SIZES, VENDORS, prices, supported
from fairlead.plan.traffic import Traffic
from fairlead.plan.workload import Workload, copies

MOST_CLIENTS = 1024
LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)  # of what is sustained
FILLED = 0.7  # of what is sustained: the load at which costs are compared
MONTH_H = 730.0
PERCENTILES = ("mean", "p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Offer:
    """A replica on other accelerators: requests/s at FILLED, p95 latencies there, USD for a million output tokens.

    `usd_month` for the load that is asked, None where none is.
    """

    plan: Deployment
    rate: float
    ttft_s: float
    tpot_ms: float
    usd_million: float
    usd_month: float | None


def sections(made: Estimate, traffic: Traffic, known: Fit, days: Iterable[Section] = ()) -> Iterator[Section]:
    """All sections for a deployment that fits, `days` among them.

    `traffic`: what it was asked; its lengths are used throughout.
    """
    assert made.speed is not None
    yield figures(made, made.speed)
    yield memory_section(made)
    yield frontier(made, known)
    yield loads(made, traffic, known)
    yield costs(made.plan, traffic, known)
    yield from days
    yield from cross_check(made)
    yield sureness(made, known)


def figures(made: Estimate, speed: Speed) -> Section:
    """What `plan estimate` prints."""
    rows = [
        (name, *(f"{values[each]:,.1f}" for each in PERCENTILES))
        for name, values in (("TTFT", speed.ttft_ms), ("TPOT", speed.tpot_ms), ("E2E", speed.e2e_ms))
    ]
    text = f"{speed.requests_per_s:.2f} requests/s and {speed.output_tokens_per_s:,.0f} output tokens/s."
    if speed.low < speed.high:
        text += f" 80 % of measurements should lie between {speed.low:,.0f} and {speed.high:,.0f} ({made.confidence})."
    else:
        text += f" All that comes is answered also at the low end of the 80 % interval ({made.confidence})."
    text += queue_text(made.queue) if made.queue else ""
    return Section(
        title="Speed", text=text, table=Table(columns=("ms", *PERCENTILES), rows=rows, numbers=frozenset(PERCENTILES))
    )


def queue_text(queue: Queue) -> str:
    """How full it is."""
    text = f" {queue.offered_per_s:.2f} requests/s come, at most {queue.sustained_per_s:.2f} can be answered for long."
    text += "" if queue.keeps_up else " It does not keep up: the latencies grow with the length of the run."
    return f"{text} {queue.slow_text()}" if queue.slow else text


def memory_section(made: Estimate) -> Section:
    """What one GPU holds when it is full."""
    room = made.memory
    used = made.running / made.plan.pp * kv_bytes(made.plan, made.load.prompt + made.load.output)
    parts = {
        "weights": room.weights,
        "activations": room.activations,
        "runtime": room.runtime,
        f"KV cache of {made.running} requests": min(used, room.kv_budget),
        "KV cache left": max(0.0, room.kv_budget - used),
    }
    allowed = room.utilization * room.usable
    plot = plots.stack(
        "Memory of one GPU",
        {name: size / GIB for name, size in parts.items()},
        x="GiB",
        limit=allowed / GIB,
        limit_name=f"{room.utilization:.0%} of {room.usable / GIB:.1f}: allowed",
    )
    return Section(title="Memory of one GPU", text=room.sum_text() + ".", plot=plot)


def frontier(made: Estimate, known: Fit) -> Section:
    """Throughput a GPU against time per token, as more clients come."""
    plan, load = made.plan, made.load
    most = min(MOST_CLIENTS, 2 * made.running * plan.replicas)
    counts = [2**power for power in range(int(math.log2(max(2, most))) + 1)]
    asked = [estimate(plan, Workload(prompt=load.prompt, output=load.output, clients=each), known) for each in counts]
    speeds = [each.speed for each in asked if each.speed is not None]
    gpus = plan.tp * plan.pp * plan.replicas
    line = plots.Line(
        name="",
        x=[each.tpot_ms["mean"] for each in speeds],
        y=[each.output_tokens_per_s / gpus for each in speeds],
        labels=[str(count) for count in counts],
    )
    name = "Throughput against latency"
    plot = plots.lines(name, [line], x="mean time per output token, ms", y="output tokens/s a GPU")
    text = (
        f"{load.prompt} prompt and {load.output} output tokens; the numbers are clients that each wait for an answer."
    )
    return Section(title=name, text=text, plot=plot)


def loads(made: Estimate, traffic: Traffic, known: Fit) -> Section:
    """p95 latencies as requests come faster, up to what is sustained."""
    most = sustained(made.plan, traffic, known)
    rates = [share * most for share in LOADS]
    asked = [served(made.plan, open_loop(traffic, rate), known).speed for rate in rates]
    speeds = [each for each in asked if each is not None]
    ttft = plots.Line(name="TTFT p95", x=rates, y=[each.ttft_ms["p95"] for each in speeds])
    tpot = plots.Line(name="TPOT p95", x=rates, y=[each.tpot_ms["p95"] for each in speeds])
    plot = plots.lines("Latency against load", [ttft, tpot], x="requests/s that come by themselves", y="ms", log=True)
    text = f"Simulated up to {LOADS[-1]:.0%} of the {most:.2f} requests/s that are sustained."
    return Section(title="Latency against load", text=text, plot=plot)


def open_loop(traffic: Traffic, rate: float) -> Traffic:
    """The same requests, coming by themselves."""
    return replace(traffic, rate=rate, clients=None, recorded=None)


def sustained(plan: Deployment, traffic: Traffic, known: Fit) -> float:
    """Requests/s that `plan` answers for long; it fits."""
    return capacity(part_engine(plan, known, traffic), traffic) * copies(plan)


def costs(plan: Deployment, traffic: Traffic, known: Fit) -> Section:
    """The same model and weights on every accelerator with a price."""
    made = sorted(offers(plan, traffic, known), key=lambda each: each.usd_million)
    names = [each.plan.title for each in made]
    chosen = next((number for number, each in enumerate(made) if same(each.plan, plan)), None)
    columns = ["replica", "requests/s", "TTFT p95 s", "TPOT p95 ms", "USD/M output tokens"]
    columns += ["USD/month"] if traffic.rate else []
    rows = [cells(each) for each in made]
    text = f"Each replica filled to {FILLED:.0%} of what it sustains, at the lowest price on demand in the catalog."
    text += " USD/month: whole replicas for the load that was asked." if traffic.rate else ""
    plot = plots.bars(
        "Cost by option",
        {name: each.usd_million for name, each in zip(names, made, strict=True)},
        x="USD for a million output tokens",
        chosen="" if chosen is None else names[chosen],
    )
    table = Table(columns=columns, rows=rows, numbers=frozenset(columns[1:]), chosen=chosen)
    return Section(title="Cost by option", text=text, plot=plot, table=table)


def cells(each: Offer) -> tuple[str, ...]:
    """One row of the table of costs; the month only where a load was asked."""
    figures = (f"{each.rate:.2f}", f"{each.ttft_s:.2f}", f"{each.tpot_ms:.1f}", f"{each.usd_million:.2f}")
    return (each.plan.title, *figures, *(() if each.usd_month is None else (f"{each.usd_month:,.0f}",)))


def same(one: Deployment, other: Deployment) -> bool:
    """Whether two replicas are of the same hardware."""
    return (one.gpu, one.tp, one.pp) == (other.gpu, other.tp, other.pp)


def offers(plan: Deployment, traffic: Traffic, known: Fit) -> Iterator[Offer]:
    """One replica of `plan` itself, and on each other accelerator the smallest that fits."""
    price = prices()
    context = int(traffic.lengths.sum(axis=1).max())
    for name in sorted(price):
        device = accelerators()[name]
        if name == plan.gpu.name:
            yield offer(replace(plan, replicas=1), traffic, known, price[name])
        elif device.vendor in VENDORS:
            tokens, seqs = plan.engine.batch_limits(device)
            sizes = (replace(plan, gpu=device, tp=tp, pp=1, replicas=1, tokens=tokens, seqs=seqs) for tp in TP_SIZES)
            candidates = (each for size in sizes for each in supported(size))
            fitting = next((each for each in candidates if not any(refusals(each, context=context))), None)
            if fitting is not None:
                yield offer(fitting, traffic, known, price[name])


def offer(plan: Deployment, traffic: Traffic, known: Fit, usd_hour: float) -> Offer:
    """One replica, filled to FILLED."""
    rate = FILLED * sustained(plan, traffic, known)
    speed = served(plan, open_loop(traffic, rate), known).speed
    assert speed is not None
    hourly = usd_hour * plan.tp * plan.pp
    tokens = rate * float(traffic.lengths[:, 1].mean())
    replicas = None if traffic.rate is None else math.ceil(traffic.rate / rate)
    return Offer(
        plan=plan,
        rate=rate,
        ttft_s=speed.ttft_ms["p95"] / 1e3,
        tpot_ms=speed.tpot_ms["p95"],
        usd_million=hourly / (tokens * 3600) * 1e6,
        usd_month=None if replicas is None else replicas * hourly * MONTH_H,
    )


def cross_check(made: Estimate) -> Iterator[Section]:
    """Where a deployment guide says otherwise."""
    found = disagreements(made)
    if found:
        rows = [(each.setting, each.guide, each.plan, each.why) for each in found]
        table = Table(columns=("setting", "guide", "plan", "why"), rows=rows)
        yield Section(title="Cross-check", text=f"'{guide()['title']}' says otherwise:", table=table)


def sureness(made: Estimate, known: Fit) -> Section:
    """What stands behind the figures."""
    rows = [row for row in known.accuracy["by_source"] if row["source"] == "all"]
    kind = "moe" if made.plan.model.is_moe else "dense"
    error = next(row["median"] for row in rows if row["kind"] == kind)
    text = "Evidence: simulated. On published benchmarks that it had not seen, the planner's throughput of such models"
    text += f" was off by {error:.1%} in the median. This accelerator is '{made.confidence}'."
    return Section(title="How sure this is", text=text)
