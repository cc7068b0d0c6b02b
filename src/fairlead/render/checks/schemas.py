"""What pulled definitions of custom kinds say of what is rendered; kinds that none of them knows are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fairlead.render.checks.frame import Fault
from fairlead.render.files import Document
from fairlead.schemas.kinds import is_custom
from fairlead.spec.problems import dotted

if TYPE_CHECKING:
    from fairlead.schemas.judge import Judge, Verdict

Source = Callable[[Document], str]
"""What a definition is, and where it comes from: `v1.7.0 of https://...`."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How many custom objects there are, and of which kinds no definition was known; the faults; rules run and left."""

    custom: int
    unknown: Mapping[str, int]
    faults: Sequence[Fault] = field(default_factory=tuple)
    rules_run: int = 0
    rules_left: int = 0

    @property
    def checked(self) -> int:
        """Custom objects that were held against their definition."""
        return self.custom - sum(self.unknown.values())


def unchecked(documents: Sequence[Document]) -> Checked:
    """What there is to check, where nothing to check it with was pulled."""
    found = [each for each in documents if is_custom(each.object)]
    return Checked(len(found), _kinds(found))


def checked(documents: Sequence[Document], judge: Judge, source: Source) -> Checked:
    """Every custom object before the definition of its kind."""
    found = [each for each in documents if is_custom(each.object)]
    verdicts = [(each, judge.verdict(each.object)) for each in found]
    known = [(each, verdict) for each, verdict in verdicts if verdict is not None]
    return Checked(
        len(found),
        _kinds([each for each, verdict in verdicts if verdict is None]),
        tuple(fault for each, verdict in known for fault in _faults(each, verdict, source(each))),
        sum(verdict.rules_run for _, verdict in known),
        sum(verdict.rules_left for _, verdict in known),
    )


def _faults(document: Document, verdict: Verdict, source: str) -> list[Fault]:
    return [
        Fault(document, f"{dotted(each.path)}: {each.message}", "; ".join(filter(None, (each.hint, f"by {source}"))))
        for each in verdict.findings
    ]


def _kinds(documents: Sequence[Document]) -> Mapping[str, int]:
    names = (f"{each.object['apiVersion']} {each.object['kind']}" for each in documents)
    return dict(sorted(Counter(names).items()))
