"""Safe edits of a text: each replaces one word at its own place; one that does not find its word is left out."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable

from fairlead.lint.finding import Edit, Finding


def fixed(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made, the last of a line first, so that columns stay true."""
    lines = text.split("\n")
    for edit in sorted(set(edits), key=lambda each: (each.line, each.column), reverse=True):
        line = lines[edit.line - 1] if edit.line <= len(lines) else ""
        start = line.find(edit.old, max(edit.column - 1, 0))
        if start >= 0:
            lines[edit.line - 1] = line[:start] + edit.new + line[start + len(edit.old) :]
    return "\n".join(lines)


def by_file(findings: Iterable[Finding]) -> dict[str, list[Edit]]:
    """The edits of the findings that have one."""
    edits: dict[str, list[Edit]] = defaultdict(list)
    for finding in findings:
        if finding.edit is not None:
            edits[finding.file].append(finding.edit)
    return dict(edits)


def diff(path: str, before: str, after: str) -> str:
    """A unified diff, as `patch` reads it."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
