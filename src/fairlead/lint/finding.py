"""A finding says what is wrong, where, and what to do; the words that all findings of a rule share are the rule's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
ORDER: dict[str, int] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one line that keeps what the file means: `old` becomes `new`, once, from `column` on."""

    line: int
    column: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Hit:
    """What a check found: a place and what is there. `fix` and `severity` where they differ from the rule's."""

    file: str
    line: int
    column: int
    message: str
    fix: str = ""
    edit: Edit | None = None
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A hit with its rule's id, severity and fix."""

    rule: str
    severity: Severity
    file: str
    line: int
    column: int
    message: str
    fix: str
    edit: Edit | None = None

    def as_json(self) -> dict[str, str | int]:
        """The finding as `--json` prints it."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "fix": self.fix,
        }

    def order(self) -> tuple[str, int, int, str, str]:
        """Findings are told file by file, from the top."""
        return (self.file, self.line, self.column, self.rule, self.message)
