"""A deployment under traffic, as an estimate: percentiles hold the queueing that equal requests in a closed loop hide.

The first requests find an empty fleet and the last ones leave it: neither are measured, but for a recording, of which
all are.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fairlead.plan.autoscale.engine_model import EngineModel
from fairlead.plan.autoscale.planned import missed, part_seconds, planned_engine
from fairlead.plan.autoscale.promise import Lengths
from fairlead.plan.constants import Fit
from fairlead.plan.deployment import Deployment
from fairlead.plan.estimate import Estimate, Queue, Speed, shares, summary
from fairlead.plan.memory import memory, refusals
from fairlead.plan.roofline import factors
from fairlead.plan.serving import Run, capacity, mean_lengths, simulated
from fairlead.plan.traffic import Traffic
from fairlead.plan.workload import Workload, copies, running_limit

MEASURED = (0.2, 0.9)  # of the requests, by their order
POSSIBLE = 0.99  # of the requests must be possible, or the deployment is refused
GROWTH = 0.05  # of the requests that come: a queue that grows by more does not keep up


def served(plan: Deployment, traffic: Traffic, known: Fit) -> Estimate:
    """Estimate `plan` under `traffic`."""
    sizes = traffic.lengths.sum(axis=1)
    context = int(np.quantile(sizes, POSSIBLE, method="inverted_cdf"))
    problems = tuple(refusals(plan, context=context))
    if not problems:
        room = memory(plan, context=context)
        longest = min(plan.model.max_context, int(room.kv_budget / room.kv_sequence * context))
        traffic, context = traffic.within(longest), min(int(sizes.max()), longest)
    mean = mean_request(traffic)
    asked = Estimate(
        plan=plan,
        load=mean,
        memory=memory(plan, context=context),
        problems=problems,
        running=running_limit(plan, mean),
        confidence=known.confidence(plan),
        speed=None,
    )
    if problems:
        return asked
    refused = 1 - len(traffic.lengths) / len(sizes)
    engine = part_engine(plan, known, traffic)
    traffic = traffic.cached_in(engine.kv_tokens * copies(plan))
    run = simulated(engine, traffic, copies(plan))
    return replace(
        asked,
        speed=speed(plan, known, engine, traffic, run),
        queue=queue(plan, known, engine, traffic, run=run, refused=refused),
    )


def mean_request(traffic: Traffic) -> Workload:
    """The traffic's mean request, for the memory that it takes."""
    prompt, output = (math.ceil(each) for each in traffic.lengths.mean(axis=0))
    return Workload(prompt=prompt, output=output, clients=traffic.clients or 1)


def part_engine(plan: Deployment, known: Fit, traffic: Traffic) -> EngineModel:
    """One of the deployment's `copies`, told to run as many sequences as an estimate says (`max_num_seqs`).

    A pipeline's micro-batches share places and KV cache.
    """
    made = planned_engine(plan, known, mean_lengths(traffic))
    places = running_limit(plan, mean_request(traffic)) // plan.pp
    return replace(made, max_sequences=max(1, places), kv_tokens=made.kv_tokens // plan.pp)


def measured(run: Run, traffic: Traffic) -> slice:
    """The requests that find a fleet in its usual state."""
    if traffic.rate is not None and traffic.recorded is not None:
        return slice(None)
    first, last = (int(len(run.ttft_s) * share) for share in MEASURED)
    return slice(first, last)


def speed(plan: Deployment, known: Fit, engine: EngineModel, traffic: Traffic, run: Run) -> Speed:
    """What the measured requests saw. The interval: what the engines can give, and never more than is asked."""
    here = measured(run, traffic)
    output = run.trace.output[here]
    requests_per_s = throughput(plan, traffic, run)
    size = float(output.mean())
    asked, most = math.inf, requests_per_s
    if traffic.rate is not None:
        asked = requests_per_s if keeps_up(plan, engine, traffic, run) else traffic.rate
        most = max(most, capacity(engine, traffic) * copies(plan))
    low, high = (size * min(factor * most, asked) for factor in known.interval(plan))
    ttft, tpot = run.ttft_s[here], run.tpot_s[here]
    several = tpot[output > 1] if (output > 1).any() else tpot
    stay = ttft + tpot * (output - 1)
    return Speed(
        requests_per_s=requests_per_s,
        output_tokens_per_s=requests_per_s * size,
        low=low,
        high=high,
        ttft_ms=summary(ttft, np.ones(len(ttft))),
        tpot_ms=summary(several, np.ones(len(several))),
        e2e_ms=summary(stay, np.ones(len(stay))),
        parts=engine_time(plan, known, run),
    )


def throughput(plan: Deployment, traffic: Traffic, run: Run) -> float:
    """Answers a second between the first and the last measured request; of a recording until all are answered."""
    sent = run.trace.arrival_s[measured(run, traffic)]
    stop = float(run.end_s.max() if len(sent) == len(run.end_s) else sent[-1])
    answers = ((run.end_s > sent[0]) & (run.end_s <= stop)).sum()
    engines = copies(plan) if traffic.rate is None else 1
    return float(answers) / max(stop - float(sent[0]), 1e-9) * engines


def engine_time(plan: Deployment, known: Fit, run: Run) -> dict[str, float]:
    """Where the engines' time goes. Experts count as for the mean number of running sequences."""
    trace = run.trace
    cached = np.zeros_like(trace.prompt) if trace.cached is None else trace.cached
    mean = Lengths.of(trace)
    steps = (trace.output - 1).sum()
    computed = float((trace.prompt - cached).sum())
    attended = float((trace.prompt**2 - cached**2).sum()) / 2 - computed * mean.prompt / 2
    touched = run.iterations * (1 - missed(plan) ** (steps / run.iterations)) if plan.model.is_moe else 0.0
    amounts = np.array([run.iterations, steps, trace.context.sum(), computed, touched, attended])
    each = factors(plan, known.constants.of(plan), served=True)
    return shares(amounts @ part_seconds(plan, mean) * each, 0.0)


def queue(plan: Deployment, known: Fit, engine: EngineModel, traffic: Traffic, *, run: Run, refused: float) -> Queue:
    """How full the fleet is, and what became of the requests that were not simply served."""
    answered = throughput(plan, traffic, run)
    here = measured(run, traffic)
    stay = run.ttft_s[here] + run.tpot_s[here] * (run.trace.output[here] - 1)
    slow, slow_keeps_up = at_the_slow_end(plan, known, engine, traffic)
    return Queue(
        offered_per_s=answered if traffic.rate is None else traffic.rate,
        sustained_per_s=capacity(engine, traffic) * copies(plan),
        keeps_up=keeps_up(plan, engine, traffic, run),
        ongoing=float(stay.mean()) * answered,
        preempted=run.preemptions / len(run.ttft_s),
        refused=refused,
        prefix_share=traffic.prefix_share,
        requests=len(run.ttft_s),
        slow=slow,
        slow_keeps_up=slow_keeps_up,
    )


def at_the_slow_end(
    plan: Deployment, known: Fit, engine: EngineModel, traffic: Traffic
) -> tuple[dict[str, float], bool]:
    """p95 of TTFT and TPOT in ms, and whether the fleet keeps up, were it as slow as the interval allows.

    Close to what is sustained, a few percent of speed decide whether an objective is kept. Clients that wait slow down.
    """
    if traffic.rate is None:
        return {}, True
    slow = engine.slowed(min(1.0, known.interval(plan)[0]))
    run = simulated(slow, traffic, copies(plan))
    here = measured(run, traffic)
    several = run.trace.output[here] > 1
    tpot = run.tpot_s[here][several] if several.any() else run.tpot_s[here]
    p95 = {"TTFT": float(np.quantile(run.ttft_s[here], 0.95)) * 1e3, "TPOT": float(np.quantile(tpot, 0.95)) * 1e3}
    return p95, keeps_up(plan, slow, traffic, run)


def keeps_up(plan: Deployment, engine: EngineModel, traffic: Traffic, run: Run) -> bool:
    """Whether the requests that come can be answered; clients that wait slow down by themselves."""
    if traffic.rate is None:
        return True
    return traffic.rate <= capacity(engine, traffic) * copies(plan) and not grows(run)


def grows(run: Run) -> bool:
    """Whether more requests are under way at the last arrival than half of the requests before, beyond chance."""
    sent = run.trace.arrival_s
    half = len(sent) // 2
    before, after = (int((sent <= now).sum() - (run.end_s <= now).sum()) for now in (sent[half], sent[-1]))
    return after - before > GROWTH * half + 3 * math.sqrt(half)
