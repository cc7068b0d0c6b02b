"""Files that commands read: what is wrong with one is told as a UserError."""

from __future__ import annotations

import csv
from pathlib import Path

from fairlead.errors import UserError


def text_of(path: Path) -> str:
    """The file's text. Raises UserError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, short ones filled up. Raises UserError."""
    lines = text_of(path).splitlines()
    return [{name: value for name, value in row.items() if name} for row in csv.DictReader(lines, restval="")]
