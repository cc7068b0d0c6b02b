"""What a proof says. A verdict is never better than its evidence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fairlead.spec.types import Spec

if TYPE_CHECKING:
    from fairlead.ops.prove.stage import Stage

Verdict = Literal["passed", "failed", "skipped"]
Evidence = Literal["executed", "simulated", "schema-checked", "asserted"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an experiment found. `figure` is the number that a reader would ask for."""

    holds: bool
    figure: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """A claim of the spec and the experiment that could refute it.

    `applies` says why the spec does not make it, `needs` what it lacks on this machine, or "".
    """

    id: str
    claim: Callable[[Spec], str]
    experiment: Callable[[Stage], Awaitable[Outcome]]
    applies: Callable[[Spec], str] = lambda spec: ""
    needs: Callable[[Stage], str] = lambda stage: ""
    evidence: Evidence = "executed"


@dataclass(frozen=True, slots=True)
class Finding:
    """A proof that was tried, as `--json` prints it."""

    id: str
    claim: str
    verdict: Verdict
    evidence: Evidence
    figure: str
    seconds: float
    detail: str = ""
