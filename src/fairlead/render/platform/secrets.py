"""What is secret comes from outside by reference, at run time: no value of it is ever in a rendered file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.spec.types import RemoteModel, Spec
from fairlead.variables import names_in


def gateway_variables(spec: Spec) -> list[str]:
    """The environment variables that the gateway reads: stores, engines' keys, and each `${VAR}` of the file."""
    found = {model.api_key_env for model in spec.models.values() if isinstance(model, RemoteModel)}
    if spec.store is not None:
        found |= {store.url_env for store in (spec.store.postgres, spec.store.redis) if store is not None}
    return sorted({name for name in found if name} | {*_named(_read_by_the_gateway(spec))})


def _read_by_the_gateway(spec: Spec) -> Any:
    """The parts whose texts are in gateway.json; an engine's source is not."""
    remotes = {name: model for name, model in spec.models.items() if isinstance(model, RemoteModel)}
    return [part.model_dump(mode="json") for part in (*remotes.values(), spec.access, *spec.budgets.values())]


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from names_in(value)
    elif isinstance(value, dict):
        yield from (name for item in value.values() for name in _named(item))
    elif isinstance(value, list | tuple):
        yield from (name for item in value for name in _named(item))
