"""The variables of a file are set, and what they hold is valid, before anything runs; no message holds a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from fairlead.spec.crosscheck import crosscheck
from fairlead.spec.problems import Finding, Path
from fairlead.spec.types import Spec
from fairlead.variables import VariableError, all_resolved, has_variable, names_in, resolved


def unresolvable(values: Any, environ: Mapping[str, str] | None) -> list[Finding]:
    """Malformed variables, and with an environment also those that it lacks."""
    return [finding for path, text in texts(values) if (finding := _unresolvable(path, text, environ))]


def invalid(values: Any, environ: Mapping[str, str]) -> list[Finding]:
    """Texts whose variables hold what their field refuses. Every variable is set."""
    whole = all_resolved(values, environ)
    refused: list[Path] = [finding.path for finding in crosscheck(whole)]
    try:
        Spec.model_validate(whole)
    except ValidationError as error:
        refused += [detail["loc"] for detail in error.errors(include_url=False, include_input=False)]
    return [
        Finding(path, f"{_shown(text)} holds what this field does not take", "the value itself is never shown")
        for path, text in texts(values)
        if any(_is_at(path, place) for place in refused)
    ]


def with_values(spec: Spec, environ: Mapping[str, str]) -> Spec:
    """The spec as the processes started here need it. Not for printing. Raises VariableError."""
    return Spec.model_validate(all_resolved(spec.model_dump(mode="json"), environ))


def names_used(spec: Spec) -> set[str]:
    """The variables that a spec, as it was written, takes values from."""
    return {name for _, text in texts(spec.model_dump(mode="json")) for name in names_in(text)}


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text that holds a variable, with its place."""
    if isinstance(value, str):
        if has_variable(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))


def _unresolvable(path: Path, text: str, environ: Mapping[str, str] | None) -> Finding | None:
    try:
        for name in names_in(text):
            if environ is not None:
                resolved(f"${{{name}}}", environ)
    except VariableError as error:
        hint = f"export {error.name}=..." if error.name else "write ${NAME}, or $${ for a plain ${"
        return Finding(path, str(error), hint)
    return None


def _is_at(path: Path, location: Path) -> bool:
    """Whether an error's place is the text's; pydantic puts the engine's name between a model and its field."""
    without_engine = (*location[:2], *location[3:]) if location[:1] == ("models",) else location
    return path in (location, without_engine)


def _shown(text: str) -> str:
    return " and ".join(f"${{{name}}}" for name in dict.fromkeys(names_in(text)))
