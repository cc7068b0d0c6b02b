"""The findings as a page that one can hand to an auditor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fairlead import __version__
from fairlead.ops.prove.outcome import Finding


def markdown(findings: Sequence[Finding], *, name: str, environment: str, file: str, digest: str, at: str) -> str:
    """The report. `digest` is the SHA-256 of the file; `at` the time in UTC."""
    counts = Counter(finding.verdict for finding in findings)
    lines = [
        f"# {name}: what was declared, and what holds",
        "",
        f"- file: `{file}` (SHA-256 `{digest}`), environment {environment}",
        f"- tried: {at}, by fairlead {__version__}",
        f"- {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped",
        "",
        "| id | claim | verdict | evidence | figure | seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.id} | {each.claim} | **{each.verdict}** | {each.evidence} | {each.figure} | {each.seconds:.1f} |"
        for each in findings
    ]
    details = [f"- `{each.id}`: {each.detail}" for each in findings if each.detail]
    return "\n".join([*lines, "", *(["## Details", "", *details, ""] if details else [])])
