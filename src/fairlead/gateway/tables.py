"""What the hot path looks up, worked out beforehand. A reload builds a new set and swaps it by one assignment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.config import OPERATIONS, Config, Objectives
from fairlead.gateway.upstream import Replica
from fairlead.store.contract import KnownKeys
from fairlead.store.keys import Freshness, Key

REQUEST_HEAD = (
    b"POST %b%b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\n%b"
    b"content-length: %d\r\nx-request-id: %b\r\n\r\n"
)
OBJECTIVE = b"x-llm-d-inference-objective: %b\r\n"
"""What llm-d's endpoint picker reads a request's priority from (llm-d-router 0.10, pkg/epp/metadata/consts.go). Heads
are made here and never passed on, so no caller can say it."""
TOKENIZE = "tokenize"  # nothing that callers ask for
PATHS = {**{operation: path for path, operation in OPERATIONS.items()}, TOKENIZE: b"/tokenize"}


@dataclass(slots=True)
class ModelTable:
    """A model: its replicas, what it can do, and the learned size of a token (bytes of request per prompt token).

    `engine_headers` are those of a request in a hurry, `batch_headers` those of one that may wait.
    """

    name: str
    upstream_model: str
    operations: frozenset[str]
    replicas: tuple[Replica, ...]
    engine_headers: bytes
    batch_headers: bytes
    turn: int = 0
    bytes_per_token: float = 4.0  # a usual figure for English text; follows what the engine reports
    exact_prompts: bool = False  # the engine's tokenizer counts them before a call


@dataclass(frozen=True, slots=True)
class RouteTable:
    """A public name, the model behind it, and its deadline in seconds."""

    name: str
    model: ModelTable
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may: `allowed[operation][model name]` is the route."""

    hash: bytes
    tenant: str
    key_id: str
    role: str
    expires_at: float
    allowed: Mapping[str, Mapping[str, RouteTable]]
    models_body: bytes


@dataclass(slots=True)
class Tables:
    """All lookups of one configuration."""

    config: Config
    models: Mapping[str, ModelTable]
    routes: Mapping[str, RouteTable]
    callers: Mapping[str, Caller] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()  # ids of keys that worked once
    unknown_key: Refusal = answers.WRONG_KEY  # what a key is told that is in neither
    keys_freshness: Freshness = "fresh"
    keys_version: object = None  # of the store, when the callers were taken up
    rights: Mapping[str, Mapping[str, Mapping[str, RouteTable]]] = field(default_factory=dict)  # by role
    bodies: Mapping[str, bytes] = field(default_factory=dict)  # the answer to GET /v1/models, by role


def build(config: Config, replicas: Mapping[str, Replica], engine_keys: Mapping[str, str]) -> Tables:
    """Tables for a configuration. `replicas`: by URL, so that a reload keeps connections and counts."""
    models = {
        name: ModelTable(
            name,
            model.upstream_model,
            frozenset(model.operations),
            tuple(replicas[url] for url in model.upstreams),
            *headers(engine_keys.get(name, ""), model.objectives),
            exact_prompts=model.exact_prompts,
        )
        for name, model in config.models.items()
    }
    routes = {name: RouteTable(name, models[route.model], route.timeout_s) for name, route in config.routes.items()}
    tables = Tables(config, models, routes)
    tables.rights = {role: allowed(tables, role) for role in config.roles}
    tables.bodies = {role: models_body(visible(rights)) for role, rights in tables.rights.items()}
    return tables


def headers(engine_key: str, objectives: Objectives | None) -> tuple[bytes, bytes]:
    """What a model's requests say beyond their body: in a hurry, and not."""
    key = f"authorization: Bearer {engine_key}\r\n".encode() if engine_key else b""
    if objectives is None:
        return key, key
    return key + OBJECTIVE % objectives.interactive.encode(), key + OBJECTIVE % objectives.batch.encode()


def take_up(tables: Tables, known: KnownKeys, now: float) -> None:
    """Let the callers of all known keys in. While the database is away, a key that we do not know may be a good one."""
    tables.keys_version = known.version()  # first: what changes from here on is seen as a change
    freshness, keys = known.freshness(), known.all()
    tables.keys_freshness = freshness
    tables.callers = callers(tables, keys, now)
    tables.ended = frozenset(key.id for key in keys) - tables.callers.keys()
    tables.unknown_key = answers.WRONG_KEY if freshness == "fresh" else answers.KEYS_UNAVAILABLE


def callers(tables: Tables, keys: Iterable[Key], now: float) -> dict[str, Caller]:
    """Every key that works now, by its id. A key of a role that the file does not know may do nothing."""
    return {
        key.id: caller_for(
            tables,
            key_id=key.id,
            tenant=key.tenant,
            role=key.role,
            expires_at=key.expires_at if key.expires_at is not None else float("inf"),
            hash=key.hash,
        )
        for key in keys
        if key.state(now) == "active"
    }


def caller_for(tables: Tables, *, key_id: str, tenant: str, role: str, expires_at: float, hash: bytes = b"") -> Caller:
    """Who calls by a key or by a token (which has no hash). Of a role that the file does not know: may do nothing."""
    nothing: Mapping[str, Mapping[str, RouteTable]] = {}
    body = tables.bodies.get(role) or models_body(())
    return Caller(hash, tenant, key_id, role, expires_at, tables.rights.get(role, nothing), body)


def allowed(tables: Tables, role: str) -> dict[str, dict[str, RouteTable]]:
    """operation -> public name -> route, for what the role lists and the model can do."""
    rights = tables.config.roles[role]
    return {
        operation: {
            name: tables.routes[name]
            for name in rights.models
            if name in tables.routes and operation in tables.routes[name].model.operations
        }
        for operation in rights.operations
    }


def visible(rights: Mapping[str, Mapping[str, RouteTable]]) -> list[str]:
    """Public names that can be used for something."""
    return sorted({name for routes in rights.values() for name in routes})


def models_body(names: Iterable[str]) -> bytes:
    """The answer to GET /v1/models."""
    entries = [model_entry(name) for name in names]
    return msgspec.json.encode({"object": "list", "data": entries})


def model_entry(name: str) -> dict[str, object]:
    """One model as OpenAI lists it."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "fairlead"}


def request_head(replica: Replica, operation: str, headers: bytes, length: int, request_id: bytes) -> bytes:
    """The head of the request to an engine. `headers`: one of the two of the model."""
    return REQUEST_HEAD % (
        replica.base_path,
        PATHS[operation],
        replica.authority,
        headers,
        length,
        request_id,
    )
