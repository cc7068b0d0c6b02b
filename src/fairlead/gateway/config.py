"""`gateway.json` as typed values: the only link between the compiler and the gateway. Read whole or refused whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from fairlead.addresses import is_key_set_url
from fairlead.errors import UserError
from fairlead.gateway.consumption_config import Budget, Fairness, Idempotency, Price, RateLimit
from fairlead.gateway.store_config import Store
from fairlead.variables import VariableError, all_resolved

VERSION = 1
OPERATIONS = {
    b"/v1/chat/completions": "chat",
    b"/v1/completions": "completions",
    b"/v1/embeddings": "embeddings",
    b"/v1/responses": "responses",
}


BATCH = "batch"
"""OpenAI's Files and Batch API, at /v1/files and /v1/batches."""
ADMIN_OPERATIONS = ("admin:keys", "admin:status", "admin:usage")
"""What is asked of the gateway itself and of no model, at /admin/..."""
ASYMMETRIC = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
)
"""Signatures that a public key checks. With HS* whoever may check a token could also make one."""


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A TCP address."""

    host: str
    port: int


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes in bytes, times in seconds; all hold before a request reaches a model."""

    max_connections: int = 10_000
    max_header_bytes: int = 16 * 1024
    max_body_bytes: int = 4 * 1024 * 1024
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The listener's certificate: PEM files. A `client_ca` asks every caller for a certificate by it; "" does not."""

    certificate: str
    key: str
    client_ca: str = ""
    self_signed: bool = False


class Jwt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose tokens are taken, and what they say. Times in seconds."""

    issuer: str
    audience: str
    jwks_url: str
    algorithms: tuple[str, ...]
    tenant_claim: str = "tenant"
    role_claim: str = "role"
    leeway_s: float = 30.0
    stale_for_s: float = 86_400.0


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`attempts` replicas at most are tried for a request; `budget` retries are earned by each request."""

    attempts: int = 2
    budget: float = 0.1


Objective = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")]


class Objectives(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """InferenceObjectives of llm-d, by name: of requests in a hurry, and of those that may wait."""

    interactive: Objective
    batch: Objective


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model is served. `api_key_env` names the variable that holds the engine's key; "" for none."""

    upstreams: tuple[str, ...]
    upstream_model: str
    api_key_env: str = ""
    health_path: str = "/health"
    operations: tuple[str, ...] = ("chat", "completions")
    max_model_len: int = 0  # tokens; 0 where nobody said
    max_num_seqs: int = 0  # requests that a replica runs at once; 0 where nobody said
    engines: Annotated[int, msgspec.Meta(ge=1)] = 1  # that answer behind each upstream, at most: a Service has all
    exact_prompts: bool = False  # ask the engine's tokenizer what a prompt has, where limits or budgets hold
    ttft_promise_s: float = 0.0  # a bucket of TTFT ends there; 0 where nothing is promised
    shown: tuple[str, ...] = ()  # the upstreams as they are shown, where they come from variables
    objectives: Objectives | None = None  # said to who picks an engine; None where the upstreams are engines


class Batches(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Files and Batch API, each number for one tenant but for `concurrency`: bytes, counts, seconds."""

    max_file_bytes: int = 200 * 2**20
    max_rows: int = 50_000
    max_active: int = 10
    storage_bytes: int = 10 * 2**30
    concurrency: int = 8
    window_s: float = 86_400.0
    retention_s: float = 30 * 86_400.0


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public name, the model behind it, and how long an answer may take (seconds)."""

    model: str
    timeout_s: float = 600.0


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a role may use: public names and operations. What is not listed is denied."""

    models: tuple[str, ...]
    operations: tuple[str, ...]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `gateway.json`."""

    version: int
    name: str
    state_dir: str
    listen: Listen
    admin: Listen
    models: dict[str, Model]
    routes: dict[str, Route]
    roles: dict[str, Role]
    limits: Limits = Limits()
    rate_limits: dict[str, RateLimit] = {}
    prices: dict[str, Price] = {}
    currency: str = ""
    budgets: dict[str, Budget] = {}
    fairness: Fairness | None = None
    batches: Batches | None = None
    store: Store = Store()
    replicas: int = 1
    idempotency: Idempotency = Idempotency()
    retry: Retry = Retry()
    tls: Tls | None = None
    jwt: Jwt | None = None
    drain_timeout_s: float = 30.0


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check the file, its `${VAR}` resolved. Raises UserError; a broken file never replaces a good one."""
    try:
        config = read(path.read_bytes(), environ)
    except FileNotFoundError as error:
        raise UserError("no such file", where=str(path), hint="`fairlead up` writes it") from error
    except msgspec.MsgspecError as error:
        raise UserError(f"not a gateway.json: {error}", where=str(path)) from error
    except VariableError as error:
        raise UserError(str(error), where=str(path)) from error
    if config.version != VERSION:
        raise UserError(
            f"version {config.version} is not {VERSION}", where=str(path), hint="compile it with this version"
        )
    for name, route in config.routes.items():
        if route.model not in config.models:
            raise UserError(f"route {name!r} names no model of this file: {route.model!r}", where=str(path))
    if config.jwt is not None:
        check_jwt(config.jwt, path)
    return config


def read(content: bytes, environ: Mapping[str, str]) -> Config:
    """Bytes to values. Raises MsgspecError, VariableError."""
    if b"${" not in content:
        return msgspec.json.decode(content, type=Config)
    written = msgspec.json.decode(content)
    config = msgspec.convert(all_resolved(written, environ), Config)
    models = {
        name: msgspec.structs.replace(
            model,
            upstreams=tuple(base_url(url) for url in model.upstreams),
            shown=tuple(written["models"][name]["upstreams"]),
        )
        for name, model in config.models.items()
    }
    return msgspec.structs.replace(config, models=models, tls=beside(config.tls, Path(config.state_dir).parent))


def beside(tls: Tls | None, folder: Path) -> Tls | None:
    """Files that a variable names are beside the spec too, as the folder of the state is."""
    if tls is None:
        return None
    client_ca = str(folder / tls.client_ca) if tls.client_ca else ""
    return msgspec.structs.replace(
        tls, certificate=str(folder / tls.certificate), key=str(folder / tls.key), client_ca=client_ca
    )


def base_url(url: str) -> str:
    """The URL that /v1 is added to; /v1 itself, which people copy along, is taken off."""
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def check_jwt(jwt: Jwt, path: Path) -> None:
    """What the compiler has refused already, once more: variables are known only here. Raises UserError."""
    unknown = sorted({*jwt.algorithms} - ASYMMETRIC)
    if unknown or not jwt.algorithms:
        raise UserError(f"jwt: no signature of a public key: {', '.join(unknown) or 'none'}", where=str(path))
    if not is_key_set_url(jwt.jwks_url):  # not shown: it may come from a variable
        raise UserError("jwt: jwks_url is neither https nor http on the loopback address", where=str(path))
    if not jwt.issuer or not jwt.audience or not jwt.tenant_claim or not jwt.role_claim:
        raise UserError("jwt: issuer, audience and the names of the claims must not be empty", where=str(path))


def api_keys(config: Config, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Each model's engine key, by model name. Raises UserError where a named variable is not set."""
    wanted = {name: model.api_key_env for name, model in config.models.items() if model.api_key_env}
    missing = sorted(variable for variable in wanted.values() if not environ.get(variable))
    if missing:
        raise UserError(f"environment variables not set: {', '.join(missing)}", hint="they hold the engines' API keys")
    return {name: environ[variable] for name, variable in wanted.items()}
