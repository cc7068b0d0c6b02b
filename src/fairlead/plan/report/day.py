"""The section of a simulated day: requests as they come, and the replicas that two policies keep for them."""

from __future__ import annotations

import numpy as np

from fairlead.errors import UserError
from fairlead.plan.autoscale.compare import POLICIES, first_replicas, peak_replicas, result_of
from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import EngineModel, Slo
from fairlead.plan.autoscale.fleet import Bounds, Outcome, simulate
from fairlead.plan.autoscale.planned import planned_engine
from fairlead.plan.autoscale.thresholds import Thresholds, derive
from fairlead.plan.autoscale.traces import DEFAULT_DAY, day, rates_of
from fairlead.plan.capacity import startup_s
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.report import plots
from fairlead.plan.report.page import Section, Table
from fairlead.plan.serving import mean_lengths
from fairlead.plan.suggest import prices
from fairlead.plan.traffic import Traffic

SHOWN = ("static", "capacity")
MOST_REQUESTS = 200_000  # some seconds of simulation
WINDOW_S = 600.0
HOUR_S = 3600.0
TITLE = "A simulated day"


def day_section(engine: EngineModel, traffic: Traffic, slo: Slo) -> Section:
    """A day of ServeGen's shape whose busiest ten minutes have the traffic's rate, on replicas that are `engine`s."""
    rates, window_s = rates_of(DEFAULT_DAY)
    requests = (traffic.rate or 0.0) * float(rates.sum() / rates.max()) * window_s
    if requests > MOST_REQUESTS:
        text = f"It would have {requests:,.0f} requests: see `fairlead plan simulate --requests {requests:.0f}`."
        return Section(title=TITLE, text=text)
    trace = day(rates, window_s, traffic.lengths, requests=requests, seed=traffic.seed, name=DEFAULT_DAY)
    try:
        derived = derive(trace, engine, slo, traffic.seed)
    except UserError as error:
        return Section(title=TITLE, text=f"No number of replicas keeps the SLO: {error.problems[0].message}.")
    return drawn(trace, derived, traffic.seed)


def day_engine(plan: Deployment, traffic: Traffic, known: Fit, slo: Slo) -> EngineModel:
    """One replica of `plan` as the day knows it; free where no price is known."""
    return planned_engine(
        plan,
        known,
        mean_lengths(traffic),
        tpot_s=slo.tpot_s,
        startup_s=startup_s(plan),
        price_per_hour=prices().get(plan.gpu.name, 0.0) * plan.tp * plan.pp,
    )


def drawn(trace: Trace, derived: Thresholds, seed: int) -> Section:
    """The day under the policies SHOWN."""
    bounds = Bounds(initial=first_replicas(trace, derived), most=4 * peak_replicas(trace, derived))
    lines, rows = [requests_line(trace)], []
    for name in SHOWN:
        policy = POLICIES[name](trace, derived)
        outcome = simulate(trace, derived.promise.engine, policy, bounds, np.random.default_rng(seed))
        made = result_of(trace, derived, policy, bounds, outcome)
        lines.append(replicas_line(made.policy, outcome))
        shares = (f"{made.attainment:.2%}", f"{made.worst:.1%}")
        rows.append((made.policy, *shares, f"{made.gpu_hours:,.1f}", f"{made.cost:,.2f}"))
    slo = derived.promise.slo
    text = (
        f"{len(trace.arrival_s):,} requests with the shape of ServeGen's reasoning day. SLO: TTFT {slo.ttft_s:g} s and"
    )
    text += f" TPOT {slo.tpot_s * 1e3:g} ms for {slo.attainment:.0%} of them; a replica starts in"
    text += f" {derived.promise.engine.startup_s:g} s."
    columns = ("policy", "in SLO", "worst 10 min", "GPU-hours", "USD")
    plot = plots.lines(TITLE, lines, x="hour of the day", y="requests/s; replicas")
    table = Table(columns=columns, rows=rows, numbers=frozenset(columns[1:]))
    return Section(title=TITLE, text=text, plot=plot, table=table)


def requests_line(trace: Trace) -> plots.Line:
    """Requests/s in every ten minutes."""
    counts = np.bincount((trace.arrival_s / WINDOW_S).astype(np.int64))
    hours = np.arange(len(counts)) * WINDOW_S / HOUR_S
    return plots.Line(name="requests/s", x=hours.tolist(), y=(counts / WINDOW_S).tolist(), steps=True)


def replicas_line(policy: str, outcome: Outcome) -> plots.Line:
    """Replicas that are paid, at every look of the policy."""
    moments = [now / HOUR_S for now, _, _ in outcome.replicas]
    billed = [float(replicas) for _, _, replicas in outcome.replicas]
    return plots.Line(name=f"replicas: {policy}", x=moments, y=billed, steps=True)
