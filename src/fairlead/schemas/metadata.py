"""What every resource has and no definition repeats: apiVersion, kind and metadata, with the rules of names and labels.

Sources: Kubernetes API reference, ObjectMeta v1; kubernetes.io, "Object Names and IDs" and "Labels and Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL = re.compile(_LABEL)
SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "format": "int64"}
_DATE = {"type": "string", "format": "date-time"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_OWNER = {**_ANY, "required": ["apiVersion", "kind", "name", "uid"]}
OBJECT_META: Mapping[str, Any] = {
    **dict.fromkeys(("name", "generateName", "namespace", "uid", "resourceVersion", "selfLink"), _TEXT),
    **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), _DATE),
    **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), _NUMBER),
    **dict.fromkeys(("labels", "annotations"), _TEXTS),
    "finalizers": {"type": "array", "items": _TEXT},
    "managedFields": {"type": "array", "items": _ANY},
    "ownerReferences": {"type": "array", "items": _OWNER},
}

EMBEDDED = ("apiVersion", "kind")
WHOLE = (*EMBEDDED, "metadata")
"""What a resource in another one must have, and what one by itself."""
Wrong = tuple[tuple[str, ...], str]
"""A path and what is wrong there."""


def as_resource(schema: Mapping[str, Any], needed: Iterable[str]) -> dict[str, Any]:
    """A schema with apiVersion, kind and metadata; what it says of an object's name holds beside the usual."""
    properties = schema.get("properties") or {}
    own = (properties.get("metadata") or {}).get("properties") or {}
    fields = {**OBJECT_META, **{name: {**OBJECT_META.get(name, {}), **said} for name, said in own.items()}}
    metadata = {"type": "object", "properties": fields}
    required = dict.fromkeys((*(schema.get("required") or ()), *needed))
    every = {"apiVersion": _TEXT, "kind": _TEXT, "metadata": metadata}
    return {**schema, "type": "object", "properties": {**properties, **every}, "required": list(required)}


def wrong_metadata(metadata: Any) -> Iterator[Wrong]:
    """Names, labels and annotations that no API server takes. What has another type is the schema's to refuse."""
    if not isinstance(metadata, Mapping):
        return
    yield from _names(metadata)
    for key, value in _texts(metadata, "labels"):
        if not is_qualified(key):
            yield ("labels", key), "is no qualified name"
        if value and not _is(QUALIFIED, value, 63):
            yield ("labels", key), f"{value!r} is no value of a label: at most 63 letters, digits, '-', '_', '.'"
    for key, _ in _texts(metadata, "annotations"):
        if not is_qualified(key.lower()):
            yield ("annotations", key), "is no qualified name"


def is_qualified(key: str) -> bool:
    """`name` or `prefix/name`, as keys of labels and annotations are."""
    prefix, slash, name = key.rpartition("/")
    return _is(QUALIFIED, name, 63) and (not slash or _is(SUBDOMAIN, prefix, 253))


def _names(metadata: Mapping[str, Any]) -> Iterator[Wrong]:
    name, prefix, namespace = (metadata.get(key) for key in ("name", "generateName", "namespace"))
    if not name and not prefix:
        yield ("name",), "an object has a name, or a generateName"
    elif isinstance(name, str) and name and not _is(SUBDOMAIN, name, 253):
        yield ("name",), f"{name!r} is no DNS subdomain (RFC 1123) of at most 253 characters"
    elif not name and isinstance(prefix, str) and not _is(SUBDOMAIN, f"{prefix}x", 253):
        yield ("generateName",), f"{prefix!r} begins no DNS subdomain (RFC 1123)"
    if isinstance(namespace, str) and namespace and not _is(LABEL, namespace, 63):
        yield ("namespace",), f"{namespace!r} is no DNS label (RFC 1123) of at most 63 characters"


def _texts(metadata: Mapping[str, Any], field: str) -> Iterator[tuple[str, str]]:
    found = metadata.get(field)
    for key, value in found.items() if isinstance(found, Mapping) else ():
        yield str(key), value if isinstance(value, str) else ""


def _is(pattern: re.Pattern[str], text: str, longest: int) -> bool:
    return len(text) <= longest and pattern.fullmatch(text) is not None
