"""A rendering without what comes around its engines, written to a folder and shown to the judges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fairlead.render.build import Build, Object, Part, Renderer
from fairlead.render.files import Files, files

from ..oracles import judge
from ..plans import built

OUTSIDE = (
    "ServiceAccount/chat-engine",
    "PersistentVolumeClaim/chat-models",
    "Secret/chat-hub-token",
    "ConfigMap/chat-gateway-config",
)
"""What the platform's renderers make."""


def parts(renderer: Renderer, build: Build | None = None) -> Files:
    """What one renderer makes."""
    return files(renderer(build or built()))


def written(made: Files | Iterable[Part], folder: Path) -> Path:
    """The files below `folder`."""
    for path, text in (made if isinstance(made, Files) else files(made)).texts().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def judged(made: Mapping[str, Files], folder: Path, *outside: str) -> None:
    """No problem for the schemas of the cluster's kinds, nor for the rules of core kinds, each rendering by itself."""
    for name, each in made.items():
        written(each, folder / name)
        external = [word for thing in (*OUTSIDE, *outside) for word in ("--external", thing)]
        judge("core", folder / name / "manifests", *external)
    judge("crds", folder)


def objects(made: Files, kind: str) -> list[Object]:
    """All objects of a kind."""
    return [each.object for each in made.documents if each.object.get("kind") == kind]


def named(made: Files, kind: str, name: str) -> Object:
    """The object of this kind and name."""
    [found] = [each for each in objects(made, kind) if each["metadata"]["name"] == name]
    return found


def walk(value: Any) -> Iterator[Any]:
    """Every value within a value."""
    yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(each)
