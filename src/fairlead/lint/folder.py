"""All documents that are linted together, and the questions that rules ask of them; each index is built once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from fairlead.lint.finding import Edit, Hit
from fairlead.lint.front.read import File
from fairlead.lint.tree import Command, Document, Map, Seq, as_map, dig, maps, walk

POD_OWNERS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "CronJob"}


class Variable(NamedTuple):
    """An environment variable of a container: `holder` is the entry, `value` None where it comes from elsewhere."""

    document: Document
    holder: Map
    key: str
    name: str
    value: Any


@dataclass(frozen=True)
class Folder:
    """Files that are linted together."""

    files: tuple[File, ...]

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """Every document, in the order of the files."""
        return tuple(document for file in self.files for document in file.documents)

    @cached_property
    def _by_key(self) -> dict[str, list[tuple[Document, Map]]]:
        index: dict[str, list[tuple[Document, Map]]] = defaultdict(list)
        for document in self.documents:
            for node in walk(document.root):
                if isinstance(node, Map):
                    for key in node:
                        index[key].append((document, node))
        return index

    @cached_property
    def _by_kind(self) -> dict[str, list[Document]]:
        index: dict[str, list[Document]] = defaultdict(list)
        for document in self.documents:
            if document.api:
                index[document.root["kind"]].append(document)
        return index

    def having(self, *keys: str) -> Iterator[tuple[Document, Map, str]]:
        """Every mapping that has one of these keys."""
        for key in keys:
            yield from ((document, node, key) for document, node in self._by_key.get(key, ()))

    def objects(self, *kinds: str) -> Iterator[Document]:
        """The Kubernetes objects of these kinds; all without a kind."""
        for kind in kinds or tuple(self._by_kind):
            yield from self._by_kind.get(kind, ())

    def commands(self, *names: str) -> Iterator[tuple[Document, Command]]:
        """The commands of scripts, containers and workflow steps; those of these names, all without a name."""
        for document in self.documents:
            for command in document.commands:
                if not names or command.name in names:
                    yield document, command

    def scripts(self, language: str) -> Iterator[Document]:
        """The documents of a language."""
        return (document for document in self.documents if document.language == language)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Every environment variable: lists of name and value, `env_vars` and `env` mappings, exports of scripts."""
        return tuple(_variables(self))

    @cached_property
    def containers(self) -> tuple[tuple[Document, Map], ...]:
        """Every mapping that is a container: it has an image and a name, or stands in a list named `containers`."""
        found: dict[int, tuple[Document, Map]] = {}
        for document, holder, key in self.having("containers", "initContainers"):
            for container in maps(holder[key]):
                found[id(container)] = (document, container)
        return tuple(found.values())

    @cached_property
    def _containers_of_env(self) -> dict[int, Map]:
        return {id(entry): container for _, container in self.containers for entry in maps(container.get("env"))}

    def container_of(self, entry: Map) -> Map | None:
        """The container that an environment entry belongs to."""
        return self._containers_of_env.get(id(entry))

    def pods(self) -> Iterator[tuple[Document, Map]]:
        """Every mapping that is a pod's spec."""
        for document, holder, _ in self.having("containers"):
            if isinstance(holder["containers"], list):
                yield document, holder


def _variables(folder: Folder) -> Iterator[Variable]:
    for document, holder, key in folder.having("env", "envs"):
        listed = holder[key]
        if isinstance(listed, list):
            for entry in maps(listed):
                if isinstance(entry.get("name"), str):
                    yield Variable(document, entry, "name", entry["name"], entry.get("value"))
        elif isinstance(listed, Map):
            yield from (Variable(document, listed, name, name, value) for name, value in listed.items())
    for document, holder, key in folder.having("env_vars"):
        listed = as_map(holder[key])
        yield from (Variable(document, listed, name, name, value) for name, value in listed.items())


def hit(
    document: Document, holder: Map | Seq, key: str | int, message: str, *, fix: str = "", edit: Edit | None = None
) -> Hit:
    """A finding at a key of a mapping or at an item of a list."""
    place = holder.place(key)
    return Hit(document.file, place.line, place.column, message, fix, edit)


def value_hit(document: Document, holder: Map, key: str, message: str, *, fix: str = "") -> Hit:
    """A finding at the value of a key."""
    place = holder.values_at.get(key, holder.at)
    return Hit(document.file, place.line, place.column, message, fix)


def replace(holder: Map, key: str, new: str) -> Edit:
    """The edit that gives a key another name."""
    place = holder.place(key)
    return Edit(place.line, place.column, key, new)


def name_of(document: Document) -> str:
    """`Kind/name` of an object."""
    return f"{document.root.get('kind')}/{dig(document.root, 'metadata', 'name') or '?'}"


def first(found: Iterable[Hit]) -> Iterator[Hit]:
    """Only the first of several."""
    for each in found:
        yield each
        return
