"""One custom object before the definition of its kind: what an API server would refuse it for, and why.

Not here: admission webhooks, and rules that compare with the object that is stored already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.schemas.cel import Rules
from fairlead.schemas.crd import Crd, Schema
from fairlead.schemas.kinds import group_of
from fairlead.schemas.metadata import wrong_metadata
from fairlead.schemas.structural import Path, repeated, stored, unknown_fields
from fairlead.schemas.values import validator
from fairlead.spec.problems import nearest

Lookup = Callable[[str, str], Crd | None]
"""Group and kind to a definition; None where there is none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an object is refused for, and where in it."""

    path: Path
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that is wrong with an object; how many rules in CEL it was held against, and how many could not be run."""

    findings: tuple[Finding, ...]
    rules_run: int = 0
    rules_left: int = 0


class Judge:
    """Knows the definitions that `lookup` finds; the validator of a kind is made when it is first met."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._validators: dict[tuple[str, str], Any] = {}
        self._rules = Rules()

    def verdict(self, item: Mapping[str, Any]) -> Verdict | None:
        """What an API server would say of an object; None where there is no definition of its kind.

        Rules in CEL are over fields that are right: where anything else is wrong, they wait.
        """
        kind, version = str(item.get("kind", "")), str(item.get("apiVersion", "")).rpartition("/")[2]
        crd = self._lookup(group_of(item), kind)
        if crd is None:
            return None
        schema = crd.versions.get(version)
        if schema is None:
            served = ", ".join(crd.served)
            return Verdict((Finding(("apiVersion",), f"{version} of {kind} is not served", f"served: {served}"),))
        made = stored(schema, item)
        found = tuple(dict.fromkeys((*_unknown(schema, item), *self._refused(schema, made))))
        if found:
            return Verdict(found)
        rules = self._rules.outcome(schema, made)
        return Verdict(tuple(Finding(path, message) for path, message in rules.broken), rules.run, rules.left)

    def _refused(self, schema: Schema, made: Mapping[str, Any]) -> Iterator[Finding]:
        for error in self._validator(schema, made).iter_errors(made):
            yield Finding(tuple(error.absolute_path), _said(error))
        for place, message in wrong_metadata(made.get("metadata")):
            yield Finding(("metadata", *place), message)
        for path, message in repeated(schema, made):
            yield Finding(path, message)

    def _validator(self, schema: Schema, made: Mapping[str, Any]) -> Any:
        identity = (str(made["apiVersion"]), str(made["kind"]))
        if identity not in self._validators:
            self._validators[identity] = validator(schema)
        return self._validators[identity]


def _unknown(schema: Schema, item: Mapping[str, Any]) -> Iterator[Finding]:
    for path, known in unknown_fields(schema, item):
        yield Finding(path, "unknown field", nearest(path[-1], known, otherwise="known fields"))


def _said(error: Any) -> str:
    """What jsonschema says, without the whole value in it; of a choice, what was to be met."""
    if error.validator in {"anyOf", "oneOf", "allOf", "not"}:
        return f"meets {'none' if error.validator == 'anyOf' else 'not just one'} of the schema's {error.validator}"
    return error.message if len(error.message) <= 300 else f"{error.message[:297]}..."
