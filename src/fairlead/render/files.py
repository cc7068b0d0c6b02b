"""Parts become files: objects of one path are its documents, in their order; the same parts give the same bytes.

What stands below `manifests/` is applied to the cluster; the rest is for other tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fairlead.render import yaml
from fairlead.render.build import Object, Part

MANIFESTS = "manifests/"


@dataclass(frozen=True, slots=True)
class Document:
    """An object, and the path of the file that it stands in."""

    path: str
    object: Object

    @property
    def is_kustomization(self) -> bool:
        """Whether it is about other files, and no object of the cluster."""
        return self.object.get("kind") == "Kustomization"

    @property
    def title(self) -> str:
        """`Deployment/chat-gateway`, as it is called in messages."""
        return f"{self.object.get('kind', '')}/{self.object.get('metadata', {}).get('name', '')}"


@dataclass(frozen=True, slots=True)
class Files:
    """What was rendered, before it is written: documents in their order, and whole texts by path."""

    documents: tuple[Document, ...]
    whole: Mapping[str, str]

    @property
    def manifests(self) -> list[Document]:
        """What is applied to the cluster."""
        return [each for each in self.documents if each.path.startswith(MANIFESTS) and not each.is_kustomization]

    @property
    def paths(self) -> set[str]:
        """Every file."""
        return {*self.whole, *(document.path for document in self.documents)}

    def texts(self) -> dict[str, str]:
        """Every file's text, by path."""
        grouped: dict[str, list[Object]] = {}
        for document in self.documents:
            grouped.setdefault(document.path, []).append(document.object)
        made = {path: _text(path, objects) for path, objects in grouped.items()}
        return dict(sorted({**made, **self.whole}.items()))


def files(parts: Iterable[Part]) -> Files:
    """Sort parts into files. Raises ValueError for a path that is given twice as a whole, or that leads elsewhere."""
    documents: list[Document] = []
    whole: dict[str, str] = {}
    for path, part in parts:
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"leads out of the folder: {path}")
        if isinstance(part, str):
            if path in whole:
                raise ValueError(f"two renderers write {path}")
            whole[path] = part
        else:
            documents.append(Document(path, part))
    shared = whole.keys() & {document.path for document in documents}
    if shared:
        raise ValueError(f"two renderers write {', '.join(sorted(shared))}")
    return Files(tuple(documents), whole)


def extended(made: Files, parts: Iterable[Part]) -> Files:
    """The same with more parts."""
    rest = files(parts)
    shared = made.paths & rest.paths
    if shared:
        raise ValueError(f"two renderers write {', '.join(sorted(shared))}")
    return Files((*made.documents, *rest.documents), {**made.whole, **rest.whole})


def _text(path: str, objects: Sequence[Object]) -> str:
    if path.endswith(".json"):
        [only] = objects
        return json.dumps(only, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return yaml.dump_all(objects)
