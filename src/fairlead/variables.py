"""`${VAR}` in a text stands for an environment variable; the value goes to who needs it and is never shown.

What is declared keeps the text as it was written, also once compiled: only the process that uses a value resolves it.
`$${` is a plain `${`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SHORTEST_MASKED = 4  # characters; a shorter value is no secret, and is in too many words
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")


class VariableError(ValueError):
    """A text whose variables cannot be resolved. `name` is the variable that is not set; "" where one is malformed."""

    def __init__(self, message: str, name: str = "") -> None:
        self.name = name
        super().__init__(message)


def has_variable(text: str) -> bool:
    """Whether the text is not what it will be once it is resolved."""
    return "${" in text


def names_in(text: str) -> list[str]:
    """The variables that a text names, in its order. Raises VariableError where a name is malformed."""
    return [name for match in _TOKEN.finditer(text) if (name := _name(match)) is not None]


def resolved(text: str, environ: Mapping[str, str]) -> str:
    """The text with every variable's value in its place; values are not looked into again. Raises VariableError."""

    def value(match: re.Match[str]) -> str:
        name = _name(match)
        if name is None:
            return "${"
        if name not in environ:
            raise VariableError(f"the environment variable {name} is not set", name)
        return environ[name]

    return _TOKEN.sub(value, text)


def all_resolved(value: Any, environ: Mapping[str, str]) -> Any:
    """Plain values with every text in them resolved; keys stay as they are. Raises VariableError."""
    if isinstance(value, str):
        return resolved(value, environ) if has_variable(value) else value
    if isinstance(value, Mapping):
        return {key: all_resolved(item, environ) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [all_resolved(item, environ) for item in value]
    return value


def masked(text: str, names: Iterable[str], environ: Mapping[str, str]) -> str:
    """The text with the values of these variables taken out again: an error of a tool may repeat what it was given."""
    values = {environ.get(name, "").removeprefix("./"): name for name in names}  # as a path it stands in a longer one
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST_MASKED:
            text = text.replace(value, f"${{{values[value]}}}")
    return text


def _name(match: re.Match[str]) -> str | None:
    """The variable of a match; None for the escape."""
    if match[0].startswith("$$"):
        return None
    name = match[1] or ""
    if not _NAME.fullmatch(name):
        raise VariableError("'${' is not followed by the name of a variable and '}'")
    return name
