"""What is rendered, held against what was pulled; and one line that says what was not checked, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairlead.ops.schemas.received import installed
from fairlead.ops.schemas.store import Pulled
from fairlead.render.checks.schemas import Checked, checked, unchecked
from fairlead.render.files import Document
from fairlead.schemas.kinds import group_of


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it. `reason` says why nothing was checked; empty where it was."""

    found: Checked
    pulled: Pulled | None
    reason: str = ""

    def line(self) -> str:
        """What was checked and what was not, in one line."""
        found = self.found
        if self.pulled is None or self.reason:
            return f"schemas: {self.reason}; {found.custom} custom objects were not checked by their definitions"
        unknown = ", ".join(f"{kind} ({count})" for kind, count in found.unknown.items())
        return (
            f"schemas: {found.checked} of {found.custom} custom objects checked by the definitions pulled on "
            f"{self.pulled.date[:10]} from a {self.pulled.origin}; CEL rules kept: {found.rules_run}, "
            f"CEL rules not checked: {found.rules_left}{f'; no definition of {unknown}' if unknown else ''}"
        )

    def as_json(self) -> dict[str, object]:
        """The same for `--json`."""
        return {
            "pulled": self.pulled.date if self.pulled else None,
            "reason": self.reason,
            "custom": self.found.custom,
            "checked": 0 if self.reason else self.found.checked,
            "unknown": dict(self.found.unknown),
            "rules_run": self.found.rules_run,
            "rules_left": self.found.rules_left,
        }


def check(documents: Sequence[Document], pulled: Pulled | None) -> Told:
    """Check what can be checked. Raises UserError where what was pulled was changed since."""
    if pulled is None:
        return Told(unchecked(documents), None, "none pulled (fairlead schemas pull)")
    if not installed():
        return Told(unchecked(documents), pulled, "pulled, but not what reads them: pip install 'fairlead[schemas]'")
    from fairlead.schemas.judge import Judge

    def source(document: Document) -> str:
        kept = pulled.find(group_of(document.object), str(document.object["kind"]))
        return f"the definition {kept.version} of {kept.source}".replace("  ", " ") if kept else ""

    return Told(checked(documents, Judge(pulled.lookup), source), pulled)
