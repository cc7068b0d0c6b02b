"""What no field can see alone. What its own field refuses is left out here, so that one mistake is told once."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from fairlead.spec import batches_checks, consumption_checks, planning_checks, ray_checks, store_checks
from fairlead.spec.batches import Batches
from fairlead.spec.consumption import Budget, Fairness, Price, RateLimit
from fairlead.spec.consumption_checks import Consumption
from fairlead.spec.planning import Hardware, Planned
from fairlead.spec.problems import Finding, nearest
from fairlead.spec.profiles import Profile, profile_of
from fairlead.spec.ray import Ray
from fairlead.spec.source import is_gguf
from fairlead.spec.store import Store
from fairlead.spec.types import (
    ALL_ADMIN,
    ENGINES,
    EVERYTHING,
    GATEWAY_OPERATIONS,
    AnyModel,
    Gateway,
    Keys,
    LocalModel,
    RayModel,
    RemoteModel,
    Role,
    Route,
    VllmModel,
    engine_of,
)
from fairlead.units import format_seconds

PartT = TypeVar("PartT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a file, each checked alone; None where it is broken in itself."""

    profile: Profile
    environment: str
    models: Mapping[str, AnyModel | None]
    offers: Mapping[str, frozenset[str] | None]  # each model's operations
    routes: Mapping[str, Route | None]
    roles: Mapping[str, Role | None]
    gateway: Gateway | None
    keys: Keys | None

    @property
    def public_names(self) -> set[str]:
        """All that a caller may put into `model`."""
        return {*self.models, *self.routes}

    def usable_by(self, role: Role) -> set[str]:
        """The public names that a role may use."""
        return self.public_names if EVERYTHING in role.models else {*role.models} & self.public_names

    def model_behind(self, name: str) -> str:
        """The name of the model that answers to a public name."""
        route = self.routes.get(name)
        return route.model if route else name


def crosscheck(values: Mapping[str, Any]) -> list[Finding]:
    """Every contradiction between the parts of a file (its defaults filled in)."""
    parts = _parts(values)
    found = [finding for check in _CHECKS for finding in check(parts)]
    consumption = _consumption(values, parts)
    store = _sound(Store, values["store"]) if values.get("store") is not None else None
    ray = _sound(Ray, values["ray"]) if values.get("ray") is not None else None
    found += ray_checks.findings(ray, parts.models, plain_http=parts.profile.plain_http)
    found += store_checks.findings(store, parts.gateway, _counted(consumption))
    hardware = _sound(Hardware, values["hardware"]) if values.get("hardware") is not None else None
    planned = {name: model for name, model in parts.models.items() if isinstance(model, Planned)}
    found += planning_checks.findings(hardware, planned)
    found += batches_checks.findings(
        declared=values.get("batches") is not None,
        batches=_sound(Batches, values["batches"]) if values.get("batches") is not None else None,
        store=store,
        deployed=values.get("deploy") is not None,
        roles=parts.roles,
        fairness=consumption.fairness,
        gateway=parts.gateway,
    )
    return [*found, *consumption_checks.findings(consumption)]


def _route_names(parts: Parts) -> Iterator[Finding]:
    for name, route in parts.routes.items():
        if name in parts.models:
            hint = "each model is a route of its own name already; choose another"
            yield Finding(("routes", name), f"{name!r} is the name of a model", hint, at_key=True)
        if route and route.model not in parts.models:
            hint = nearest(route.model, parts.models, otherwise="models")
            yield Finding(("routes", name, "model"), f"there is no model {route.model!r}", hint)


def _role_names(parts: Parts) -> Iterator[Finding]:
    for role_name, role in parts.roles.items():
        for index, name in enumerate(role.models if role else ()):
            if name != EVERYTHING and name not in parts.public_names:
                hint = nearest(name, parts.public_names, otherwise="models and routes")
                path = ("access", "roles", role_name, "models", index)
                yield Finding(path, f"there is no model or route {name!r}", hint)


def _idle_roles(parts: Parts) -> Iterator[Finding]:
    for role_name, role in parts.roles.items():
        if role is None or "operations" not in role.model_fields_set:
            continue
        offers = [parts.offers.get(parts.model_behind(name)) for name in parts.usable_by(role)]
        for index, operation in enumerate(role.operations if offers else ()):
            if not is_gateways(operation) and all(offer is not None and operation not in offer for offer in offers):
                path = ("access", "roles", role_name, "operations", index)
                hint = "add it to a model's operations, or leave it out"
                yield Finding(path, f"none of its models offers {operation}", hint)


def is_gateways(operation: str) -> bool:
    """Whether an operation is asked of the gateway and not of a model."""
    return operation == ALL_ADMIN or operation in GATEWAY_OPERATIONS


def _unreachable_models(parts: Parts) -> Iterator[Finding]:
    if None in parts.roles.values() or not parts.roles:
        return
    users = [role for role in parts.roles.values() if role and not all(map(is_gateways, role.operations))]
    reachable = {parts.model_behind(name) for role in users for name in parts.usable_by(role)}
    for name in parts.models:
        if name not in reachable:
            yield Finding(("models", name), "no role may use it", "name it in access.roles.*.models", at_key=True)


def _ports(parts: Parts) -> Iterator[Finding]:
    if parts.gateway and parts.gateway.port == parts.gateway.admin_port:
        hint = "the admin listener needs a port of its own"
        written = "admin_port" if "admin_port" in parts.gateway.model_fields_set else "port"
        yield Finding(("gateway", written), f"port {parts.gateway.port} serves callers and admin", hint)


def _tls(parts: Parts) -> Iterator[Finding]:
    tls = parts.gateway.tls if parts.gateway else None
    if tls is None:
        return
    path = ("gateway", "tls")
    if tls.self_signed and (tls.certificate or tls.key):
        yield Finding((*path, "self_signed"), "makes a certificate, but one is given too", "leave one of them out")
    elif not tls.self_signed and not (tls.certificate and tls.key):
        hint = "give certificate and key, or self_signed: true"
        yield Finding(path, "there is no certificate to show", hint, at_key=True)


def _times(parts: Parts) -> Iterator[Finding]:
    keys, gateway = parts.keys, parts.gateway
    if keys and keys.rotation_overlap >= keys.max_age:
        message = f"must be shorter than access.keys.max_age ({format_seconds(keys.max_age)})"
        yield Finding(("access", "keys", "rotation_overlap"), message, "else a rotated key lives as long as a new one")
    for name in ("header_timeout", "body_timeout") if gateway else ():
        if gateway and getattr(gateway.limits, name) > gateway.timeout:
            message = f"must not be longer than gateway.timeout ({format_seconds(gateway.timeout)})"
            yield Finding(
                ("gateway", "limits", name), message, "a request cannot take longer to arrive than to be answered"
            )


def _sources(parts: Parts) -> Iterator[Finding]:
    for name, model in parts.models.items():
        if not isinstance(model, LocalModel):
            continue
        path = ("models", name, "source")
        if model.source.startswith("demo:") and not parts.profile.demo_source:
            hint = "give it real weights, for example hf://org/name@revision"
            yield Finding(path, f"the demo model is not for {parts.environment}", hint)
        if isinstance(model, VllmModel) and is_gguf(model.source):
            yield Finding(path, "vLLM is started on a folder of weights, not on a GGUF file", "use engine: openvino")


def _vllm_memory(parts: Parts) -> Iterator[Finding]:
    """A GPU takes a share of its memory, the CPU build a number of gibibytes; the other would be ignored."""
    for name, model in parts.models.items():
        if not isinstance(model, VllmModel | RayModel):
            continue
        idle, used = (
            ("gpu_memory_utilization", "kv_cache") if model.device == "cpu" else ("kv_cache", "gpu_memory_utilization")
        )
        if idle in model.model_fields_set:
            yield Finding(
                ("models", name, idle), f"has no effect with device: {model.device}", f"use {used}", at_key=True
            )


def _remote_tls(parts: Parts) -> Iterator[Finding]:
    for name, model in parts.models.items():
        for index, url in enumerate(model.urls if isinstance(model, RemoteModel) else ()):
            if url.startswith("http:") and not parts.profile.plain_http and not _is_near(url):
                message = f"plain HTTP beyond this host and cluster is not for {parts.environment}"
                yield Finding(("models", name, "urls", index), message, "use https://")


def _is_near(url: str) -> bool:
    """On this host, or a name that only a cluster's own DNS knows."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".svc", ".cluster.local"))


_CHECKS: tuple[Callable[[Parts], Iterator[Finding]], ...] = (
    _route_names,
    _role_names,
    _idle_roles,
    _unreachable_models,
    _ports,
    _tls,
    _times,
    _sources,
    _vllm_memory,
    _remote_tls,
)

# Stand-ins for required values that are missing or wrong, so that the rest of their part can still be checked.
_NEUTRAL: Mapping[str, Any] = {"source": "./", "urls": ["http://localhost"]}


def _parts(values: Mapping[str, Any]) -> Parts:
    access = _mapping(values.get("access"))
    written = _mapping(values.get("models"))
    models = {name: _model(model) for name, model in written.items()}
    return Parts(
        profile=profile_of(values),
        environment=str(values.get("environment", "laptop")),
        models=models,
        offers={name: _offer(model, written[name]) for name, model in models.items()},
        routes={name: _sound(Route, route) for name, route in _mapping(values.get("routes")).items()},
        roles={name: _sound(Role, role) for name, role in _mapping(access.get("roles")).items()},
        gateway=_sound(Gateway, values.get("gateway")),
        keys=_sound(Keys, access.get("keys")),
    )


def _consumption(values: Mapping[str, Any], parts: Parts) -> Consumption:
    return Consumption(
        limits={name: _sound(RateLimit, limit) for name, limit in _mapping(values.get("limits")).items()},
        prices={name: _sound(Price, price) for name, price in _mapping(values.get("prices")).items()},
        budgets={name: _sound(Budget, budget) for name, budget in _mapping(values.get("budgets")).items()},
        fairness=_sound(Fairness, values["fairness"]) if values.get("fairness") is not None else None,
        models={name: getattr(model, "max_num_seqs", None) for name, model in parts.models.items()},
        routes={name: route.model for name, route in parts.routes.items() if route},
        roles=frozenset(parts.roles),
    )


def _counted(parts: Consumption) -> dict[str, RateLimit | Budget]:
    """What replicas have to share: rates and money. How many requests run at once each gateway counts alone."""
    rates = {f"limits.{name}": each for name, each in parts.limits.items() if each and (each.requests or each.tokens)}
    return rates | {f"budgets.{name}": budget for name, budget in parts.budgets.items() if budget}


def _model(value: Any) -> AnyModel | None:
    kind = ENGINES.get(engine_of(value))
    return _sound(kind, value) if kind else None


def _offer(model: AnyModel | None, written: Any) -> frozenset[str] | None:
    """None where the model's operations are wrong in themselves."""
    is_sound = model and ("operations" in model.model_fields_set or "operations" not in written)
    return frozenset(model.operations) if model and is_sound else None


def _sound(kind: type[PartT], value: Any) -> PartT | None:
    """The part without the values that are wrong in themselves; None if nothing can be said without them."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        pruned = copy.deepcopy(value)
        for detail in error.errors(include_url=False):
            _prune(pruned, detail["loc"])
    try:
        return kind.model_validate(pruned)
    except ValidationError:
        return None


def _prune(part: Any, location: tuple[int | str, ...]) -> None:
    for step in location[:-1]:
        if not isinstance(part.get(step), dict):
            location = (step,)
            break
        part = part[step]
    if isinstance(part, dict) and location:
        part.pop(location[-1], None)
        part.update({key: value for key, value in _NEUTRAL.items() if key == location[-1]})


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
