"""Several environments as a base and an overlay for each: the base holds what all say alike, and an overlay only adds.

No overlay replaces or removes anything, so no value stands in two places that could contradict each other. What mostly
differs is whole in each overlay. All of it is worked out from full renderings, and gives them back object for object.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from fairlead.render import yaml
from fairlead.render.build import Object, Part
from fairlead.render.files import MANIFESTS, Document
from fairlead.render.platform.kustomize import FILE, listing

BASE = "base/"
PATCHES = f"{MANIFESTS}patches/"
FROM_OVERLAY = "../../base"
Key = tuple[str, str, str, str]
"""apiVersion, kind, name; and the namespace where an environment has two of that name. It may differ between them."""


@dataclass(frozen=True, slots=True)
class Patch:
    """JSON Patch (RFC 6902) on an object of the base: `add` is its only operation."""

    key: Key
    target: Object
    operations: list[Object]


@dataclass(frozen=True, slots=True)
class Overlay:
    """What one environment has beyond the base."""

    own: Mapping[Key, Document]
    patches: tuple[Patch, ...]


@dataclass(frozen=True, slots=True)
class Layers:
    """The base's objects, under the paths that they have in a rendering, and each environment's overlay."""

    base: Mapping[Key, Document]
    overlays: Mapping[str, Overlay]

    def objects(self, environment: str) -> dict[Key, Object]:
        """What the base and the overlay of an environment make together."""
        overlay = self.overlays[environment]
        made = {at: copy.deepcopy(each.object) for at, each in {**self.base, **overlay.own}.items()}
        for patch in overlay.patches:
            add(made[patch.key], patch.operations)
        return made


def layers(renderings: Mapping[str, Sequence[Document]]) -> Layers:
    """Split the manifests of several environments. Raises ValueError if they would not come together again."""
    by_key = {name: keyed(manifests) for name, manifests in renderings.items()}
    first = next(iter(by_key.values()))
    everywhere = {at: common for at in first if (common := _common([each.get(at) for each in by_key.values()]))}
    overlays = {name: _overlay(manifests, everywhere) for name, manifests in by_key.items()}
    made = Layers({at: Document(first[at].path, common) for at, common in everywhere.items()}, overlays)
    for name, manifests in by_key.items():
        if _texts(made.objects(name)) != _texts({at: each.object for at, each in manifests.items()}):
            raise ValueError(f"base and overlay of {name} are not what is rendered for it")
    return made


def base_parts(made: Layers) -> Iterator[Part]:
    """The files of the base, below `base/`."""
    for each in made.base.values():
        yield BASE + each.path.removeprefix(MANIFESTS), each.object
    listed = sorted({each.path.removeprefix(MANIFESTS) for each in made.base.values()})
    yield f"{BASE}kustomization.yaml", listing(listed)


def overlay_parts(overlay: Overlay) -> Iterator[Part]:
    """The files of an overlay, below `manifests/`. `legacy` is the order in which objects need each other."""
    for each in overlay.own.values():
        yield each.path, each.object
    for patch in overlay.patches:
        yield _path(patch), yaml.dump(patch.operations)
    listed = [FROM_OVERLAY, *sorted({each.path.removeprefix(MANIFESTS) for each in overlay.own.values()})]
    patches = [{"path": _path(each).removeprefix(MANIFESTS), "target": _selector(each)} for each in overlay.patches]
    yield FILE, listing(listed, **({"patches": patches} if patches else {}), sortOptions={"order": "legacy"})


def keyed(manifests: Sequence[Document]) -> dict[Key, Document]:
    """Objects by which ones they are, so that those of several environments can be held against each other."""
    called = [_called(each.object) for each in manifests]
    often = Counter(called)
    return {(*at, _namespace(each) if often[at] > 1 else ""): each for at, each in zip(called, manifests, strict=True)}


def shared(left: Object, right: Object) -> Object:
    """What both say alike. A list is alike as a whole or not at all."""
    made: Object = {}
    for name in left.keys() & right.keys():
        mine, other = left[name], right[name]
        if _text(mine) == _text(other):
            made[name] = mine
        elif isinstance(mine, dict) and isinstance(other, dict) and (both := shared(mine, other)):
            made[name] = both
    return {name: made[name] for name in left if name in made}


def additions(common: Object, whole: Object, below: str = "") -> Iterator[Object]:
    """The operations that make `whole` of what it shares with others."""
    for name, value in whole.items():
        path = f"{below}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in common:
            yield {"op": "add", "path": path, "value": value}
        elif isinstance(value, dict):
            yield from additions(common[name], value, path)


def add(item: Object, operations: Sequence[Object]) -> None:
    """Do the operations on an object."""
    for each in operations:
        *above, last = (step.replace("~1", "/").replace("~0", "~") for step in each["path"].split("/")[1:])
        reduce(lambda inner, step: inner[step], above, item)[last] = each["value"]


def _common(versions: Sequence[Document | None]) -> Object | None:
    """What all environments share of an object, where that is more than what any of them adds."""
    there = [each.object for each in versions if each is not None]
    if len(there) < len(versions):
        return None
    common = reduce(shared, there)
    longest = max(len(_text(list(additions(common, each)))) for each in there)
    return common if longest <= len(_text(common)) else None


def _overlay(manifests: Mapping[Key, Document], everywhere: Mapping[Key, Object]) -> Overlay:
    own = {at: each for at, each in manifests.items() if at not in everywhere}
    found = ((at, list(additions(common, manifests[at].object))) for at, common in everywhere.items())
    return Overlay(own, tuple(Patch(at, everywhere[at], operations) for at, operations in found if operations))


def _called(item: Object) -> tuple[str, str, str]:
    return item["apiVersion"], item["kind"], item["metadata"]["name"]


def _namespace(each: Document) -> str:
    return str(each.object["metadata"].get("namespace", ""))


def _path(patch: Patch) -> str:
    _, kind, name, namespace = patch.key
    return f"{PATCHES}{'-'.join(filter(None, (kind.lower(), namespace, name)))}.yaml"


def _selector(patch: Patch) -> Object:
    """Kustomize reads each of these as a regular expression."""
    api, kind, name, namespace = patch.key
    group, _, version = api.rpartition("/")
    found = {"group": group, "version": version, "kind": kind, "namespace": namespace, "name": name.replace(".", r"\.")}
    return {field: text for field, text in found.items() if text}


def _text(value: Any) -> str:
    """Values are alike if this is: for Python `true` is 1."""
    return json.dumps(value, sort_keys=True)


def _texts(items: Mapping[Key, Object]) -> dict[Key, str]:
    return {at: _text(each) for at, each in items.items()}
