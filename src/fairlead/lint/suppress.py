"""`# fairlead: ignore D-12 because ...` takes a finding away, on its own line or on the next; only with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fairlead.lint.finding import Finding, Hit
from fairlead.lint.front.read import File

RULE = r"[A-Za-z][A-Za-z0-9_/-]*"  # D-12, SC2086
COMMENT = re.compile(rf"fairlead:\s*ignore\s+(?P<rules>{RULE}(?:\s*,\s*{RULE})*)(?P<rest>[^\n]*)")
REASON = re.compile(r"\s+because\s+(?P<reason>\S.*?)\s*(?:-->|\*/)?\s*\Z")


@dataclass(frozen=True, slots=True)
class Suppression:
    """One comment. `reason` is "" where it gives none."""

    file: str
    line: int
    column: int
    rules: tuple[str, ...]
    reason: str


def suppressions(file: File) -> list[Suppression]:
    """The comments of a file."""
    if "fairlead:" not in file.text:
        return []
    found = []
    for number, line in enumerate(file.text.split("\n"), 1):
        for match in COMMENT.finditer(line):
            reason = REASON.match(match["rest"])
            rules = tuple(rule.strip() for rule in match["rules"].split(","))
            found.append(Suppression(file.path, number, match.start() + 1, rules, reason["reason"] if reason else ""))
    return found


def apply(findings: Iterable[Finding], comments: list[Suppression]) -> tuple[list[Finding], list[Finding]]:
    """The findings that stay, and those that a comment with a reason takes away."""
    by_place = {
        (comment.file, comment.line + below, rule)
        for comment in comments
        if comment.reason
        for rule in comment.rules
        for below in (0, 1)
    }
    stay: list[Finding] = []
    gone: list[Finding] = []
    for finding in findings:
        (gone if (finding.file, finding.line, finding.rule) in by_place else stay).append(finding)
    return stay, gone


def without_reason(comments: list[Suppression]) -> Iterable[Hit]:
    """Comments that suppress nothing because they say no why."""
    for comment in comments:
        if not comment.reason:
            yield Hit(
                comment.file, comment.line, comment.column, f"ignores {', '.join(comment.rules)} without a reason"
            )


def unused(comments: list[Suppression], gone: list[Finding], ran: frozenset[str]) -> Iterable[Hit]:
    """Comments whose finding is not there (any more); only for rules that ran."""
    used = {(finding.file, line, finding.rule) for finding in gone for line in (finding.line, finding.line - 1)}
    for comment in comments:
        idle = [each for each in comment.rules if each in ran and (comment.file, comment.line, each) not in used]
        if comment.reason and idle:
            yield Hit(comment.file, comment.line, comment.column, f"nothing to ignore here: {', '.join(idle)}")
