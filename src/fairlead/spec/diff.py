"""Two resolved specs, field by field: what is shown is what would run, defaults and overlays included."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.spec.problems import Path, dotted
from fairlead.spec.types import Spec


@dataclass(frozen=True, slots=True)
class Difference:
    """A field and its text on each side; None where the side has no such field."""

    path: str
    left: str | None
    right: str | None


def differences(left: Spec, right: Spec) -> list[Difference]:
    """Every field whose value differs, in the order of the left spec."""
    ours, theirs = dict(_fields(left)), dict(_fields(right))
    return [
        Difference(path, ours.get(path), theirs.get(path))
        for path in ours | theirs
        if ours.get(path) != theirs.get(path)
    ]


def _fields(spec: Spec) -> Iterator[tuple[str, str]]:
    return _leaves(spec.model_dump(mode="json"), ())


def _leaves(value: Any, path: Path) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield dotted(path), value if isinstance(value, str) else json.dumps(value)
