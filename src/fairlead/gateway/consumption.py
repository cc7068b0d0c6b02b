"""How much a caller may use: limits and budgets are reserved before the call and settled after it, once. No I/O.

`Consumption` is the one object that the gateway asks. What applies to a caller and a model is worked out when they
first meet (`Plan`), so that a request costs one look-up. Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fairlead.gateway import consumption_config as gateway
from fairlead.gateway.answers import Refusal
from fairlead.gateway.config import Config
from fairlead.gateway.tables import Caller, RouteTable
from fairlead.policy import limits
from fairlead.policy.budget import FREE, NANO, Account, Budget, Crossed, Price
from fairlead.policy.estimate import completion_reserve, prompt_tokens
from fairlead.policy.fair import Entry, FairQueue, Shed, Terms
from fairlead.policy.limits import Flow, Meter, Pool, Reservation, Rule, Scope, Shortfall, Subject, duration, reserve

LONGEST_RETRY_S = 60.0  # OpenAI's clients wait no longer than this, so a longer wait is no use to them
MOST_STATES = 50_000  # meters and accounts kept before those that say nothing are dropped

PoolMaker = Callable[[Rule, str, tuple[str, ...], Flow, float], Pool]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that applies to one subject."""

    meters: tuple[Meter, ...]
    accounts: tuple[Account, ...]
    price: Price
    context: int  # the model's window in tokens; 0: unknown
    weight: float
    batch: bool


class Admission:
    """What one request holds until it is settled, and what was expected of it (tokens, billionths)."""

    __slots__ = ("completion", "cost", "plan", "prompt", "reservation", "settled")

    def __init__(self, plan: Plan, reservation: Reservation, prompt: int, completion: int, cost: int) -> None:
        self.plan = plan
        self.reservation = reservation
        self.prompt = prompt
        self.completion = completion
        self.cost = cost
        self.settled = False


@dataclass(frozen=True, slots=True)
class Denied:
    """No: the answer, its headers, and which rule or budget said so."""

    refusal: Refusal
    headers: bytes
    rule: str


class Settled(NamedTuple):
    """What a request cost in billionths of the currency, and the budgets that crossed their soft threshold by it."""

    cost_nano: int
    crossed: tuple[Crossed, ...]


class Consumption:
    """Limits, budgets, prices and fairness of one configuration, and the state of all of them."""

    def __init__(self, config: Config, now: float, pool: PoolMaker = limits.local_pool) -> None:
        self._pool = pool
        self._meters: dict[tuple[str, tuple[str, ...]], Meter] = {}
        self._accounts: dict[tuple[str, tuple[str, ...]], Account] = {}
        self._plans: dict[
            tuple[str, str, str, str], Plan
        ] = {}  # by the fields of Subject, whose equal a plain tuple is
        self._rules: Mapping[str, Rule] = {}
        self._budgets: Mapping[str, Budget] = {}
        self._crowded = MOST_STATES
        self.queues: dict[str, FairQueue] = {}
        self.reload(config, now)

    # -- a request ----------------------------------------------------------------------------------------------------

    def admit(
        self, caller: Caller, route: RouteTable, body_bytes: int, max_tokens: int | None, now: float
    ) -> Admission | Denied:
        """Reserve what a request is expected to use, or say why not. `max_tokens`: of all its choices together."""
        model = route.model
        key = (caller.tenant, caller.role, caller.key_id, model.name)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plan(Subject(*key), now)
        prompt = prompt_tokens(body_bytes, model.bytes_per_token)
        completion = completion_reserve(max_tokens, prompt, plan.context)
        reservation = reserve(plan.meters, now, prompt + completion)
        if isinstance(reservation, Shortfall):
            return _limited(reservation, ratelimit_headers(plan.meters, now))
        cost = plan.price.cost(prompt, 0, completion) if plan.accounts else 0
        for number, account in enumerate(plan.accounts):
            if wait_s := account.reserve(now, cost):
                for reserved in plan.accounts[:number]:
                    reserved.unreserve(cost)
                reservation.cancel(now)
                return _overdrawn(account, wait_s)
        return Admission(plan, reservation, prompt, completion, cost)

    def settle(self, admission: Admission, prompt: int, cached: int, completion: int, now: float) -> Settled:
        """The request has ended and used so many tokens (all 0: it came to nothing). A second call changes nothing."""
        plan = admission.plan
        cost = plan.price.cost(prompt, cached, completion)
        if admission.settled:
            return Settled(cost, ())
        admission.settled = True
        admission.reservation.settle(now, prompt + completion)
        admission.reservation.release()
        found = [account.settle(now, admission.cost, cost) for account in plan.accounts]
        return Settled(cost, tuple(crossed for crossed in found if crossed is not None))

    def cancel(self, admission: Admission, now: float) -> None:
        """As if it had not been admitted, the count of requests included: it was shed before it reached an engine."""
        if admission.settled:
            return
        admission.settled = True
        admission.reservation.cancel(now)
        for account in admission.plan.accounts:
            account.unreserve(admission.cost)

    def headers(self, admission: Admission, now: float) -> bytes:
        """`x-ratelimit-*` for the answer."""
        return ratelimit_headers(admission.plan.meters, now)

    # -- a full engine ------------------------------------------------------------------------------------------------

    def entry(self, caller: Caller, admission: Admission, now: float) -> Entry:
        """The request as the model's fair queue takes it; only where fairness is configured."""
        assert self._fairness is not None
        plan = admission.plan
        deadline = now + self._fairness.max_wait_s
        return Entry(caller.tenant, admission.prompt, admission.completion, deadline, plan.weight, plan.batch)

    def room(self, model: str, replicas: int) -> float:
        """Requests that may run at once on so many replicas of a model before others wait; inf without fairness."""
        return self._in_flight[model] * replicas if model in self._in_flight else inf

    # -- the configuration --------------------------------------------------------------------------------------------

    def reload(self, config: Config, now: float) -> tuple[str, ...]:
        """Take up a configuration; unchanged rules keep their state, and a budget keeps what was spent of it.

        Returns the budgets whose spent sum has to be restored from the ledger, because they count something else now.
        """
        rules = {name: rule_of(name, part) for name, part in config.rate_limits.items()}
        kept = {name for name, rule in rules.items() if self._rules.get(name) == rule}
        self._meters = {key: meter for key, meter in self._meters.items() if key[0] in kept}
        budgets = {name: budget_of(name, part) for name, part in config.budgets.items()}
        same = {name for name, budget in budgets.items() if _counts_the_same(self._budgets.get(name), budget)}
        self._accounts = {key: account for key, account in self._accounts.items() if key[0] in same}
        for (name, _), account in self._accounts.items():
            account.change(budgets[name])
        self._rules, self._budgets = rules, budgets
        self._prices = {name: price_of(part) for name, part in config.prices.items()}
        self._contexts = {name: model.max_model_len for name, model in config.models.items()}
        self._fair(config)
        self._plans = {}
        return tuple(sorted(budgets.keys() - same))

    def _fair(self, config: Config) -> None:
        self._fairness = fairness = config.fairness
        if fairness is None:
            self._in_flight: dict[str, int] = {}
            return
        terms = Terms(fairness.queue, fairness.batch_share)
        self._in_flight = {name: fairness.max_in_flight or model.max_num_seqs for name, model in config.models.items()}
        for name in config.models:
            self.queues.setdefault(name, FairQueue(terms)).terms = terms

    def periods(self, now: float) -> dict[str, float]:
        """Each budget's name, and since when its period has run: what the ledger is asked for after a start."""
        return {name: Account(budget, (), now).start for name, budget in self._budgets.items()}

    def restore(self, budget: str, subject: Subject, spent_nano: int, now: float) -> None:
        """Add what the ledger says that a subject has spent in the budget's current period."""
        if self._budgets[budget].scope.applies(subject):
            self._account(self._budgets[budget], subject, now).restore(now, spent_nano)

    def spent(self, now: float) -> Iterable[tuple[str, tuple[str, ...], int, int]]:
        """(budget, owner, spent, amount) of every account that is open, for metrics."""
        for (name, owner), account in sorted(self._accounts.items()):
            account.roll(now)
            yield name, owner, account.spent, account.budget.amount

    # -- looked up once for each subject ------------------------------------------------------------------------------

    def _plan(self, subject: Subject, now: float) -> Plan:
        self._forget_idle(now)
        plan = Plan(
            tuple(self._meter(rule, subject, now) for rule in self._rules.values() if rule.scope.applies(subject)),
            tuple(self._account(each, subject, now) for each in self._budgets.values() if each.scope.applies(subject)),
            self._prices.get(subject.model, FREE),
            self._contexts.get(subject.model, 0),
            self._weight(subject),
            self._fairness is not None and subject.role in self._fairness.batch_roles,
        )
        self._plans[subject] = plan
        return plan

    def _meter(self, rule: Rule, subject: Subject, now: float) -> Meter:
        owner = rule.scope.owner(subject)
        meter = self._meters.get((rule.name, owner))
        if meter is None:
            requests = self._pool(rule, "requests", owner, rule.requests, now) if rule.requests else None
            tokens = self._pool(rule, "tokens", owner, rule.tokens, now) if rule.tokens else None
            meter = self._meters[rule.name, owner] = Meter(rule, requests, tokens)
        return meter

    def _account(self, budget: Budget, subject: Subject, now: float) -> Account:
        owner = budget.scope.owner(subject)
        account = self._accounts.get((budget.name, owner))
        if account is None:
            account = self._accounts[budget.name, owner] = Account(budget, owner, now)
        return account

    def _weight(self, subject: Subject) -> float:
        if self._fairness is None:
            return 1.0
        return self._fairness.tenants.get(subject.tenant) or self._fairness.roles.get(subject.role, 1.0)

    def _forget_idle(self, now: float) -> None:
        """Keep memory bounded: what is forgotten is what a new one would equal."""
        if len(self._meters) + len(self._accounts) + len(self._plans) < self._crowded:
            return
        self._meters = {key: meter for key, meter in self._meters.items() if not meter.idle(now)}
        self._accounts = {key: account for key, account in self._accounts.items() if not account.idle(now)}
        self._plans = {}
        self._crowded = max(MOST_STATES, 2 * (len(self._meters) + len(self._accounts)))


# -- from gateway.json ------------------------------------------------------------------------------------------------


def rule_of(name: str, part: gateway.RateLimit) -> Rule:
    """One of `limits`."""
    return Rule(name, scope_of(part), flow_of(part.requests), flow_of(part.tokens), part.concurrent)


def budget_of(name: str, part: gateway.Budget) -> Budget:
    """One of `budgets`."""
    return Budget(name, scope_of(part), part.amount_nano, part.period, ZoneInfo(part.timezone), part.warn_at)


def price_of(part: gateway.Price) -> Price:
    """One of `prices`."""
    return Price(part.prompt_nano, part.cached_nano, part.completion_nano)


def scope_of(part: gateway.RateLimit | gateway.Budget) -> Scope:
    """Whom a rule or a budget is for."""
    roles = frozenset(part.roles) if isinstance(part, gateway.RateLimit) else frozenset[str]()
    return Scope(part.per, frozenset(part.tenants), roles, frozenset(part.keys), frozenset(part.models))


def flow_of(part: gateway.Flow | None) -> Flow | None:
    """A rate and its burst."""
    return Flow(part.count, part.period_s, part.burst) if part is not None else None


def _counts_the_same(old: Budget | None, new: Budget) -> bool:
    return old is not None and (old.scope, old.period, old.zone.key) == (new.scope, new.period, new.zone.key)


# -- answers ----------------------------------------------------------------------------------------------------------


def ratelimit_headers(meters: tuple[Meter, ...], now: float) -> bytes:
    """OpenAI's figures of the tightest rule, of requests and of tokens; empty where nothing limits them."""
    text = b""
    for kind in ("requests", "tokens"):
        told = limits.standing(meters, kind, now)
        if told is not None:
            name = kind.encode()
            text += b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n" % (
                *(name, told.limit, name, told.remaining),
                *(name, duration(told.reset_s).encode()),
            )
    return text


def retry_headers(wait_s: float) -> bytes:
    """When to come back, to the millisecond; and whether a client should at all."""
    if wait_s == inf:
        return b"x-should-retry: false\r\n"
    should = b"true" if wait_s <= LONGEST_RETRY_S else b"false"
    return b"retry-after-ms: %d\r\nx-should-retry: %b\r\n" % (ceil(wait_s * 1000), should)


def _limited(shortfall: Shortfall, figures: bytes) -> Denied:
    wait_s = shortfall.wait_s
    message = f"The limit {shortfall.rule!r} on {WHAT[shortfall.kind]} is reached."
    if shortfall.useless:
        message = f"The request alone is more than the limit {shortfall.rule!r} on {WHAT[shortfall.kind]} ever allows."
    refusal = too_many(message, "rate_limit_exceeded", shortfall.kind, wait_s)
    return Denied(refusal, retry_headers(wait_s) + figures, shortfall.rule)


def _overdrawn(account: Account, wait_s: float) -> Denied:
    name, amount = account.budget.name, account.budget.amount / NANO
    message = f"The budget {name!r} of {amount:g} for this {PERIODS[account.budget.period]} is used up."
    if wait_s == inf:
        message = f"The request alone may cost more than the budget {name!r} of {amount:g}."
    refusal = too_many(message, "insufficient_quota", "insufficient_quota", wait_s)
    return Denied(refusal, retry_headers(wait_s), name)


def shed(told: Shed) -> Denied:
    """A request that the full engine's queue does not take: 429 when its own tenant fills it, else 503."""
    if told.reason == "queue_full":
        refusal = too_many(
            "The model is busy, and most of its queue is yours.", "tenant_queue_full", "rate_limit_error", told.wait_s
        )
    else:
        wait = duration(told.wait_s)
        message = f"The model is busy: about {wait} until there is room, which is longer than a request may wait."
        refusal = Refusal(503, "overloaded", message, "server_error", retry_after_s=_whole(told.wait_s))
    return Denied(refusal, retry_headers(max(told.wait_s, 1.0)), told.reason)


def too_many(message: str, code: str, kind: str, wait_s: float) -> Refusal:
    """429, with how long to wait in the message too."""
    hint = "" if wait_s == inf else f" Try again in {duration(wait_s)}."
    return Refusal(429, code, message + hint, kind, retry_after_s=_whole(wait_s))


def _whole(wait_s: float) -> int:
    return 0 if wait_s == inf else max(1, ceil(wait_s))


WHAT = {"requests": "requests", "tokens": "tokens", "concurrent": "running requests"}
PERIODS = {"h": "hour", "day": "day", "week": "week", "month": "month"}
