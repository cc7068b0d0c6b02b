"""An overlay says only what differs: mappings merge, lists and values replace, null deletes; each keeps its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from fairlead.spec.problems import Finding, Path, nearest
from fairlead.spec.types import Environment
from fairlead.spec.yaml import Document, Position

KEY = "environments"
FIXED = ("apiVersion", "name", KEY)  # what is the same service everywhere
NAMED: tuple[str, ...] = get_args(Environment)


def names(document: Document) -> list[str]:
    """The overlays that a file holds."""
    return sorted(_overlays(document))


def resolve(document: Document, environment: str | None) -> tuple[Document, list[Finding]]:
    """The document for one environment, without the overlays, and what is wrong with the overlay."""
    findings = list(_malformed(document))
    base = {key: value for key, value in document.values.items() if key != KEY}
    plain = Document(document.file, base, document.at, document.key_at)
    if environment is None:
        return plain, findings
    overlay = _overlays(document).get(environment)
    if overlay is None and environment not in NAMED:
        known = {*names(document), *NAMED}
        hint = nearest(environment, known, otherwise="environments")
        return plain, [*findings, Finding((KEY,), f"there is no environment {environment!r}", hint)]
    if environment in NAMED:
        base["environment"] = environment
    merging = _Merging(document, (KEY, environment))
    merged = merging.mapping(base, overlay, ()) if isinstance(overlay, dict) else base
    return Document(document.file, merged, merging.at, merging.key_at), findings + merging.findings


def _overlays(document: Document) -> Mapping[str, Any]:
    overlays = document.values.get(KEY)
    return overlays if isinstance(overlays, dict) else {}


def _malformed(document: Document) -> Iterator[Finding]:
    overlays = document.values.get(KEY, {})
    if not isinstance(overlays, dict):
        yield Finding((KEY,), "must be a mapping of environments to what differs in them")
    for name, overlay in _overlays(document).items():
        if not isinstance(overlay, dict):
            yield Finding((KEY, name), "must be a mapping of what differs", "leave the environment out if nothing does")
            continue
        for key in sorted(overlay.keys() & set(FIXED)):
            yield Finding((KEY, name, key), f"{key} is the same in every environment", at_key=True)


class _Merging:
    """One merge: new values, the positions of what won, and the deletions that had nothing to delete."""

    def __init__(self, document: Document, root: Path) -> None:
        self.root = root
        self.document = document
        self.at: dict[Path, Position] = dict(document.at)
        self.key_at: dict[Path, Position] = dict(document.key_at)
        self.findings: list[Finding] = []

    def mapping(self, base: Mapping[str, Any], overlay: Mapping[str, Any], path: Path) -> dict[str, Any]:
        merged = dict(base)
        for key, value in overlay.items():
            here = (*path, key)
            if value is None:
                self.delete(merged, key, here)
            elif isinstance(value, dict) and isinstance(base.get(key), dict):
                merged[key] = self.mapping(base[key], value, here)
            elif path or key not in FIXED:
                merged[key] = value
                self.take_positions(here)
        return merged

    def delete(self, merged: dict[str, Any], key: str, here: Path) -> None:
        if key not in merged:
            hint = nearest(key, merged, otherwise="there are")
            self.findings.append(Finding((*self.root, *here), "null deletes, but there is nothing to delete", hint))
        merged.pop(key, None)

    def take_positions(self, path: Path) -> None:
        """What stands at `path` now comes from the overlay, with all below it."""
        source = (*self.root, *path)
        for mine, theirs in ((self.at, self.document.at), (self.key_at, self.document.key_at)):
            for old in [old for old in mine if old[: len(path)] == path]:
                del mine[old]
            mine.update({here[len(self.root) :]: at for here, at in theirs.items() if here[: len(source)] == source})
