"""The architecture behind a model of the spec: as it names it, its folder's config.json, or the catalog's."""

from __future__ import annotations

import json
from pathlib import Path

from fairlead.catalog.hf_config import shape_of
from fairlead.catalog.models import ModelShape, model
from fairlead.errors import Problem, UserError
from fairlead.spec.types import VllmModel

HINT = "write `shape`: a model of `fairlead catalog list models`, or the path of its config.json"


def shape_for(name: str, asked: VllmModel, folder: Path) -> ModelShape:
    """The shape of the model called `name` in the spec; relative paths start in `folder`. Raises UserError."""
    field = "shape" if asked.shape else "source"
    try:
        return named(asked.shape or asked.source, folder)
    except UserError as error:
        subject = f"models.{name}.{field}"
        problems = [Problem(each.message, subject=subject, hint=each.hint or HINT) for each in error.problems]
        raise UserError(problems=problems) from None


def named(text: str, folder: Path) -> ModelShape:
    """The shape that a name, a source or a path stands for. Raises UserError."""
    if text.endswith(".json"):
        return read(folder / text)
    scheme, separator, rest = text.partition("://")
    if not separator and text.startswith((".", "/", "~")):
        return read(folder / Path(text).expanduser() / "config.json")
    plain = rest.split("@")[0] if separator else text
    repository = "/".join(plain.split("/")[:2]) if scheme == "hf" else plain.rstrip("/")
    try:
        return model(repository)
    except UserError as error:
        raise UserError(f"the catalog has no model called {repository!r}", hint=HINT) from error


def read(path: Path) -> ModelShape:
    """The shape of a config.json. Raises UserError."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no config.json to be read: {error}", hint=HINT) from error
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a model's config.json", hint=HINT)
    return shape_of(config, name=path.resolve().parent.name)
