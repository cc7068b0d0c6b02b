"""Questions about a JSON Schema that are answered without a grammar; "not sure" counts as no."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from typing import Any, Final, TypeGuard
from urllib.parse import unquote

MOST_REFERENCES = 16  # in a row, until a chain of them counts as endless

PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


class Untranslatable(Exception):
    """The schema says something that the grammar would not keep."""


def only(keywords: Collection[str], known: Collection[str]) -> None:
    """Raise Untranslatable on a keyword that is not known here."""
    if unknown := sorted(set(keywords) - set(known)):
        raise Untranslatable(f"{unknown[0]} beside {', '.join(sorted(set(keywords) & set(known)))}")


def has_type(value: Any, name: str) -> bool:
    """Whether a value is of a JSON type; 1.0 is an integer too."""
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, PYTHON_TYPES[name])


def is_names(value: Any) -> TypeGuard[list[str]]:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def resolve(root: Any, reference: Any) -> Any:
    """What `#/path` points at. Raises Untranslatable for a reference to another document or to nothing."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise Untranslatable(f"the reference {reference!r}")
    place = root
    for part in unquote(reference).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and key in place:
            place = place[key]
        elif isinstance(place, list) and key.isdecimal() and int(key) < len(place):
            place = place[int(key)]
        else:
            raise Untranslatable(f"the reference {reference!r} to nothing")
    if isinstance(place, dict) and place is root:
        return {key: value for key, value in place.items() if key != "$id"}
    return place


def disjoint(root: Any, schemas: Any) -> bool:
    """Whether no value can match two of the schemas."""
    if not isinstance(schemas, list):
        return False
    parts = [_target(root, schema) for schema in schemas]
    return all(_apart(root, one, other) for one, other in combinations(parts, 2))


def _target(root: Any, schema: Any) -> dict[str, Any]:
    for _ in range(MOST_REFERENCES):
        if not isinstance(schema, dict):
            return {}
        if "$ref" not in schema:
            return schema
        schema = resolve(root, schema["$ref"])
    return {}


def _apart(root: Any, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if not _kinds(one) & _kinds(other):
        return True
    if _values(one) and _values(other):
        return not _values(one) & _values(other)
    return any(
        tags and other_tags and not tags & other_tags
        for name, tags in _tags(root, one).items()
        if (other_tags := _tags(root, other).get(name))
    )


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types of the values that may match; every integer is a number."""
    if values := _listed(schema):
        return {name for name in PYTHON_TYPES if any(has_type(value, name) for value in values)} - {"integer"}
    names = schema.get("type")
    known = [names] if isinstance(names, str) else names if is_names(names) else PYTHON_TYPES
    return {"number" if name == "integer" else name for name in known}


def _listed(schema: Mapping[str, Any]) -> list[Any]:
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    return listed if isinstance(listed, list) else []


def _values(schema: Mapping[str, Any]) -> set[str]:
    """The values of enum or const, in a form that equal ones share; empty where any value may match."""
    return {_canonical(value) for value in _listed(schema)}


def _canonical(value: Any) -> str:
    return json.dumps(_plain_numbers(value), sort_keys=True)


def _plain_numbers(value: Any) -> Any:
    """JSON Schema takes 1.0 and 1 for the same number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain_numbers(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain_numbers(part) for key, part in value.items()}
    return value


def _tags(root: Any, schema: Mapping[str, Any]) -> dict[str, set[str]]:
    """The required properties with fixed values, of a schema for objects only."""
    return dict(_tag_pairs(root, schema)) if _kinds(schema) == {"object"} else {}


def _tag_pairs(root: Any, schema: Mapping[str, Any]) -> Iterator[tuple[str, set[str]]]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if isinstance(properties, dict) and is_names(required):
        yield from ((name, _values(_target(root, properties[name]))) for name in required if name in properties)
