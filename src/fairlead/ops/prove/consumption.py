"""Proofs about how much may be used: limits, budgets, fairness, and that one Idempotency-Key is charged once.

What is tried is what the file says, compiled: whom a rule is for, what has an allowance of its own, the money. Rates
are brought to a size that can be tried in seconds, and the engine is a stand-in whose usage is known beforehand.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.ops.prove.access import settled
from fairlead.ops.prove.callers import Answer, Asking, ask, crowd
from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import Stage
from fairlead.ops.prove.stand_in import StandIn, stand_in
from fairlead.ops.prove.traffic import CHAT, chat, usable
from fairlead.render import consumption as render
from fairlead.spec.consumption import Budget, RateLimit
from fairlead.store.keys import id_of

TRIED_S = 2.0
BURST, RATE = 60, 60.0  # requests at once, and a second, that a limit is tried at
TOKENS = 30  # of each request that tries a limit on tokens
OVERLOAD = 8  # callers without a pause: far more than five times what is let in
TOLERANCE = 0.02
STALLS = 2  # tries that may be lost to a busy machine
MOST_TRIED = 3  # rules of a kind
CALLERS = 32
PARTS_OF_A_BUDGET = 50  # what each request costs of it
MOST_CONCURRENT = 64
LONGEST_S = 6.0  # for what ends by itself where the budget holds


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody to whom a rule applies."""

    tenant: str
    role: str
    key: str
    model: str


def subject(stage: Stage, rule: RateLimit | Budget) -> Subject | None:
    """A new key for whom a rule counts; None where no role may chat with a model that it is for."""
    roles = getattr(rule, "roles", ()) or sorted(stage.spec.access.roles)
    for model in rule.models or sorted(stage.spec.models):
        for role in roles:
            if stage.may_chat(role, model):
                tenant = rule.tenants[0] if rule.tenants else f"prove-{uuid.uuid4().hex[:8]}"
                return Subject(tenant, role, stage.key(role, tenant=tenant), model)
    return None


async def gateway(stage: Stage, engine: StandIn, **declared: object) -> int:
    """A gateway before the stand-in for every model, with these parts of the file; nobody knows its window."""
    models = {
        name: model | {"upstreams": [engine.url], "health_path": "/health", "max_model_len": 0, "api_key_env": ""}
        for name, model in stage.config()["models"].items()
    }
    prices = {name: render.price(price) for name, price in stage.spec.prices.items()}
    return await stage.add_gateway(models=models, prices=prices, **declared)


# -- limits -----------------------------------------------------------------------------------------------------------


async def limits(stage: Stage) -> Outcome:
    """Every limit is tried alone: under overload as much is let in as it says; others are let in beside it."""
    found: list[str] = []
    wrong: list[str] = []
    for name, rule in sorted(stage.spec.limits.items())[:MOST_TRIED]:
        who = subject(stage, rule)
        if who is None:
            wrong.append(f"{name}: no role may use what it limits")
            continue
        for kind in ("requests", "tokens", "concurrent"):
            if getattr(rule, kind) is not None:
                holds, figure = await try_limit(stage, name, rule, kind, who, again=STALLS)
                (found if holds else wrong).append(f"{name}: {figure}")
    return Outcome(bool(found) and not wrong, "; ".join(found or wrong), "; ".join(wrong))


async def try_limit(
    stage: Stage, name: str, rule: RateLimit, kind: str, who: Subject, *, again: int
) -> tuple[bool, str]:
    """One limit of one kind, at a size that can be tried.

    Too little let in may be a machine that stood still while the bucket was full, so that is tried `again`; too much
    never is.
    """
    declared = render.rate_limit(rule) | {"requests": None, "tokens": None, "concurrent": None}
    declared["keys"] = [id_of(who.key)] if rule.keys else []
    if kind == "concurrent":
        return await try_concurrent(stage, name, declared, min(rule.concurrent or 0, MOST_CONCURRENT), who)
    unit = TOKENS if kind == "tokens" else 1
    declared[kind] = {"count": RATE * unit, "period_s": 1.0, "burst": float(BURST * unit)}
    async with stand_in() as engine:
        number = await gateway(stage, engine, rate_limits={name: declared})
        asking = Asking(who.key, who.model, prompt=TOKENS // 3, completion=TOKENS - TOKENS // 3)
        answers = await crowd(OVERLOAD, stage, number, asking, for_s=TRIED_S)
        others = await strangers(stage, number, rule, who)
        await stage.end_gateway(number)
    let_in = [answer for answer in answers if answer.status == 200]
    refused = sum(answer.code == "rate_limit_exceeded" for answer in answers)
    if not let_in:
        return False, "nobody was let in"
    last = max(answer.at for answer in let_in)
    # the gateway decided on the first one after it was asked and before its answer was here: too much is what is
    # above the longest time between the decisions, too little what is below the shortest
    allowed = BURST + RATE * (last - min(answer.at for answer in let_in))
    off = len(let_in) / allowed - 1
    too_much = len(let_in) > (1 + TOLERANCE) * (BURST + RATE * (last - min(answer.asked for answer in let_in)))
    # of tokens, what runs holds a reserve on top of what it will use
    too_little = off + 2 / allowed < -TOLERANCE - (2 * OVERLOAD / allowed if kind == "tokens" else 0)
    within = not too_much and not too_little
    if too_little and again:
        return await try_limit(stage, name, rule, kind, who, again=again - 1)
    figure = f"{kind} {len(let_in)} let in of {len(answers)}, {off:+.1%} of burst and rate"
    return within and refused > len(let_in) and others, figure + ("" if others else "; others are refused too")


async def try_concurrent(
    stage: Stage, name: str, declared: dict[str, Any], most: int, who: Subject
) -> tuple[bool, str]:
    """More at once than may run at once."""
    async with stand_in(delay_s=0.5) as engine:
        number = await gateway(stage, engine, rate_limits={name: declared | {"concurrent": most}})
        answers = await asyncio.gather(
            *(ask(stage, number, Asking(who.key, who.model)) for _ in range(most + OVERLOAD))
        )
        await stage.end_gateway(number)
    running = sum(answer.status == 200 for answer in answers)
    return running == most, f"{running} of {len(answers)} at once ran, {most} may"


async def strangers(stage: Stage, number: int, rule: RateLimit | Budget, who: Subject) -> bool:
    """While a tenant is refused, another one is let in, where the rule gives each its own or is not for it."""
    if "tenant" not in rule.per and not rule.tenants:
        return True
    key = stage.key(who.role, tenant=f"other-{uuid.uuid4().hex[:8]}")
    for _ in range(100):
        answer = await ask(stage, number, Asking(key, who.model))
        if answer.status != 401:  # else the gateway has not taken up the new key yet
            return answer.status == 200
        await asyncio.sleep(0.02)
    return False


# -- budgets ----------------------------------------------------------------------------------------------------------


async def budgets(stage: Stage) -> Outcome:
    """32 callers spend each budget: it is never passed, and the ledger and the answers say the same."""
    found: list[str] = []
    wrong: list[str] = []
    for name, budget in sorted(stage.spec.budgets.items())[:MOST_TRIED]:
        who = subject(stage, budget)
        if who is None:
            wrong.append(f"{name}: no role may use what it is for")
            continue
        holds, figure = await try_budget(stage, name, budget, who)
        (found if holds else wrong).append(f"{name}: {figure}")
    return Outcome(bool(found) and not wrong, "; ".join(found or wrong), "; ".join(wrong))


async def try_budget(stage: Stage, name: str, budget: Budget, who: Subject) -> tuple[bool, str]:
    """One budget: spent to its end by requests that cost a fiftieth of it each."""
    declared = render.budget(budget) | {"warn_webhook": ""}
    declared["keys"] = [id_of(who.key)] if budget.keys else []
    price = render.price(stage.spec.prices[who.model])
    amount = int(declared["amount_nano"])
    dearest = "completion" if price["completion_nano"] else "prompt"
    if not price[f"{dearest}_nano"]:
        return False, f"{who.model} costs nothing"
    # a prompt of so many tokens and so few bytes is beyond any estimate: what runs may go beyond the budget then
    slack = CALLERS * amount // PARTS_OF_A_BUDGET if dearest == "prompt" else 0
    tokens = max(1, amount * 10**6 // (price[f"{dearest}_nano"] * PARTS_OF_A_BUDGET))
    asking = Asking(who.key, who.model, **{"prompt": 1, "completion": 1, dearest: tokens})
    async with stand_in(delay_s=0.01) as engine:
        number = await gateway(stage, engine, budgets={name: declared})
        answers = await crowd(CALLERS, stage, number, asking, for_s=LONGEST_S, until=429)
        others = await strangers(stage, number, budget, who)
        paid, recorded = spent(stage, who)
        await stage.end_gateway(number)
    told = sum(answer.total_tokens for answer in answers)
    stopped = any(answer.code == "insufficient_quota" for answer in answers)
    holds = stopped and 0 < paid <= amount + slack and recorded == told and others
    share = f"{paid / amount:.1%} of {budget.amount.amount:f} {budget.amount.currency} spent by {CALLERS} callers"
    return holds, f"{share}; ledger {recorded} tokens, answers {told}"


def spent(stage: Stage, who: Subject) -> tuple[int, int]:
    """Billionths and tokens of a key in the ledger."""
    ledger = stage.ledger()
    try:
        lines = [line for line in ledger.charge_lines() if line.key == id_of(who.key)]
    finally:
        ledger.close()
    return sum(line.cost_nano for line in lines), sum(tokens(line) for line in lines if line.cost_nano)


def tokens(line: Any) -> int:
    """Prompt and completion tokens of a line."""
    return int(line.prompt_tokens + line.completion_tokens)


# -- fairness ---------------------------------------------------------------------------------------------------------

IN_FLIGHT = 4
GREEDY, MODEST = 120, 12  # callers


async def fairness(stage: Stage) -> Outcome:
    """Two tenants of one weight, one with ten times the load: while both wait, they get the same tokens."""
    model, role = usable(stage)
    declared = render.fairness(stage.spec.fairness) or {}
    declared |= {"max_in_flight": IN_FLIGHT, "queue": 2 * GREEDY, "max_wait_s": 3600.0}
    keys = [stage.key(role, tenant=f"{name}-{uuid.uuid4().hex[:8]}") for name in ("greedy", "modest")]
    async with stand_in(delay_s=0.02) as engine:
        number = await gateway(stage, engine, fairness=declared)
        got = await asyncio.gather(
            crowd(GREEDY, stage, number, Asking(keys[0], model, 60, 60), for_s=TRIED_S),
            crowd(MODEST, stage, number, Asking(keys[1], model, 20, 20), for_s=TRIED_S),
        )
        await stage.end_gateway(number)
    end = min(max(answer.at for answer in answers) for answers in got) - 0.2  # both were waiting until here
    greedy, modest = (within(answers, end) for answers in got)
    ratio = greedy / modest if modest else float("inf")
    return Outcome(1 / 1.25 <= ratio <= 1.2, f"10 x the load got {ratio:.2f} x the tokens ({greedy} and {modest})")


def within(answers: list[Answer], end: float) -> int:
    """Tokens of the answers until a moment."""
    return sum(answer.total_tokens for answer in answers if answer.at <= end)


# -- idempotency ------------------------------------------------------------------------------------------------------


async def idempotency(stage: Stage) -> Outcome:
    """The same again is answered from memory, at once or at the same time, streamed or not; another body is refused."""
    model, role = usable(stage)
    key = stage.key(role, tenant=f"once-{uuid.uuid4().hex[:8]}")
    await settled(stage, key, model)
    before = requests_of(stage, key)
    wrong = [text async for text in misdeeds(stage, key, model)]
    charged = requests_of(stage, key) - before
    figure = f"3 keys, 9 requests: {charged} charged"
    return Outcome(charged == 3 and not wrong, figure, "; ".join(wrong))


async def misdeeds(stage: Stage, key: str, model: str) -> Any:
    """What is not as it should be."""
    async with stage.client(key) as client:
        for name, stream in (("whole", False), ("stream", True)):
            asked = chat(model, max_tokens=8, stream=stream)
            headers = {"idempotency-key": name}
            first, again = [await client.post(CHAT, json=asked, headers=headers) for _ in range(2)]
            if (first.status_code, again.status_code) != (200, 200) or first.content != again.content:
                yield f"{name}: {again.status_code}, not the first answer"
            other = await client.post(CHAT, json=chat(model, "another question"), headers=headers)
            if other.status_code != 422:
                yield f"{name}: another body got {other.status_code}"
        asked = chat(model, max_tokens=64)
        at_once = [client.post(CHAT, json=asked, headers={"idempotency-key": "at-once"}) for _ in range(3)]
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*at_once))
        if statuses[0] != 200 or {*statuses} - {200, 409}:
            yield f"at once: {statuses}"


def requests_of(stage: Stage, key: str) -> int:
    """Charged requests of a key in the ledger."""
    ledger = stage.ledger()
    try:
        return sum(line.requests for line in ledger.charge_lines() if line.key == id_of(key))
    finally:
        ledger.close()


def claims(parts: Mapping[str, object]) -> Iterator[str]:
    """Names of rules, as a claim lists them."""
    yield from sorted(parts)[:MOST_TRIED]
    if len(parts) > MOST_TRIED:
        yield f"{len(parts) - MOST_TRIED} more"
