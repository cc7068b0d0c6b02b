"""Every wrong is told in the user's words: the path that they wrote, what is wrong, and what to write instead.

Pydantic's errors come in; `Finding`s go out: a path, a message and a hint, which `load` pins to a line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]


class FieldError(ValueError):
    """A value that its own field refuses; raised by validators of the spec's types."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at `path`; `at_key` when the key itself is to blame and not its value."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False


def dotted(path: Path) -> str:
    """`("models", "demo", "operations", 0)` is `models.demo.operations[0]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def nearest(name: object, known: Iterable[str], *, otherwise: str = "known") -> str:
    """The hint for a name that nobody knows: the likely one, or all of them."""
    names = sorted(known)
    close = _closest(str(name), names)
    return f"did you mean {close}?" if close else f"{otherwise}: {', '.join(names)}" if names else ""


def _closest(name: str, names: Sequence[str]) -> str | None:
    """A name spelt like it, or one that it begins: `prod` for production."""
    begun = [known for known in names if name and known.startswith(name)]
    return next(iter(difflib.get_close_matches(name, names, n=1) + begun), None)


def from_pydantic(error: ErrorDetails, path: Path, owner: type[BaseModel] | None) -> Finding:
    """One pydantic error as a finding. `owner` is the model whose field it is, where there is one."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        hint = nearest(path[-1], owner.model_fields if owner else (), otherwise="known keys")
        return Finding(path, f"unknown key {path[-1]!r}", hint, at_key=True)
    if kind == "missing":
        return Finding(path[:-1], f"{path[-1]!r} is missing", _description(owner, path[-1]), at_key=True)
    if kind == "value_error":
        reason = context["error"]
        return Finding(path, str(reason), getattr(reason, "hint", ""), at_key=error["loc"][-1] == "[key]")
    if kind == "union_tag_invalid":
        hint = nearest(context["tag"], _options(context["expected_tags"]), otherwise="engines")
        return Finding((*path, "engine"), f"unknown engine {context['tag']!r}", hint)
    hint = _hint(kind, context, error["input"]) or _description(owner, path[-1])
    return Finding(path, _message(kind, context, error["input"]), hint, at_key=error["input"] is None)


# The message for each pydantic error type that the spec's types can raise; {} is what was written.
_WANTED: Mapping[str, str] = {
    "string_type": "must be text, not {}",
    "int_type": "must be a whole number, not {}",
    "int_from_float": "must be a whole number, not {}",
    "float_type": "must be a number, not {}",
    "bool_type": "must be true or false, not {}",
    "finite_number": "must be a finite number, not {}",
    "model_type": "must be a mapping of keys to values, not {}",
    "model_attributes_type": "must be a mapping of keys to values, not {}",
    "dict_type": "must be a mapping of names to values, not {}",
    "mapping_type": "must be a mapping of names to values, not {}",
    "tuple_type": "must be a list, not {}",
    "greater_than": "must be more than {gt}, not {}",
    "greater_than_equal": "must be at least {ge}, not {}",
    "less_than": "must be less than {lt}, not {}",
    "less_than_equal": "must be at most {le}, not {}",
    "too_short": "needs at least {min_length}",
    "too_long": "takes at most {max_length}",
    "multiple_of": "must be a multiple of {multiple_of}, not {}",
    "literal_error": "must be {expected}, not {}",
}


def _message(kind: str, context: Mapping[str, Any], written: object) -> str:
    if written is None:
        return "is empty: give it a value or leave the key out"
    wanted = _WANTED.get(kind)
    return wanted.format(shown(written), **context) if wanted else f"is not valid ({kind}): {shown(written)}"


def _hint(kind: str, context: Mapping[str, Any], written: object) -> str:
    if kind == "literal_error" and isinstance(written, str):
        close = _closest(written, _options(context["expected"]))
        return f"did you mean {close}?" if close else ""
    if kind == "string_type" and isinstance(written, int | float):
        return f"put it in quotes: {str(written)!r}"
    if kind in {"int_type", "float_type"} and isinstance(written, str) and written.replace(".", "", 1).isdigit():
        return f"without quotes: {written}"
    return ""


def _options(expected: str) -> list[str]:
    """Pydantic lists them as `'a', 'b' or 'c'`."""
    return [option.strip(" '") for option in expected.replace(" or ", ", ").split(",")]


def shown(value: object) -> str:
    """A value as a message shows it: short, and collections by their kind."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _description(owner: type[BaseModel] | None, name: object) -> str:
    field = owner.model_fields.get(str(name)) if owner else None
    return f"{name}: {field.description}" if field and field.description else ""
