"""YAML 1.2 to plain values, and for every key and value the line and column where it stands.

Strict where YAML is lax: no duplicate keys, no tags, text keys only, one document, and a bound on size, depth and
the number of values, so that aliases cannot blow it up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fairlead.errors import Problem, UserError
from fairlead.spec.problems import Path, dotted

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_VALUES = 10_000  # counted after aliases are followed

MAX_OPEN_BRACKETS = 200  # the scanner's time grows with the cube of them

_TAG = "tag:yaml.org,2002:"
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Line and column, both from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Document:
    """Plain values, and where each value and each key stands."""

    file: str
    values: dict[str, Any]
    at: Mapping[Path, Position]
    key_at: Mapping[Path, Position]

    def position(self, path: Path, *, of_key: bool = False) -> Position:
        """Where `path` stands; for what is not written, where its nearest parent does."""
        if of_key and path in self.key_at:
            return self.key_at[path]
        while path and path not in self.at:
            path = path[:-1]
            if path in self.key_at:
                return self.key_at[path]
        return self.at.get(path, Position())

    def where(self, path: Path, *, of_key: bool = False) -> str:
        """The same as `file:line:column`."""
        position = self.position(path, of_key=of_key)
        return f"{self.file}:{position.line}:{position.column}"


def parse(text: str, *, file: str) -> Document:
    """The one document in `text`, a mapping. Raises `UserError` with every problem of its form."""
    if len(text.encode()) > MAX_BYTES:
        raise UserError(f"the file is larger than {MAX_BYTES // 1024} KiB", where=file)
    if max(accumulate((_STEPS.get(char, 0) for char in text), initial=0)) > MAX_OPEN_BRACKETS:
        raise UserError("the file is nested too deeply", where=file)
    root = _compose(text, file)
    if root is None:
        raise UserError("the file is empty", where=f"{file}:1:1", hint="`fairlead init` writes one to start from")
    reader = _Reader(file)
    try:
        values = reader.value(root, ())
    except RecursionError:  # << that merges what it stands in
        raise UserError("the file is nested too deeply", where=file) from None
    if not isinstance(values, dict):
        reader.refuse(root, (), "the file must be a mapping of keys to values")
    if reader.problems:
        raise UserError(problems=[problem for _, problem in sorted(reader.problems, key=lambda pair: pair[0])])
    return Document(file, values, reader.at, reader.key_at)


def _compose(text: str, file: str) -> Node | None:
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        message = " ".join(part for part in (error.context, error.problem) if part)
        raise UserError(f"not YAML: {message}", where=where, hint=_form_hint(message)) from None
    except YAMLError as error:
        raise UserError(f"not YAML: {str(error).splitlines()[0]}", where=file) from None
    except RecursionError:
        raise UserError("the file is nested too deeply", where=file) from None
    return node


def _form_hint(message: str) -> str:
    if "'\\t'" in message:
        return "indent with spaces, not with tabs"
    if "mapping values are not allowed" in message:
        return "check the indentation, and put text that contains ': ' in quotes"
    if "single document" in message:
        return "one document a file: put what differs into environments:"
    return ""


@dataclass(slots=True)
class _Reader:
    """Walks the nodes once; notes positions and problems on the way."""

    file: str
    at: dict[Path, Position] = field(default_factory=dict)
    key_at: dict[Path, Position] = field(default_factory=dict)
    problems: list[tuple[Position, Problem]] = field(default_factory=list)
    count: int = 0

    def refuse(self, node: Node, path: Path, message: str, hint: str = "") -> None:
        position = _position(node)
        where = f"{self.file}:{position.line}:{position.column}"
        self.problems.append((position, Problem(message, where=where, subject=dotted(path), hint=hint)))

    def value(self, node: Node, path: Path) -> Any:
        self.spend(node, len(path))
        self.at[path] = _position(node)
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node, path)

    def spend(self, node: Node, depth: int) -> None:
        """Count a value; stop at once where there are too many, for there may be no end of them."""
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_VALUES:
            message = f"more than {MAX_DEPTH} levels or {MAX_VALUES} values, aliases included"
            raise UserError(message, where=f"{self.file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}")

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, key, value in self.pairs(node, path):
            here = (*path, name)
            self.key_at[here] = _position(key)
            found[name] = self.value(value, here)
        return found

    def pairs(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Node, Node]]:
        """The keys that count: written ones once each, then those merged by `<<` that are not written."""
        own: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if _is_merge(key):
                continue
            if not isinstance(key, ScalarNode) or _kind(key) not in {"str", "timestamp"}:
                self.refuse(key, path, "a key must be text", "put it in quotes")
            elif key.value in own:
                first = _position(own[key.value][0])
                self.refuse(key, (*path, key.value), f"this key stands twice; first in line {first.line}")
            else:
                own[key.value] = (key, value)
        for name, pair in self.merged(node, path):
            own.setdefault(name, pair)
        yield from ((name, *pair) for name, pair in own.items())

    def merged(self, node: MappingNode, path: Path) -> Iterator[tuple[str, tuple[Node, Node]]]:
        for key, value in node.value:
            if not _is_merge(key):
                continue
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                self.spend(key, len(path))
                if isinstance(source, MappingNode):
                    yield from ((name, (inner, item)) for name, inner, item in self.pairs(source, path))
                else:
                    self.refuse(key, path, "<< merges mappings only")

    def scalar(self, node: Node, path: Path) -> Any:
        read = _SCALARS.get(_kind(node))
        if read is None:
            self.refuse(node, path, f"the tag {str(node.tag)[:40]} is not supported", "leave it out")
            return None
        try:
            return read(str(node.value))
        except ValueError:
            return str(node.value)  # looks like a number and is none: the field's own check will say so


def _position(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _kind(node: Node) -> str:
    return str(node.tag).removeprefix(_TAG)


def _is_merge(key: Node) -> bool:
    return isinstance(key, ScalarNode) and _kind(key) == "merge"


def _integer(text: str) -> int:
    return int(text.replace("_", ""), {"0x": 16, "0o": 8}.get(text.lstrip("+-")[:2], 10))


def _number(text: str) -> float:
    return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "timestamp": str,  # no field is a date: it is the user's text
    "int": _integer,
    "float": _number,
    "bool": lambda text: text.lower() == "true",
    "null": lambda text: None,
}
