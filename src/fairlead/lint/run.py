"""Lint a set of files: every check over the whole set, then what the files' own comments take away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fairlead.lint import suppress
from fairlead.lint.finding import ORDER, Finding, Hit
from fairlead.lint.folder import Folder
from fairlead.lint.front.read import File
from fairlead.lint.rule import rules
from fairlead.lint.rules import CHECKS

UNREADABLE, BEYOND_BOUNDS, NO_REASON, IDLE, TEMPLATE = "L-01", "L-02", "L-03", "L-04", "L-05"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, what comments took away, and how much was read."""

    findings: tuple[Finding, ...]
    suppressed: tuple[Finding, ...]
    files: int
    documents: int

    def count(self, severity: str) -> int:
        """How many findings have this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def fails(self, fail_on: str) -> bool:
        """Whether something is as bad as `fail_on` (error, warning, info), or worse."""
        return any(ORDER[finding.severity] <= ORDER[fail_on] for finding in self.findings)


def lint(files: Sequence[File], *, only: Iterable[str] = (), foreign: Iterable[Finding] = ()) -> Report:
    """Every rule, or those of `only`. `foreign` are findings of other linters: suppressed by the same comments."""
    folder = Folder(tuple(files))
    chosen = frozenset(only) or frozenset(rules())
    comments = [comment for file in files for comment in suppress.suppressions(file)]
    found = [*_checked(folder, chosen), *_own(files, comments, chosen), *foreign]
    stay, gone = suppress.apply(found, comments)
    ran = frozenset(CHECKS) & chosen
    stay += [_finding(IDLE, hit) for hit in suppress.unused(comments, gone, ran) if IDLE in chosen]
    return Report(
        tuple(sorted(set(stay), key=Finding.order)),
        tuple(sorted(set(gone), key=Finding.order)),
        len(files),
        len(folder.documents),
    )


def _checked(folder: Folder, chosen: frozenset[str]) -> Iterator[Finding]:
    for rule, check in CHECKS.items():
        if rule in chosen:
            yield from (_finding(rule, hit) for hit in check(folder))


def _own(files: Sequence[File], comments: list[suppress.Suppression], chosen: frozenset[str]) -> Iterator[Finding]:
    """What the linter has to say about files and comments themselves."""
    hits = {
        UNREADABLE: [hit for file in files for hit in file.unreadable],
        BEYOND_BOUNDS: [hit for file in files for hit in file.beyond_bounds],
        TEMPLATE: [hit for file in files for hit in file.templates],
        NO_REASON: suppress.without_reason(comments),
    }
    for rule, found in hits.items():
        if rule in chosen:
            yield from (_finding(rule, hit) for hit in found)


def _finding(rule: str, hit: Hit) -> Finding:
    words = rules()[rule]
    return Finding(
        rule,
        hit.severity or words.severity,
        hit.file,
        hit.line,
        hit.column,
        hit.message,
        hit.fix or words.fix,
        hit.edit,
    )
