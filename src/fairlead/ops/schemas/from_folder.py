"""Definitions from files on this disk: a machine without a network, or what `kubectl get crds -o yaml` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fairlead.errors import UserError
from fairlead.ops.schemas.received import Received, received

SUFFIXES = frozenset((".yaml", ".yml", ".json"))


def from_folder(folder: Path) -> Iterator[Received]:
    """Every definition in the YAML and JSON files below a folder, or in one file. Raises UserError."""
    if not folder.exists():
        raise UserError(f"{folder}: no such file or folder")
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES) if folder.is_dir() else [folder]
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        yield from received(content, str(path))
