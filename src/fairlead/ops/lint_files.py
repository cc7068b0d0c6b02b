"""The files that are linted, read from disk: folders are walked, what is too large or unreadable is told."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fairlead.errors import Problem, UserError
from fairlead.lint.finding import Hit
from fairlead.lint.front.read import LARGEST, File, language_of, read, too_large

SKIPPED = {".git", ".terraform", ".venv", "node_modules", "__pycache__", ".cache", ".tox"}


def files(paths: Sequence[Path]) -> list[File]:
    """Every file below `paths` of a language that is read. Raises UserError for a path that is not there."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        problems = [Problem("there is no such file or folder", where=str(path)) for path in missing]
        raise UserError(problems=problems)
    return [_file(path) for path in _paths(paths)]


def _paths(paths: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        for each in sorted(_walk(path)) if path.is_dir() else [path]:
            if each not in seen and (language_of(each.name) or each == path):
                seen.add(each)
                yield each


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED)
        yield from (Path(parent, name) for name in names)


def _file(path: Path) -> File:
    name = path.as_posix()
    try:
        size = path.stat().st_size
        return too_large(name, size) if size > LARGEST else read(name, path.read_bytes())
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        return File(name, language_of(name), "", (), beyond_bounds=(Hit(name, 1, 1, message),))
