"""The definitions of ../shared/data/crds, as their makers published them; a test without that folder is skipped."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from fairlead.ops.schemas.received import Received, by_kind, received
from fairlead.schemas.judge import Judge

DATA = Path(__file__).parents[4] / "shared" / "data"
INDEX = DATA / "crds" / "index.tsv"
ARCHIVE = DATA / "crds" / "verbatim.tar.xz"


@cache
def files() -> Mapping[str, bytes]:
    """Every file of the archive, by `GROUP/KIND.yaml`."""
    if not ARCHIVE.exists():
        pytest.skip(f"{ARCHIVE} is not beside the checkout")
    with tarfile.open(ARCHIVE) as archive:
        opened = [(member.name.removeprefix("./"), archive.extractfile(member)) for member in archive]
        return {name: file.read() for name, file in opened if file is not None}


def paths() -> dict[str, str]:
    """`repository/path` of each file of the archive, by its name there."""
    if not INDEX.exists():
        pytest.skip(f"{INDEX} is not beside the checkout")
    rows = [line.split("\t") for line in INDEX.read_text().splitlines()]
    repository, path = rows[0].index("upstream_repo"), rows[0].index("upstream_path")
    return {row[0]: f"{row[repository]}/{row[path]}" for row in rows[1:]}


@cache
def definitions(*names: str) -> Mapping[tuple[str, str], Received]:
    """Some of the files, read; reading all 61 takes seconds."""
    return by_kind(each for name in names for each in received(files()[name], name))


def judge(*names: str) -> Judge:
    """One that knows the definitions of these files."""
    known = definitions(*names)

    def lookup(group: str, kind: str):  # type: ignore[no-untyped-def]
        found = known.get((group, kind))
        return found.crd if found else None

    return Judge(lookup)
