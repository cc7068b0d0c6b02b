"""How much a caller may use: limits and budgets are reserved before the call and settled after it, once. No I/O.

`Consumption` is the one object that the gateway asks. What applies to a caller and a model is worked out when they
first meet (`Plan`), so that a request costs one look-up. Times are seconds since 1970.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from fairlead.gateway import consumption_config as gateway
from fairlead.gateway.allowance import figures_of, limited, overdrawn, ratelimit_headers
from fairlead.gateway.answers import LIMITS_UNAVAILABLE
from fairlead.gateway.config import Config
from fairlead.gateway.head import Refused
from fairlead.gateway.tables import Caller, ModelTable
from fairlead.policy import limits
from fairlead.policy.budget import FREE, Account, Budget, Crossed, Price
from fairlead.policy.estimate import completion_reserve, prompt_tokens
from fairlead.policy.fair import Entry, FairQueue, Terms
from fairlead.policy.limits import Flow, Meter, Pool, Rule, Scope, Subject, cancel, reserve, settle

FIGURES_S = 0.001  # so old `x-ratelimit-*` may be: a busy caller's answers share them (bench/microseconds.py)
MOST_STATES = 50_000  # meters and accounts kept before those that say nothing are dropped

PoolMaker = Callable[[Rule, str, tuple[str, ...], Flow, float], Pool]
AccountMaker = Callable[[Budget, tuple[str, ...], float], Account]


class Plan:
    """All that applies to one subject."""

    __slots__ = ("accounts", "batch", "context", "crossings", "figures", "meters", "price", "told", "told_at", "weight")

    def __init__(self, meters: tuple[Meter, ...], accounts: tuple[Account, ...], price: Price, context: int) -> None:
        self.meters = meters
        self.accounts = accounts
        self.price = price
        self.context = context  # the model's window in tokens; 0: unknown
        self.figures = figures_of(meters)
        self.weight = 1.0
        self.batch = False
        self.crossings: list[Crossed] = []
        self.told = b""  # the headers that tell what is left, and when they were made
        self.told_at = -inf


class Admission:
    """What one request holds until it is settled or cancelled, and what was expected of it (tokens, billionths)."""

    __slots__ = ("at", "completion", "cost", "plan", "prompt", "settled")

    def __init__(self, plan: Plan, prompt: int, completion: int, cost: int, at: float) -> None:
        self.plan = plan
        self.prompt = prompt
        self.completion = completion
        self.cost = cost
        self.at = at  # when it last took or gave back
        self.settled = False

    def settle(self, prompt: int, cached: int, completion: int, now: float) -> int:
        """The request has ended and used so many tokens (all 0: it came to nothing); returns what it cost.

        What is held is given back once: a second call changes nothing.
        """
        plan = self.plan
        cost = plan.price.cost(prompt, cached, completion)
        if self.settled:
            return cost
        self.settled = True
        self.at = now
        settle(plan.meters, now, self.prompt + self.completion - prompt - completion)
        for account in plan.accounts:
            if (crossed := account.settle(now, self.cost, cost)) is not None:
                plan.crossings.append(crossed)
        return cost

    def cancel(self, now: float) -> None:
        """As if it had not been admitted, the count of requests included: it was shed before it reached an engine."""
        if self.settled:
            return
        self.settled = True
        cancel(self.plan.meters, now, self.prompt + self.completion)
        for account in self.plan.accounts:
            account.unreserve(self.cost)

    def headers(self) -> bytes:
        """`x-ratelimit-*` for the answer."""
        plan, now = self.plan, self.at
        if not 0.0 <= now - plan.told_at < FIGURES_S:
            plan.told, plan.told_at = ratelimit_headers(plan.figures, now), now
        return plan.told


class Standing(NamedTuple):
    """A budget's labels (name, owner), and billionths of the currency."""

    labels: tuple[str, str]
    spent: int
    reserved: int
    amount: int


class Consumption:
    """Limits, budgets, prices and fairness of one configuration, and the state of all of them.

    `crossings` collects the budgets whose soft threshold was crossed, for whoever tells of them; `refused` counts what
    limits refused, by their name and by what was short.
    """

    def __init__(
        self,
        config: Config,
        now: float,
        pool: PoolMaker = limits.local_pool,
        account: AccountMaker = Account,
        denying: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pool = pool
        self._new_account = account
        self._denying = denying  # whether what is shared is denied now, because nobody can say how much there is
        self._meters: dict[tuple[str, tuple[str, ...]], Meter] = {}
        self._accounts: dict[tuple[str, tuple[str, ...]], Account] = {}
        self._plans: dict[tuple[str, str, str, str], Plan] = {}  # by a Subject, which a plain tuple equals
        self._rules: Mapping[str, Rule] = {}
        self._budgets: Mapping[str, Budget] = {}
        self._crowded = MOST_STATES
        self.crossings: list[Crossed] = []
        self.refused: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.queues: dict[str, FairQueue] = {}
        self.reload(config, now)

    # -- a request ----------------------------------------------------------------------------------------------------

    def admit(
        self,
        caller: Caller,
        model: ModelTable,
        body_bytes: int,
        max_tokens: int | None,
        now: float,
        *,
        choices: int = 1,
        prompt: int | None = None,
    ) -> Admission:
        """Reserve what a request is expected to use. Raises Refused (429).

        `max_tokens`: of each of its choices. `prompt`: its tokens where they are known, else they are estimated.
        """
        key = (caller.tenant, caller.role, caller.key_id, model.name)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plan(Subject(*key), now)
        if prompt is None:
            prompt = prompt_tokens(body_bytes, model.bytes_per_token)
        completion = completion_reserve(max_tokens, prompt, plan.context) * choices
        if (shortfall := reserve(plan.meters, now, prompt + completion)) is not None:
            self.refused[shortfall.rule, shortfall.kind] += 1
            if self._denying() and shortfall.kind != "concurrent" and not shortfall.useless:
                raise Refused(LIMITS_UNAVAILABLE)
            raise limited(shortfall, ratelimit_headers(plan.figures, now))
        accounts = plan.accounts
        cost = plan.price.cost(prompt, 0, completion) if accounts else 0
        for number, account in enumerate(accounts):
            if wait_s := account.reserve(now, cost):
                for reserved in accounts[:number]:
                    reserved.unreserve(cost)
                cancel(plan.meters, now, prompt + completion)
                if self._denying() and wait_s != inf:
                    raise Refused(LIMITS_UNAVAILABLE)
                raise overdrawn(account, wait_s, ratelimit_headers(plan.figures, now))
        return Admission(plan, prompt, completion, cost, now)

    def headers(self, caller: Caller, model: ModelTable, now: float) -> bytes:
        """`x-ratelimit-*` for an answer that was not admitted here."""
        plan = self._plans.get((caller.tenant, caller.role, caller.key_id, model.name))
        return ratelimit_headers(plan.figures, now) if plan is not None else b""

    # -- a full engine ------------------------------------------------------------------------------------------------

    def entry(self, caller: Caller, admission: Admission, now: float, *, patient: bool = False) -> Entry:
        """The request as the model's fair queue takes it; only where fairness is configured.

        `patient`: it waits behind all others, whatever its role, and as long as its request has time.
        """
        assert self._fairness is not None
        plan = admission.plan
        deadline = inf if patient else now + self._fairness.max_wait_s
        return Entry(
            caller.tenant, admission.prompt, admission.completion, deadline, plan.weight, plan.batch or patient
        )

    def in_flight(self, model: str) -> int:
        """Requests that may run at once in a replica of a model before others wait; 0: nobody ever waits here."""
        return self._in_flight.get(model, 0)

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

    def spent(self, now: float) -> Iterable[Standing]:
        """How every budget that is in use stands, for metrics."""
        for (name, owner), account in self._accounts.items():
            account.roll(now)
            yield Standing((name, ",".join(owner)), account.spent, account.reserved, account.budget.amount)

    # -- looked up once for each subject ------------------------------------------------------------------------------

    def _plan(self, subject: Subject, now: float) -> Plan:
        self._forget_idle(now)
        plan = Plan(
            tuple(self._meter(rule, subject, now) for rule in self._rules.values() if rule.scope.applies(subject)),
            tuple(self._account(each, subject, now) for each in self._budgets.values() if each.scope.applies(subject)),
            self._prices.get(subject.model, FREE),
            self._contexts.get(subject.model, 0),
        )
        plan.crossings = self.crossings
        if self._fairness is not None:
            plan.weight = self._weight(self._fairness, subject)
            plan.batch = subject.role in self._fairness.batch_roles
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
            account = self._accounts[budget.name, owner] = self._new_account(budget, owner, now)
        return account

    @staticmethod
    def _weight(fairness: gateway.Fairness, subject: Subject) -> float:
        return fairness.tenants.get(subject.tenant) or fairness.roles.get(subject.role, 1.0)

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
