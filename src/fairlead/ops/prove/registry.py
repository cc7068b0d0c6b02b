"""Every proof, and which proof stands behind each field of the spec."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.ops.prove import access, batches, books, consumption, identity, shared_batches, stores, tls, traffic, wire
from fairlead.ops.prove.outcome import Proof
from fairlead.spec.batches import Batches
from fairlead.spec.consumption import Budget, Fairness, Price, RateLimit
from fairlead.spec.delivery import ArgoCd, Delivery
from fairlead.spec.deploy import Backup, Cache, Deploy, Images, Ingress, Override, Reach, Schedule, Secrets
from fairlead.spec.engines import Disaggregation, KServe, LlmD, RayCluster
from fairlead.spec.infrastructure import Infrastructure
from fairlead.spec.jobs import Job
from fairlead.spec.monitoring import Mail, Monitoring, PagerDuty, Receivers, Slack
from fairlead.spec.planning import Autoscaling, Hardware, HourPrices, NodePool, Slo, Workload
from fairlead.spec.ray import Ray, RayScaling
from fairlead.spec.types import OpenVinoModel, RayModel, RemoteModel, Spec, VllmModel
from fairlead.units import format_bytes, format_seconds


def _bounded_queue(spec: Spec) -> str:
    sizes = [
        model.replicas * (model.max_num_seqs + model.max_queue)
        for model in spec.models.values()
        if isinstance(model, OpenVinoModel)
    ]
    return "" if any(size <= 400 for size in sizes) else "no embedded engine with a queue that can be filled here"


def _jwt(spec: Spec) -> str:
    algorithms = ", ".join(spec.access.jwt.algorithms) if spec.access.jwt else "none"
    return f"tokens of the declared issuer are taken, by {algorithms}; forged ones are not"


PROOFS: tuple[Proof, ...] = (
    Proof(
        "authn", lambda spec: "nobody is answered without a working key; a revoked key ends within 1 s", access.authn
    ),
    Proof(
        "authz",
        lambda spec: f"{len(spec.access.roles)} roles may do what the file says and nothing else",
        access.authz,
    ),
    Proof("jwt", _jwt, identity.tokens, applies=lambda spec: "" if spec.access.jwt else "access.jwt is not declared"),
    Proof(
        "tls",
        lambda spec: (
            "callers are heard over TLS 1.2 or newer alone"
            + (", and with a certificate" if spec.gateway.tls and spec.gateway.tls.client_ca else "")
        ),
        tls.tls,
        applies=lambda spec: "" if spec.gateway.tls else "gateway.tls is not declared",
    ),
    Proof("cancel", lambda spec: "a client that leaves frees the engine within 1 s", traffic.cancel),
    Proof(
        "overload",
        lambda spec: "requests beyond what replicas run and queue are told to come back, at once",
        traffic.overload,
        applies=_bounded_queue,
    ),
    Proof(
        "deadline",
        lambda spec: f"a request is cut at its deadline (declared: {format_seconds(spec.gateway.timeout)})",
        traffic.deadline,
    ),
    Proof(
        "sizes",
        lambda spec: (
            f"headers end at {format_bytes(spec.gateway.limits.max_header)}, "
            f"bodies at {format_bytes(spec.gateway.limits.max_body)}"
        ),
        wire.sizes,
    ),
    Proof("slowness", lambda spec: "slow, silent and too many connections are ended as declared", wire.slowness),
    Proof("context", lambda spec: "a prompt longer than the model's window is refused", traffic.context),
    Proof("durability", lambda spec: "kill -9 of the gateway loses no record of an answer", books.durability),
    Proof(
        "shared-limits",
        lambda spec: f"{spec.gateway.replicas} replicas keep one limit together, not one each",
        stores.shared_limits,
        applies=lambda spec: "" if spec.store and spec.store.redis else "store.redis is not declared",
        needs=stores.missing_redis,
    ),
    Proof(
        "fail-modes",
        stores.claim,
        stores.fail_modes,
        applies=lambda spec: "" if spec.store else "no store is declared",
        needs=stores.missing_both,
    ),
    Proof("silence", lambda spec: "no prompt, answer or key is in any file", books.silence),
    Proof(
        "limits",
        lambda spec: f"under overload limits let in what they say: {', '.join(consumption.claims(spec.limits))}",
        consumption.limits,
        applies=lambda spec: "" if spec.limits else "no limit is declared",
    ),
    Proof(
        "budgets",
        lambda spec: f"budgets are never passed, and books agree: {', '.join(consumption.claims(spec.budgets))}",
        consumption.budgets,
        applies=lambda spec: "" if spec.budgets else "no budget is declared",
    ),
    Proof(
        "fairness",
        lambda spec: "tenants that wait for a full model share it by weight in tokens",
        consumption.fairness,
        applies=lambda spec: "" if spec.fairness else "no fairness is declared",
    ),
    Proof(
        "batches",
        lambda spec: "a batch survives kill -9 with each row once; quotas hold, and nothing is another tenant's",
        batches.batches,
        applies=lambda spec: "" if spec.batches else "batches is not declared",
    ),
    Proof(
        "shared-batches",
        lambda spec: "each gateway knows every batch, and one of them works on it",
        shared_batches.shared_batches,
        applies=shared_batches.applies,
        needs=shared_batches.missing_postgres,
    ),
    Proof(
        "idempotency",
        lambda spec: "an Idempotency-Key is answered by one run and charged once",
        consumption.idempotency,
    ),
    Proof("drain", lambda spec: "a stopping gateway finishes its streams and takes no new connection", traffic.drain),
)

DESCRIPTIVE: frozenset[str] = frozenset({"Spec.apiVersion", "Spec.name", "Spec.environment"})
"""Fields that say what something is called, or choose defaults."""

ENGINE_TESTS = "test:tests/engine/test_commands.py"  # what an engine is started with is tested on the engine itself
_SHARES = "test:tests/gateway/test_fairness.py"
_ALLOWANCES = "test:tests/policy/test_allowances.py"
_RENDERED = "test:tests/render/test_fields.py"
_PLANNED = (Hardware, NodePool, HourPrices, Workload, Slo, Autoscaling, Infrastructure)
_DEPLOYED = (
    Deploy,
    Images,
    Ingress,
    Secrets,
    Cache,
    Schedule,
    Backup,
    Reach,
    Override,
    RayCluster,
    KServe,
    LlmD,
    Disaggregation,
    Job,
)
_RAY = "test:tests/engine/test_ray_fields.py"
_MONITORING = "test:tests/render/monitoring/test_monitoring.py"
FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("Spec.hardware", "Spec.infrastructure", "Spec.deploy"), _RENDERED),
    **{f"{part.__name__}.{name}": _RENDERED for part in (*_PLANNED, *_DEPLOYED) for name in part.model_fields},
    "Spec.delivery": _RENDERED,
    **{f"{part.__name__}.{name}": _RENDERED for part in (Delivery, ArgoCd) for name in part.model_fields},
    "Spec.ray": _RAY,
    **{f"{part.__name__}.{name}": _RAY for part in (RayModel, RayScaling, Ray) for name in part.model_fields},
    "Spec.monitoring": _MONITORING,
    **{
        f"{part.__name__}.{name}": _MONITORING
        for part in (Monitoring, Receivers, Slack, PagerDuty, Mail)
        for name in part.model_fields
    },
    "Spec.limits": "limits",
    "Spec.prices": "budgets",
    "Spec.budgets": "budgets",
    "Spec.fairness": "fairness",
    **dict.fromkeys((f"RateLimit.{name}" for name in RateLimit.model_fields), "limits"),
    "RateLimit.burst": "test:tests/gateway/test_consumption.py",
    **dict.fromkeys((f"Price.{name}" for name in Price.model_fields), "budgets"),
    "Price.cached": _ALLOWANCES,
    **dict.fromkeys((f"Budget.{name}" for name in Budget.model_fields), "budgets"),
    "Budget.timezone": _ALLOWANCES,
    "Budget.warn_at": "test:tests/gateway/test_consumption.py",
    "Budget.warn_webhook": "test:tests/gateway/test_consumption.py",
    **dict.fromkeys((f"Fairness.{name}" for name in Fairness.model_fields), _SHARES),
    "Fairness.batch_beside": "test:tests/batch/test_yield.py",
    "Spec.batches": "batches",
    **dict.fromkeys((f"Batches.{name}" for name in Batches.model_fields), "batches"),
    "Batches.storage": "test:tests/batch/test_api.py",
    "Batches.concurrency": "test:tests/batch/test_lives.py",
    "Batches.window": "test:tests/batch/test_lives.py",
    "Batches.retention": "test:tests/batch/test_lives.py",
    "Gateway.idempotency": "idempotency",
    "Idempotency.lifetime": "test:tests/gateway/test_idempotency.py",
    "Idempotency.memory": "test:tests/gateway/test_idempotency.py",
    "Spec.models": "authz",
    "Spec.routes": "authz",
    "Spec.access": "authz",
    "Spec.gateway": "sizes",
    "OpenVinoModel.engine": ENGINE_TESTS,
    "OpenVinoModel.source": "test:tests/engine/test_source.py",
    "OpenVinoModel.replicas": "overload",
    "OpenVinoModel.max_model_len": "context",
    "OpenVinoModel.max_num_seqs": "overload",
    "OpenVinoModel.max_queue": "overload",
    "OpenVinoModel.kv_cache": "test:tests/engine/openvino/test_openvino_server.py",
    "OpenVinoModel.operations": "authz",
    **dict.fromkeys((f"VllmModel.{name}" for name in VllmModel.model_fields), ENGINE_TESTS),
    "VllmModel.source": "test:tests/engine/test_source.py",
    "VllmModel.operations": "authz",
    **dict.fromkeys(
        (f"RemoteModel.{name}" for name in RemoteModel.model_fields), "test:tests/spec/test_gateway_json.py"
    ),
    "RemoteModel.operations": "authz",
    "VllmModel.prompt_tokens": "test:tests/gateway/test_counting.py",
    "RemoteModel.prompt_tokens": "test:tests/gateway/test_counting.py",
    "Route.model": "authz",
    "Route.timeout": "deadline",
    "Access.keys": "authn",
    "Access.roles": "authz",
    "Access.jwt": "jwt",
    "Jwt.issuer": "jwt",
    "Jwt.audience": "jwt",
    "Jwt.jwks_url": "jwt",
    "Jwt.algorithms": "jwt",
    "Jwt.tenant_claim": "jwt",
    "Jwt.role_claim": "jwt",
    "Jwt.leeway": "jwt",
    "Jwt.stale_for": "jwt",
    "Gateway.tls": "tls",
    "Tls.certificate": "test:tests/identity/test_tls.py",
    "Tls.key": "test:tests/identity/test_tls.py",
    "Tls.client_ca": "tls",
    "Tls.self_signed": "tls",
    "Keys.max_age": "authn",
    "Keys.rotation_overlap": "test:tests/store/test_keys.py",
    "Role.models": "authz",
    "Role.operations": "authz",
    "Gateway.host": "test:tests/spec/test_gateway_json.py",
    "Gateway.port": "test:tests/spec/test_gateway_json.py",
    "Gateway.admin_host": "test:tests/spec/test_gateway_json.py",
    "Gateway.admin_port": "test:tests/spec/test_gateway_json.py",
    "Gateway.replicas": "test:tests/replicas/test_up_replicas.py",
    "Spec.store": "fail-modes",
    "Store.postgres": "fail-modes",
    "Store.redis": "shared-limits",
    "Postgres.url_env": "fail-modes",
    "Postgres.keys_stale_for": "test:tests/replicas/test_postgres_down.py",
    "Redis.url_env": "shared-limits",
    "Redis.lease": "test:tests/policy/test_lease.py",
    "Redis.when_gone": "fail-modes",
    "Gateway.timeout": "deadline",
    "Gateway.drain_timeout": "drain",
    "Gateway.retry": "test:tests/gateway/test_replicas.py",
    "Gateway.limits": "sizes",
    "Retry.attempts": "test:tests/gateway/test_replicas.py",
    "Retry.budget": "test:tests/policy/test_balance.py",
    "Limits.max_connections": "slowness",
    "Limits.max_header": "sizes",
    "Limits.max_body": "sizes",
    "Limits.header_timeout": "slowness",
    "Limits.body_timeout": "slowness",
    "Limits.idle_timeout": "slowness",
}
"""Field -> the proof that would fail without its enforcement, or the test file where it cannot be tried on a stage."""
