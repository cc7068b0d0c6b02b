"""YAML to trees with positions, from libyaml's events: no recursion, no tags executed, every bound stated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from fairlead.lint.tree import Map, Place, Seq, Text

DEEPEST = 100
MOST_NODES = 300_000  # of one text, aliases expanded: a bomb of nine lists of nine has 3.5e8
INTEGER = re.compile(r"[-+]?[0-9]+\Z")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
WORDS |= {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
SEVERAL_KEYS = "a mapping or list is the key of a mapping"


class Broken(Exception):
    """A text that cannot be read, where it stops, and whether it is a question of size rather than of grammar."""

    def __init__(self, message: str, place: Place, *, bound: bool = False) -> None:
        self.message, self.place, self.bound = message, place, bound
        super().__init__(message)


def parse_yaml(text: str, first_line: int = 1, indent: int = 0) -> Iterator[Any]:
    """The documents of a YAML stream as Map, Seq or scalars.

    `first_line` and `indent` are where the text begins in its file. Raises Broken.
    """
    builder = _Builder(first_line - 1, indent)
    try:
        for event in yaml.parse(str(text), Loader=_LOADER):
            if builder.take(event):
                yield builder.finished()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(first_line + mark.line, 1 + indent + mark.column) if mark else Place(first_line, 1)
        raise Broken(error.problem or error.context or "not YAML", place) from None
    except (yaml.YAMLError, ValueError) as error:
        raise Broken(str(error).splitlines()[0], Place(first_line, 1)) from None


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Builder:
    """Builds trees from events: a stack of open containers, and the keys that wait for their values."""

    def __init__(self, line_offset: int, column_offset: int) -> None:
        self.line_offset, self.column_offset = line_offset, column_offset
        self._reset()

    def _reset(self) -> None:
        self.stack: list[Map | Seq] = []
        self.waiting: list[tuple[str, Place] | None] = []
        self.anchors: dict[str, Any] = {}
        self.sizes: dict[int, int] = {}
        self.nodes = 0
        self.root: Any = None

    def finished(self) -> Any:
        root = self.root
        self._reset()
        return root

    def take(self, event: Any) -> bool:
        """Add an event; True when it ends a document."""
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event), event, 1)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            node = self.stack.pop()
            self.waiting.pop()
            self.sizes[id(node)] = self.nodes - self.sizes[id(node)]
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        return isinstance(event, yaml.DocumentEndEvent)

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(1 + mark.line + self.line_offset, 1 + mark.column + self.column_offset)

    def _scalar(self, event: Any) -> Any:
        value: str = event.value
        if event.style in ("|", ">"):
            text = Text(value)
            text.first_line = self._place(event).line + 1
            return text
        if event.style or not event.implicit[0]:  # quoted, or tagged
            return value
        if value in WORDS:
            return WORDS[value]
        if len(value) < 20 and INTEGER.match(value):
            return int(value)
        if value[:1] in "+-.0123456789" and len(value) < 40 and FLOAT.match(value):
            return float(value)
        return value

    def _open(self, event: Any) -> None:
        place = self._place(event)
        if len(self.stack) >= DEEPEST:
            raise Broken(f"nested deeper than {DEEPEST} levels", place, bound=True)
        node: Map | Seq = Map(place) if isinstance(event, yaml.MappingStartEvent) else Seq(place)
        self._add(node, event, 1)
        self.sizes[id(node)] = self.nodes
        self.stack.append(node)
        self.waiting.append(None)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise Broken(f"alias *{event.anchor} has no anchor", self._place(event))
        node = self.anchors[event.anchor]
        if any(node is each for each in self.stack):
            raise Broken(f"alias *{event.anchor} contains itself", self._place(event), bound=True)
        self._add(node, event, 1 + self.sizes.get(id(node), 0))

    def _add(self, value: Any, event: Any, size: int) -> None:
        """Put a value where it belongs: the next key, that key's value, the next item, or the root."""
        place = self._place(event)
        self.nodes += size
        if self.nodes > MOST_NODES:
            raise Broken(f"more than {MOST_NODES} nodes once its aliases are expanded", place, bound=True)
        if not isinstance(event, yaml.AliasEvent) and event.anchor:
            self.anchors[event.anchor] = value
        if not self.stack:
            self.root = value
            return
        holder = self.stack[-1]
        if isinstance(holder, Seq):
            holder.append(value)
            holder.items_at.append(place)
        elif (key := self.waiting[-1]) is None:
            if isinstance(value, (Map, Seq)):
                raise Broken(SEVERAL_KEYS, place)
            self.waiting[-1] = (event.value if isinstance(event, yaml.ScalarEvent) else str(value), place)
        else:
            self.waiting[-1] = None
            _put(holder, key, value, place)


def _put(holder: Map, key: tuple[str, Place], value: Any, place: Place) -> None:
    name, at = key
    if name == "<<" and isinstance(value, Map):  # a merge: keys of the mapping itself win
        for inner, what in value.items():
            if inner not in holder:
                holder[inner] = what
                holder.keys_at[inner], holder.values_at[inner] = value.keys_at[inner], value.values_at[inner]
        return
    if name in holder and name in holder.keys_at:
        holder.repeated.append((name, at))
    holder[name] = value
    holder.keys_at[name], holder.values_at[name] = at, place
