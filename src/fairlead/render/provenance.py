"""Where each object comes from: the part of the file that asked for it, with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fairlead.render import names
from fairlead.render.build import Object
from fairlead.render.files import Document, Files

FILE = "PROVENANCE.md"
Where = Callable[[str], str]
"""The dotted path of a part, `models.llama`, to its place, `fairlead.yaml:4`."""


def provenance(documents: Iterable[Document], where: Where) -> str:
    """A table of every object that is applied: what it is, its file, the part of the spec, and its line."""
    rows = sorted({row(document, where) for document in documents})
    head = "| object | file | made of | where |\n|---|---|---|---|\n"
    return f"# Where each object comes from\n\n{head}{''.join(rows)}"


def row(document: Document, where: Where) -> str:
    """One line of the table."""
    origin = origin_of(document.object)
    return f"| {document.title} | {document.path} | {origin or '-'} | {where(origin) if origin else '-'} |\n"


def origin_of(item: Object) -> str:
    """The part of the spec that an object says it was made of."""
    annotations: dict[str, str] = item.get("metadata", {}).get("annotations", {})
    return annotations.get(names.ORIGIN, "")


def without_origin(files: Files) -> Iterator[Document]:
    """Objects of which nobody could say where they come from."""
    return (each for each in files.manifests if not origin_of(each.object))
