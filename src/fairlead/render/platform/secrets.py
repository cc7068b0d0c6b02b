"""What is secret comes from outside by reference, at run time: no value of it is ever in a rendered file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part
from fairlead.render.jobs import jobs_of
from fairlead.spec.types import RemoteModel, Spec
from fairlead.variables import names_in

FILE = "manifests/secrets.yaml"
ORIGIN = "deploy.secrets"

REMOTE_NAMES: Mapping[str, Callable[[str, str], str]] = {
    "aws": lambda prefix, variable: f"{prefix}/{variable}",
    "gcp": lambda prefix, variable: f"{prefix}-{variable}",
    "azure": lambda prefix, variable: f"{prefix}-{variable.lower().replace('_', '-')}",
}
"""A secret's name in Secrets Manager (paths), Secret Manager (no slash) and Key Vault (no underscore either)."""


def secrets(build: Build) -> Iterator[Part]:
    """An ExternalSecret for each Secret, the one with only what its pods read."""
    for secret, variables in wanted(build.spec, build.target).items():
        yield FILE, external_secret(build, secret, variables)


def wanted(spec: Spec, target: str = "") -> dict[str, list[str]]:
    """Each Secret that pods refer to, and its keys; of one target, or of any."""
    found = {
        names.gateway_secret(spec): gateway_variables(spec),
        names.hub_secret(spec): hub_variables(spec),
        names.batch_secret(spec): sorted(
            {job.api_key_env or names.API_KEY for _, job in jobs_of(spec, target, "gateway")}
        ),
        names.ray_secret(spec): [names.RAY_REDIS_PASSWORD] if spec.deploy and spec.deploy.ray.redis else [],
    }
    return {secret: variables for secret, variables in found.items() if variables}


def external_secret(build: Build, secret: str, variables: Sequence[str]) -> Object:
    """A copy of what the cloud's store of secrets holds. A key's name is the variable's."""
    spec = build.spec
    source = spec.deploy.secrets if spec.deploy else None
    assert source is not None  # refusals: needed as soon as there are secrets
    prefix, remote = names.secret_prefix(spec), REMOTE_NAMES[build.plan.cloud.lower()]
    entries = [{"secretKey": name, "remoteRef": {"key": remote(prefix, name)}} for name in variables]
    return kube.thing(
        "external-secrets.io/v1",
        "ExternalSecret",
        kube.metadata(spec, secret, names.BASE, origin=ORIGIN),
        spec={
            "refreshInterval": f"{int(source.refresh)}s",
            "secretStoreRef": {"kind": source.kind, "name": source.store},
            "target": {"name": secret, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": entries,
        },
    )


def gateway_variables(spec: Spec) -> list[str]:
    """The environment variables that the gateway reads: stores, engines' keys, and each `${VAR}` of the file."""
    found = {model.api_key_env for model in spec.models.values() if isinstance(model, RemoteModel)}
    if spec.store is not None:
        found |= {store.url_env for store in (spec.store.postgres, spec.store.redis) if store is not None}
    return sorted({name for name in found if name} | {*_named(_read_by_the_gateway(spec))})


def hub_variables(spec: Spec) -> list[str]:
    """The model hub's token, where a model is fetched from there."""
    sources = [getattr(model, "source", "") for model in spec.models.values()]
    return [names.HF_TOKEN] if any(source.startswith("hf://") for source in sources) else []


def _read_by_the_gateway(spec: Spec) -> Any:
    """The parts whose texts are in gateway.json; an engine's source is not."""
    remotes = [model for model in spec.models.values() if isinstance(model, RemoteModel)]
    return [part.model_dump(mode="json") for part in (*remotes, spec.access, *spec.budgets.values())]


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from names_in(value)
    elif isinstance(value, dict):
        yield from (name for item in value.values() for name in _named(item))
    elif isinstance(value, list | tuple):
        yield from (name for item in value for name in _named(item))
