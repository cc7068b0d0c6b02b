"""`gateway.json` as typed values: the only link between the compiler and the gateway. Read whole or refused whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fairlead.errors import UserError

VERSION = 1
OPERATIONS = {
    b"/v1/chat/completions": "chat",
    b"/v1/completions": "completions",
    b"/v1/embeddings": "embeddings",
    b"/v1/responses": "responses",
}


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


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`attempts` replicas at most are tried for a request; `budget` retries are earned by each request."""

    attempts: int = 2
    budget: float = 0.1


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model is served. `api_key_env` names the variable that holds the engine's key; "" for none."""

    upstreams: tuple[str, ...]
    upstream_model: str
    api_key_env: str = ""
    health_path: str = "/health"
    operations: tuple[str, ...] = ("chat", "completions")


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
    retry: Retry = Retry()
    drain_timeout_s: float = 30.0


def load(path: Path) -> Config:
    """Read and check the file. Raises UserError; a broken file never replaces a good one."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except FileNotFoundError as error:
        raise UserError("no such file", where=str(path), hint="`fairlead up` writes it") from error
    except msgspec.MsgspecError as error:
        raise UserError(f"not a gateway.json: {error}", where=str(path)) from error
    if config.version != VERSION:
        raise UserError(
            f"version {config.version} is not {VERSION}", where=str(path), hint="compile it with this version"
        )
    for name, route in config.routes.items():
        if route.model not in config.models:
            raise UserError(f"route {name!r} names no model of this file: {route.model!r}", where=str(path))
    return config


def api_keys(config: Config, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Each model's engine key, by model name. Raises UserError where a named variable is not set."""
    wanted = {name: model.api_key_env for name, model in config.models.items() if model.api_key_env}
    missing = sorted(variable for variable in wanted.values() if not environ.get(variable))
    if missing:
        raise UserError(f"environment variables not set: {', '.join(missing)}", hint="they hold the engines' API keys")
    return {name: environ[variable] for name, variable in wanted.items()}
