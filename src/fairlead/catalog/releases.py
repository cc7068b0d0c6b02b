"""Where the definitions of custom kinds are published: the release of each maker that manifests are written for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from fairlead.catalog.files import sections

HOST = "https://raw.githubusercontent.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """`files` stand below `folder` of the repository at `tag`; `date` is that of the tag, or when it was read."""

    name: str
    repository: str
    tag: str
    date: str
    folder: str
    files: tuple[str, ...]

    def addresses(self, host: str = HOST) -> Iterator[str]:
        """The address of each file, on GitHub or on a mirror that has the same paths."""
        return (f"{host.rstrip('/')}/{self.repository}/{self.tag}/{self.folder}/{file}" for file in self.files)


@cache
def releases() -> Mapping[str, Release]:
    """Every release, by the name of the product."""
    return {
        name: Release(name=name, **{**row, "files": tuple(row["files"])})
        for name, row in sections("releases.toml").items()
    }
