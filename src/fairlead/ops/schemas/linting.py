"""Other people's custom objects before the pulled definitions: findings of the linter, each at its line.

Objects of YAML and JSON files only: a page may leave out parts of one, and a template is none before it is rendered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.lint.finding import Finding
from fairlead.lint.front.read import File
from fairlead.lint.tree import Document, Map, Place, Seq
from fairlead.ops.schemas.store import Pulled
from fairlead.schemas.judge import Judge, Verdict
from fairlead.schemas.kinds import group_of, is_custom
from fairlead.spec.problems import dotted

RULE = "CRD"


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found, how many objects were held against a definition, and those that none is known for, by kind."""

    findings: tuple[Finding, ...]
    checked: int
    unknown: Mapping[str, int]
    rules_left: int

    def line(self) -> str:
        """What was checked and what was not, in one line."""
        unknown = "".join(f"; no definition of {kind} ({count})" for kind, count in sorted(self.unknown.items()))
        return f"schemas: {self.checked} custom objects checked; CEL rules not checked: {self.rules_left}{unknown}"


def lint(files: Sequence[File], pulled: Pulled) -> Linted:
    """Every custom object of these files."""
    judge = Judge(pulled.lookup)
    verdicts = [(each, judge.verdict(_plain(each.root))) for each in _objects(files)]
    known = [(each, verdict) for each, verdict in verdicts if verdict is not None]
    return Linted(
        tuple(finding for each, verdict in known for finding in _findings(each, verdict, pulled)),
        len(known),
        Counter(each.api for each, verdict in verdicts if verdict is None),
        sum(verdict.rules_left for _, verdict in known),
    )


def _objects(files: Sequence[File]) -> Iterator[Document]:
    for file in files:
        for document in () if file.templates else file.documents:
            own = document.language in {"yaml", "json"} and not document.excerpt and document.parent is None
            if own and document.api and is_custom(document.root):
                yield document


def _findings(document: Document, verdict: Verdict, pulled: Pulled) -> Iterator[Finding]:
    kept = pulled.find(group_of(document.root), str(document.root["kind"]))
    source = f"as the definition {kept.version} of {kept.source} says".replace("  ", " ") if kept else ""
    for each in verdict.findings:
        line, column = _place(document.root, each.path)
        message = f"{document.root['kind']}: {dotted(each.path)}: {each.message}"
        yield Finding(RULE, "error", document.file, line, column, message, each.hint or source)


def _place(root: Any, path: Sequence[str | int]) -> Place:
    """Where the path stands, or what of it is there."""
    place, node = Place(1, 1), root
    for step in path:
        if not isinstance(node, Map | Seq):
            break
        place = node.place(step)
        inside = step in node if isinstance(node, Map) else isinstance(step, int) and step < len(node)
        node = node[step] if inside else None  # type: ignore[index]
    return place


def _plain(value: Any) -> Any:
    """A tree without its places."""
    if isinstance(value, Map):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Seq):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
