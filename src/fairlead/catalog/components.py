"""The versions that manifests are written for, and the images that run: none of them moves by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fairlead.catalog.files import sections
from fairlead.catalog.names import find


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Something that others make. `image` is "" for what is installed as an operator or by a chart of its own.

    `capability` is the lowest NVIDIA compute capability that an engine's image runs on; 0.0 where it does not matter.
    """

    name: str
    version: str
    date: str
    source: str
    image: str = ""
    capability: float = 0.0

    @property
    def image_parts(self) -> tuple[str, str, str]:
        """(registry with its folders, repository, tag) of the image, as charts want them."""
        name, _, tag = self.image.rpartition(":")
        registry, _, repository = name.rpartition("/")
        return registry, repository, tag


@cache
def components() -> Mapping[str, Component]:
    """Every component, by name."""
    return {name: Component(name=name, **row) for name, row in sections("components.toml").items()}


def component(name: str) -> Component:
    """The component called `name`. Raises UserError."""
    return find(components(), name, kind="component")
