"""What a file says, as dicts, lists and strings that remember where they stand; lines and columns count from 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A line and a column of a file."""

    line: int
    column: int


class Map(dict[str, Any]):
    """A mapping; `keys_at` and `values_at` tell where each key and each value begins."""

    __slots__ = ("at", "keys_at", "repeated", "values_at")

    def __init__(self, at: Place) -> None:
        super().__init__()
        self.at = at
        self.keys_at: dict[str, Place] = {}
        self.values_at: dict[str, Place] = {}
        self.repeated: list[tuple[str, Place]] = []

    def place(self, key: str | int | None) -> Place:
        """Where a key stands; the mapping's own place for a key that it lacks."""
        return self.keys_at.get(str(key), self.at)


class Seq(list[Any]):
    """A list; `items_at` tells where each item begins."""

    __slots__ = ("at", "items_at")

    def __init__(self, at: Place) -> None:
        super().__init__()
        self.at = at
        self.items_at: list[Place] = []

    def place(self, index: str | int | None) -> Place:
        """Where an item stands; the list's own place for one that it lacks."""
        return self.items_at[index] if isinstance(index, int) and index < len(self.items_at) else self.at


class Text(str):
    """A block scalar (`|` or `>`): a text that begins on a line of its own."""

    __slots__ = ("first_line",)
    first_line: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command, quotes taken off."""

    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command of a script."""

    words: tuple[Word, ...]

    @property
    def name(self) -> str:
        """The program, without its folder."""
        return self.words[0].text.rpartition("/")[2] if self.words else ""

    def line(self) -> str:
        """The command as one line."""
        return " ".join(word.text for word in self.words)

    def option(self, *names: str) -> Word | None:
        """The value of `--name=value` or `--name value`, at its own place."""
        for index, word in enumerate(self.words):
            name, equals, value = word.text.partition("=")
            if name in names:
                if equals:
                    return Word(value, word.line, word.column)
                return self.words[index + 1] if index + 1 < len(self.words) else None
        return None


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed part of a file: a YAML document, a block of a Markdown page, a script.

    `language` is yaml, json, hcl, shell, dockerfile, python, groovy or prose. `root` is the tree (yaml, json, hcl),
    `commands` what it runs (shell, dockerfile). `excerpt` says that it is a part of a page, which may leave things out.
    `role` says what the tree is when its place says so (`serve-config`, `workflow`); `holder` is the container whose
    command this is.
    """

    file: str
    language: str
    text: str
    first_line: int = 1
    root: Any = None
    commands: tuple[Command, ...] = ()
    excerpt: bool = False
    role: str = ""
    parent: Document | None = None
    holder: Map | None = None

    @property
    def api(self) -> str:
        """`apiVersion/kind` of a Kubernetes object; "" for anything else."""
        if not isinstance(self.root, Mapping):
            return ""
        version, kind = self.root.get("apiVersion"), self.root.get("kind")
        return f"{version}/{kind}" if isinstance(version, str) and isinstance(kind, str) else ""

    def lines(self) -> Iterator[tuple[int, str]]:
        """Each line with its number in the file."""
        return enumerate(self.text.split("\n"), self.first_line)


def walk(root: Any) -> Iterator[Map | Seq]:
    """Every mapping and list below a value, itself included; a shared one (an alias) once."""
    seen: set[int] = set()
    open_ = [root]
    while open_:
        node = open_.pop()
        if not isinstance(node, (Map, Seq)) or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        children = list(node.values()) if isinstance(node, Map) else node
        open_.extend(reversed(children))


def dig(root: Any, *path: str | int) -> Any:
    """The value at a path, or None where something on the way is missing or of another kind."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(root, list) or not -len(root) <= step < len(root):
                return None
        elif not isinstance(root, dict) or step not in root:
            return None
        root = root[step]
    return root


def maps(value: Any) -> Iterator[Map]:
    """The mappings of a list; nothing for anything else."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Map))


def as_map(value: Any) -> Map:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Map) else Map(Place(1, 1))
