"""A spec becomes `gateway.json`: flat, complete, in seconds and bytes, and the same bytes for the same spec."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairlead.render.consumption import consumption
from fairlead.render.serve_config import HEALTH_PATH as RAY_HEALTH_PATH
from fairlead.render.store import store
from fairlead.spec.batches import Batches
from fairlead.spec.planning import Planned
from fairlead.spec.types import (
    ADMIN_OPERATIONS,
    ALL_ADMIN,
    EVERYTHING,
    AnyModel,
    Gateway,
    Jwt,
    Limits,
    RayModel,
    RemoteModel,
    Role,
    Spec,
    Tls,
)
from fairlead.variables import has_variable

VERSION = 1


def gateway_config(spec: Spec, *, state_dir: Path | str, upstreams: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The gateway's configuration. `upstreams` gives the base URLs of every model that is started here.

    Raises ValueError for a model without any URL, or a `state_dir` that is not absolute: the caller's mistake, not
    the user's.
    """
    if not Path(state_dir).is_absolute():
        raise ValueError(f"state_dir is not absolute: {state_dir}")
    return {
        "version": VERSION,
        "name": spec.name,
        "state_dir": str(state_dir),
        "listen": {"host": spec.gateway.host, "port": spec.gateway.port},
        "admin": {"host": spec.gateway.admin_host, "port": spec.gateway.admin_port},
        "replicas": spec.gateway.replicas,
        "store": store(spec.store),
        "tls": tls(spec.gateway.tls, Path(state_dir)),
        "jwt": jwt(spec.access.jwt),
        "limits": limits(spec.gateway.limits),
        "drain_timeout_s": spec.gateway.drain_timeout,
        "retry": retry(spec.gateway),
        "models": {name: model(name, spec.models[name], upstreams) for name in sorted(spec.models)},
        "routes": routes(spec),
        "roles": {name: role(spec.access.roles[name], spec) for name in sorted(spec.access.roles)},
        "batches": batches(spec.batches),
        **consumption(spec),
    }


def gateway_text(config: Mapping[str, Any]) -> str:
    """The file itself, stable to the byte."""
    return json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def limits(limits: Limits) -> dict[str, int | float]:
    """What a connection may cost."""
    return {
        "max_connections": limits.max_connections,
        "max_header_bytes": limits.max_header,
        "max_body_bytes": limits.max_body,
        "header_timeout_s": limits.header_timeout,
        "body_timeout_s": limits.body_timeout,
        "idle_timeout_s": limits.idle_timeout,
    }


def batches(batches: Batches | None) -> dict[str, Any] | None:
    """The Batch API's quotas: bytes, counts, seconds."""
    if batches is None:
        return None
    return {
        "max_file_bytes": batches.max_file,
        "max_rows": batches.max_rows,
        "max_active": batches.max_active,
        "storage_bytes": batches.storage,
        "concurrency": batches.concurrency,
        "window_s": batches.window,
        "retention_s": batches.retention,
    }


def tls(tls: Tls | None, state_dir: Path) -> dict[str, Any] | None:
    """The listener's certificate. Relative files are beside the spec, as the folder of the state is."""
    if tls is None:
        return None
    own = state_dir / "tls"
    return {
        "certificate": str(own / "server.crt") if tls.self_signed else beside(tls.certificate, state_dir),
        "key": str(own / "server.key") if tls.self_signed else beside(tls.key, state_dir),
        "client_ca": beside(tls.client_ca, state_dir),
        "self_signed": tls.self_signed,
    }


def beside(file: str | None, state_dir: Path) -> str:
    """A file's path from the spec's folder; the gateway finds the one that a variable names."""
    if not file or has_variable(file):
        return file or ""
    return str(state_dir.parent / file)


def jwt(jwt: Jwt | None) -> dict[str, Any] | None:
    """Whose tokens are taken, and what they say."""
    if jwt is None:
        return None
    return {
        "issuer": jwt.issuer,
        "audience": jwt.audience,
        "jwks_url": jwt.jwks_url,
        "algorithms": list(jwt.algorithms),
        "tenant_claim": jwt.tenant_claim,
        "role_claim": jwt.role_claim,
        "leeway_s": jwt.leeway,
        "stale_for_s": jwt.stale_for,
    }


def retry(gateway: Gateway) -> dict[str, int | float]:
    """Tries of one request, and retries as a share of all."""
    return {"attempts": gateway.retry.attempts, "budget": gateway.retry.budget}


def model(name: str, model: AnyModel, upstreams: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Where a model is served and what it offers. An engine started here serves it by its public name."""
    remote = model if isinstance(model, RemoteModel) else None
    urls = remote.urls if remote else upstreams.get(name, ())
    if not urls:
        raise ValueError(f"no upstream for model {name!r}")
    return {
        "upstreams": list(urls),
        "upstream_model": (remote.model if remote else None) or name,
        "api_key_env": (remote.api_key_env if remote else None) or "",
        "health_path": health_path(model),
        "operations": list(model.operations),
        "max_model_len": getattr(model, "max_model_len", None) or 0,
        "max_num_seqs": getattr(model, "max_num_seqs", None) or 0,
        "exact_prompts": getattr(model, "prompt_tokens", "") == "exact",
        **promise(model),
    }


def promise(model: AnyModel) -> dict[str, Any]:
    """What callers are promised, where something is: the share of those who wait longer is counted exactly."""
    slo = model.slo if isinstance(model, Planned) else None
    return {"ttft_promise_s": slo.ttft_p95} if slo is not None and slo.ttft_p95 is not None else {}


def health_path(model: AnyModel) -> str:
    """The path that answers 200 where the model's server is healthy."""
    if isinstance(model, RemoteModel):
        return model.health_path
    return RAY_HEALTH_PATH if isinstance(model, RayModel) else "/health"


def routes(spec: Spec) -> dict[str, dict[str, Any]]:
    """Every public name: each model's own, and the routes."""
    own = {name: {"model": name, "timeout_s": spec.gateway.timeout} for name in spec.models}
    further = {
        name: {"model": route.model, "timeout_s": route.timeout or spec.gateway.timeout}
        for name, route in spec.routes.items()
    }
    return dict(sorted({**own, **further}.items()))


def role(role: Role, spec: Spec) -> dict[str, list[str]]:
    """The public names and operations of a role, written out: the gateway knows no wildcard."""
    names = {*spec.models, *spec.routes} if EVERYTHING in role.models else {*role.models}
    return {"models": sorted(names), "operations": operations(role)}


def operations(role: Role) -> list[str]:
    """The operations of a role, those of admin:* written out."""
    plain = [operation for operation in role.operations if operation != ALL_ADMIN]
    return list(dict.fromkeys([*plain, *(ADMIN_OPERATIONS if ALL_ADMIN in role.operations else ())]))
