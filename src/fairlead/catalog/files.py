"""The catalog's files, read once and never written."""

from __future__ import annotations

import csv
import tomllib
from importlib.resources import files
from typing import Any


def table(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of the catalog, as texts."""
    text = files("fairlead.catalog").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def sections(name: str) -> dict[str, dict[str, Any]]:
    """The tables of a TOML file of the catalog."""
    return tomllib.loads(files("fairlead.catalog").joinpath("data", name).read_text(encoding="utf-8"))
