"""What an API server does to an object before it validates it: unknown fields, nulls, defaults; and lists with keys.

Source: kubernetes.io, "Extend the Kubernetes API with CustomResourceDefinitions": structural schemas, field pruning,
defaulting and nullable; `fieldValidation=Strict` refuses what pruning would take away.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]


def unknown_fields(schema: Schema, value: Any, path: Path = ()) -> Iterator[tuple[Path, list[str]]]:
    """Each field that the schema does not have, and the names that it has there."""
    if isinstance(value, dict) and not is_open(schema):
        known = list(schema.get("properties") or ())
        yield from (((*path, name), known) for name in value if name not in known)
    for child, item, step in children(schema, value):
        yield from unknown_fields(child, item, (*path, step))


def is_open(schema: Schema) -> bool:
    """Whether a node takes fields that it does not name. What is no object is refused for that, not for its fields."""
    extra = schema.get("additionalProperties")
    return bool(
        extra
        or isinstance(extra, Mapping)
        or schema.get("x-kubernetes-preserve-unknown-fields")
        or schema.get("type") != "object"
    )


def stored(schema: Schema, value: Any) -> Any:
    """A copy of an object as it would be stored: a null that may not be one is as if not written, then defaults."""
    made = copy.deepcopy(value)
    _complete(schema, made)
    return made


def repeated(schema: Schema, value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each element of a list that is declared as a set, or as a map by keys, which is in it twice."""
    kind = schema.get("x-kubernetes-list-type")
    if isinstance(value, list) and kind in {"set", "map"}:
        keys = schema.get("x-kubernetes-list-map-keys") or () if kind == "map" else ()
        seen: set[str] = set()
        for index, item in enumerate(value):
            identity = json.dumps(_identity(item, keys), sort_keys=True, default=str)
            if identity in seen:
                yield (*path, index), f"{identity} is there twice"
            seen.add(identity)
    for child, item, step in children(schema, value):
        yield from repeated(child, item, (*path, step))


def children(schema: Schema, value: Any) -> Iterator[tuple[Schema, Any, str | int]]:
    """(schema, value, step) of each part that is there and that the schema says something of."""
    if isinstance(value, dict):
        for name, item in value.items():
            child = field(schema, name)
            if child is not None and item is not None:
                yield child, item, name
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        yield from ((schema["items"], item, index) for index, item in enumerate(value) if item is not None)


def field(schema: Schema, name: str) -> Schema | None:
    """The schema of a field: its own, or that of all which are not named."""
    child = (schema.get("properties") or {}).get(name, schema.get("additionalProperties"))
    return child if isinstance(child, Mapping) else None


def _complete(schema: Schema, value: Any) -> None:
    if isinstance(value, dict):
        for name in [name for name, item in value.items() if item is None]:
            child = field(schema, name)
            if child is not None and not child.get("nullable"):
                del value[name]
        for name, child in (schema.get("properties") or {}).items():
            if name not in value and "default" in child:
                value[name] = copy.deepcopy(child["default"])
    for child, item, _ in children(schema, value):
        _complete(child, item)


def _identity(item: Any, keys: Any) -> Any:
    return {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
