"""Every object has a name that Kubernetes takes, is there once, and says what it was made of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairlead.render import names
from fairlead.render.checks.frame import Fault, Rendering, key
from fairlead.render.provenance import without_origin

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
LONGEST = {"RayService": 47, "RayCluster": 63, "RayJob": 47, "RayCronJob": 41, "CronJob": 52, "Service": 63}
"""Kinds whose names are shorter than a DNS subdomain: others are made from them."""
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def names_are_taken(rendering: Rendering) -> Iterator[Fault]:
    """Names by Kubernetes' rules; those that become labels or part of others' names are shorter."""
    for document in rendering.files.manifests:
        kind, name = document.object.get("kind", ""), document.object.get("metadata", {}).get("name", "")
        longest = LONGEST.get(kind, 253)
        pattern = LABEL if longest <= 63 else SUBDOMAIN
        if not pattern.fullmatch(name) or len(name) > longest:
            message = f"{name!r} is no name for a {kind}: at most {longest} small letters, digits, dashes"
            yield Fault(document, message, "shorten the name of the service or of the model")


def defined_once(rendering: Rendering) -> Iterator[Fault]:
    """Of two objects with one name the second would overwrite the first."""
    seen: set[tuple[str, str, str]] = set()
    for document in rendering.files.manifests:
        identity = key(document.object, rendering.build)
        if identity in seen:
            yield Fault(document, "there are two of this kind and name", "rename one of them")
        seen.add(identity)


def in_the_namespace(rendering: Rendering) -> Iterator[Fault]:
    """What has no namespace would land in whatever is the user's own."""
    for document in rendering.files.manifests:
        namespace = document.object.get("metadata", {}).get("namespace")
        if not namespace and key(document.object, rendering.build)[1]:
            yield Fault(document, "has no namespace", f"give it {names.namespace(rendering.build.spec)!r}")


def labels_are_taken(rendering: Rendering) -> Iterator[Fault]:
    """Values of labels by Kubernetes' rules."""
    for document in rendering.files.manifests:
        for label, value in (document.object.get("metadata", {}).get("labels") or {}).items():
            if not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
                yield Fault(document, f"{value!r} is no value for the label {label}", "at most 63 letters and digits")


def says_its_origin(rendering: Rendering) -> Iterator[Fault]:
    """An object that nothing in the file asked for is one that nobody can change there."""
    for document in without_origin(rendering.files):
        yield Fault(document, f"does not say what it was made of: no annotation {names.ORIGIN}", "")
