"""A CustomResourceDefinition, cut down to what judges objects: its kind, its versions, their structural schemas.

Descriptions are most of a definition's text and judge nothing; they are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.schemas.metadata import EMBEDDED, WHOLE, as_resource

Schema = Mapping[str, Any]
"""A structural schema: the part of OpenAPI v3 that Kubernetes takes, with its own x-kubernetes-* keys."""
API = "apiextensions.k8s.io/v1"
GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
RELEASE = re.compile(r"/bundle-version$|^(operator\.prometheus\.io|app\.kubernetes\.io)/version$")
VALUES = frozenset(("default", "enum", "example"))
"""Keys of a schema below which stand values, and no schemas."""


class CrdError(ValueError):
    """What says that it is a CustomResourceDefinition is none that an API server would take."""


@dataclass(frozen=True, slots=True)
class Crd:
    """`versions` are those that are declared, by name; one that is not served has no schema.

    `release` is what its maker calls the release that it belongs to, where it says that.
    """

    group: str
    kind: str
    versions: Mapping[str, Schema | None]
    release: str = ""

    @property
    def served(self) -> list[str]:
        """The versions that objects may be written in."""
        return [name for name, schema in self.versions.items() if schema is not None]


def crds(document: Any) -> Iterator[Crd]:
    """Every definition in a document, or in a List of them; what else there is, is passed over. Raises CrdError."""
    if not isinstance(document, Mapping):
        return
    if str(document.get("kind", "")).endswith("List"):
        for item in document.get("items") or ():
            yield from crds(item)
    elif document.get("kind") == "CustomResourceDefinition":
        yield _crd(document)


def _crd(document: Mapping[str, Any]) -> Crd:
    name = str((document.get("metadata") or {}).get("name", "?"))
    if document.get("apiVersion", API) != API:
        raise CrdError(f"{name} is written in {document['apiVersion']}: Kubernetes serves {API} only, since 1.22")
    try:
        spec = document["spec"]
        group, kind = str(spec["group"]), str(spec["names"]["kind"])
        versions = {str(each["name"]): _schema(each) for each in spec["versions"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise CrdError(f"{name} is no {API} CustomResourceDefinition: {error!r}") from None
    if not GROUP.fullmatch(group) or not KIND.fullmatch(kind):
        raise CrdError(f"{name} has no proper group and kind: {group!r}, {kind!r}")
    return Crd(group, kind, versions, _release(document.get("metadata") or {}))


def _release(metadata: Mapping[str, Any]) -> str:
    """What some makers note: the Gateway API and its like, the Prometheus operator, charts."""
    notes = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    return next((str(value) for key, value in sorted(notes.items()) if RELEASE.search(key)), "")


def _schema(version: Mapping[str, Any]) -> Schema | None:
    if not version.get("served", True):
        return None
    return as_resource(_cut(version["schema"]["openAPIV3Schema"]), WHOLE)


def _cut(schema: Any) -> Any:
    """A schema without descriptions; an embedded resource gets what every resource has."""
    if isinstance(schema, list):
        return [_cut(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {
        key: value if key in VALUES else _cut(value)
        for key, value in schema.items()
        if not (key == "description" and isinstance(value, str))
    }
    return as_resource(kept, EMBEDDED) if kept.get("x-kubernetes-embedded-resource") is True else kept
