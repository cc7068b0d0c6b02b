"""What the report of an import consists of: a model as far as it could be taken over, and a note on each setting."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from fairlead.lint.tree import Document, Place

Kind = Literal["carried", "corrected", "lost"]
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was met: where, what became of it, and the rule that made a correction."""

    kind: Kind
    file: str
    line: int
    message: str
    rule: str = ""

    def as_json(self) -> dict[str, str | int]:
        """The note as `--json` prints it."""
        return {
            "kind": self.kind,
            "file": self.file,
            "line": self.line,
            "message": self.message,
            "rule": self.rule,
        }


@dataclass(slots=True)
class Adopted:
    """A model: `values` are fields of the spec. `public` is the name that callers use today."""

    document: Document
    at: Place
    public: str
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the model in the file: the public name without what a name may not have."""
        last = self.public.rstrip("/").rpartition("/")[2]
        return NOT_IN_A_NAME.sub("-", last).strip("-._")[:63] or "model"

    def carried(self, message: str, at: Place | None = None) -> None:
        """Note that a setting was taken over."""
        self._note("carried", message, at)

    def corrected(self, message: str, rule: str, at: Place | None = None) -> None:
        """Note that a setting was taken over otherwise, and by which rule."""
        self._note("corrected", message, at, rule)

    def lost(self, message: str, at: Place | None = None) -> None:
        """Note that a setting could not be taken over."""
        self._note("lost", message, at)

    def _note(self, kind: Kind, message: str, at: Place | None, rule: str = "") -> None:
        place = at or self.at
        self.notes.append(Note(kind, self.document.file, place.line, f"{self.name}: {message}", rule))
