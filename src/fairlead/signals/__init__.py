"""Every metric that Fairlead emits or reads: gateway, alert rules, dashboards, autoscalers and docs read these tables.

Here stands what the gateway emits; what others emit is in `engine`, `ray`, `gpu` and `cluster`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

# Seconds. TTFT of a warm small model is milliseconds, of a queued large one tens of seconds.
TTFT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


@dataclass(frozen=True, slots=True)
class Signal:
    """One metric. A counter's name ends in `_total`; `buckets` are a histogram's upper bounds in its unit.

    `source` says where the name of somebody else's metric was read.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    source: str = ""


REQUESTS = Signal(
    "fairlead_requests_total",
    "counter",
    ("route", "operation", "code"),
    "Requests answered, by public model name, operation and HTTP status (499: the client left first).",
)
REFUSED = Signal(
    "fairlead_refused_total", "counter", ("code", "reason"), "Requests refused before they reached a model, by reason."
)
TOKENS = Signal(
    "fairlead_tokens_total",
    "counter",
    ("tenant", "model", "kind"),
    "Tokens charged, by kind: prompt, cached (the part of prompt found in the engine's prefix cache), completion.",
)
TTFT = Signal(
    "fairlead_ttft_seconds",
    "histogram",
    ("model",),
    "Time from the end of the request to the first byte of a streamed answer.",
    TTFT_BUCKETS,
)
DURATION = Signal(
    "fairlead_request_duration_seconds",
    "histogram",
    ("model",),
    "Time from the end of the request to the last byte of the answer.",
    DURATION_BUCKETS,
)
IN_FLIGHT = Signal("fairlead_in_flight_requests", "gauge", ("model", "replica"), "Requests now at a replica.")
REPLICA_UP = Signal("fairlead_replica_up", "gauge", ("model", "replica"), "1 when the replica takes requests.")
RETRIES = Signal("fairlead_retries_total", "counter", ("model",), "Requests sent to another replica.")
CONNECTIONS = Signal("fairlead_connections", "gauge", (), "Client connections now open.")
RELOADS = Signal("fairlead_config_reloads_total", "counter", ("result",), "Reloads of gateway.json: applied, refused.")
JOURNAL_LAG = Signal(
    "fairlead_journal_unshipped_bytes", "gauge", (), "Usage records in the journal that are not in the ledger yet."
)
LOG_DROPPED = Signal("fairlead_log_lines_dropped_total", "counter", (), "Log lines lost because the sink stalled.")
LIMITED = Signal(
    "fairlead_limited_total", "counter", ("limit", "kind"), "Requests refused by a limit, by what was short."
)
COST = Signal("fairlead_cost_total", "counter", ("tenant", "model"), "Money charged, in the currency of the prices.")
BUDGET_SPENT = Signal(
    "fairlead_budget_spent", "gauge", ("budget", "owner"), "Money spent of a budget in its period, by this gateway."
)
BUDGET_RESERVED = Signal(
    "fairlead_budget_reserved", "gauge", ("budget", "owner"), "Money set aside for requests under way."
)
BUDGET_AMOUNT = Signal("fairlead_budget_amount", "gauge", ("budget", "owner"), "Money that a budget has in a period.")
BUDGETS_KNOWN = Signal(
    "fairlead_budgets_known", "gauge", (), "0 while the ledger could not be asked what budgets have spent before."
)
BUDGET_WARNINGS = Signal(
    "fairlead_budget_warnings_total", "counter", ("budget",), "Times that the soft threshold of a budget was crossed."
)
WEBHOOKS = Signal(
    "fairlead_budget_webhooks_total", "counter", ("result",), "Posts to webhooks of budgets: sent, failed, dropped."
)
WAITING = Signal("fairlead_waiting_requests", "gauge", ("model",), "Requests that wait because the model is full.")
SHED = Signal(
    "fairlead_shed_total",
    "counter",
    ("model", "reason"),
    "Requests turned away by a full model: queue_full, too_slow (they would wait too long), expired (they did).",
)
IDEMPOTENT = Signal(
    "fairlead_idempotent_requests_total",
    "counter",
    ("action",),
    "Requests with an Idempotency-Key: run, replay; refused: wait (one is running), refuse (another body), lost, full.",
)
BATCHES = Signal("fairlead_batches", "gauge", ("status",), "Batches that have not ended, by status.")
BATCH_ROWS = Signal(
    "fairlead_batch_rows_total",
    "counter",
    ("result",),
    "Rows of batches: answered, failed (in the error file), retried (asked again).",
)
KEY_SET_AGE = Signal(
    "fairlead_key_set_age_seconds", "gauge", (), "Time since the issuer's key set was last fetched; -1: never."
)
KEY_SET_FETCHES = Signal(
    "fairlead_key_set_fetches_total", "counter", ("result",), "Fetches of the issuer's key set: ok, failed."
)
CERTIFICATE_EXPIRY = Signal(
    "fairlead_certificate_expiry_timestamp_seconds", "gauge", (), "When the listener's certificate expires, since 1970."
)
LEASES = Signal("fairlead_leases", "gauge", (), "Shared limits and budgets that this replica holds a part of.")
LEASE_STORE_UP = Signal("fairlead_leases_store_up", "gauge", (), "1 while Redis answers; 0: replicas go on alone.")
LEASE_REPLICAS = Signal("fairlead_leases_replicas", "gauge", (), "Replicas that Redis has heard of lately.")
LEASE_ROUNDS = Signal(
    "fairlead_leases_rounds_total", "counter", ("result",), "Round trips for shared limits and budgets: ok, failed."
)
KEYS_FRESHNESS = Signal(
    "fairlead_keys_freshness",
    "gauge",
    ("state",),
    "1 for what the keys are now: fresh, stale (their database is away), expired (for longer than is declared).",
)
BUILD = Signal("fairlead_build_info", "gauge", ("version", "name"), "Always 1: the version that runs.")

GATEWAY: tuple[Signal, ...] = (
    REQUESTS,
    REFUSED,
    TOKENS,
    TTFT,
    DURATION,
    IN_FLIGHT,
    REPLICA_UP,
    RETRIES,
    CONNECTIONS,
    RELOADS,
    JOURNAL_LAG,
    LOG_DROPPED,
    LIMITED,
    COST,
    BUDGET_SPENT,
    BUDGET_RESERVED,
    BUDGET_AMOUNT,
    BUDGETS_KNOWN,
    BUDGET_WARNINGS,
    WEBHOOKS,
    WAITING,
    SHED,
    IDEMPOTENT,
    BATCHES,
    BATCH_ROWS,
    KEY_SET_AGE,
    KEY_SET_FETCHES,
    CERTIFICATE_EXPIRY,
    LEASES,
    LEASE_STORE_UP,
    LEASE_REPLICAS,
    LEASE_ROUNDS,
    KEYS_FRESHNESS,
    BUILD,
)
