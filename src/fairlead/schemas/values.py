"""Types and values by a structural schema: jsonschema's draft 4, as OpenAPI v3 has it, with Kubernetes' keys.

Its `nullable`, its int-or-string, and its patterns, which are RE2's and not Python's. Of formats, date-time, ipv4,
ipv6, int32 and int64 are checked; others are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import re2
from jsonschema import Draft4Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import create

Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[ValidationError] | None]
FORMATS = FormatChecker(formats=("date-time", "ipv4", "ipv6"))
FORMATS.checks("int32")(lambda value: not isinstance(value, int) or -(2**31) <= value < 2**31)
FORMATS.checks("int64")(lambda value: not isinstance(value, int) or -(2**63) <= value < 2**63)


def validator(schema: Mapping[str, Any]) -> Any:
    """A validator of jsonschema for a structural schema, as the definition has it."""
    return Structural(schema, format_checker=FORMATS)


def _is_integer(_: Any, value: Any) -> bool:
    """A number without a fraction is one, however it was written."""
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _or_null(keyword: Keyword) -> Keyword:
    """A null is refused by its type, or by nothing."""

    def checked(made: Any, said: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        if value is not None:
            yield from keyword(made, said, value, schema) or ()

    return checked


def _type(made: Any, said: str, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if not (value is None and schema.get("nullable")) and not made.is_type(value, said):
        yield ValidationError(f"{_shown(value)} is no {said}")


def _int_or_string(made: Any, said: object, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    types = ("integer", "string", *(("null",) if schema.get("nullable") else ()))
    if said and not any(made.is_type(value, each) for each in types):
        yield ValidationError(f"{_shown(value)} is neither an integer nor a string")


def _pattern(made: Any, said: str, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _compiled(said).search(value):
        yield ValidationError(f"{_shown(value)} does not match {said}")


@cache
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


KEYWORDS: Mapping[str, Any] = {
    **{name: _or_null(keyword) for name, keyword in Draft4Validator.VALIDATORS.items() if name != "$ref"},
    "type": _type,
    "pattern": _pattern,
    "x-kubernetes-int-or-string": _int_or_string,
}
"""All of draft 4 but references: a definition has none, and nothing is to be fetched because a file says so."""
Structural = create(
    meta_schema={},
    validators=KEYWORDS,
    type_checker=Draft4Validator.TYPE_CHECKER.redefine("integer", _is_integer),
    id_of=lambda schema: "",
)
