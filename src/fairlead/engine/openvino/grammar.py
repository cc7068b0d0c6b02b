"""A JSON Schema reaches the engine only after it has compiled elsewhere: in a batch, a bad one would break all.

The engine compiles a grammar during a step; when that throws, every sequence of the step is stuck for good. So each new
schema is first tried on a canary, a tiny random model with the same vocabulary.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from fairlead.engine.openvino.api_error import ApiError, invalid, unsupported
from fairlead.engine.openvino.wire import ResponseFormat

ANY_OBJECT = '{"type":"object"}'
MAX_SCHEMA_BYTES = 65_536
MAX_DEPTH = 32
REMEMBERED = 512

# The grammar compiler passes over these without a word: the answer would not keep them.
UNENFORCED: Final = frozenset(
    (
        "not",
        "if",
        "then",
        "else",
        "multipleOf",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "dependentSchemas",
        "dependentRequired",
        "propertyNames",
        "unevaluatedProperties",
        "unevaluatedItems",
    )
)
SCHEMA_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions")  # name -> schema
SCHEMA_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
SCHEMA_VALUES: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


def schema_text(format: ResponseFormat | None) -> str | None:
    """The JSON Schema that the answer has to match, or None for free text. Raises ApiError on what cannot be kept."""
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return ANY_OBJECT
    if format.type != "json_schema":
        raise unsupported("response_format", f"types are text, json_object and json_schema, got {format.type!r}")
    if format.json_schema is None:
        raise invalid("`response_format.json_schema` is missing", "response_format.json_schema")
    _check(format.json_schema.schema)
    text = msgspec.json.encode(format.json_schema.schema).decode()
    if len(text) > MAX_SCHEMA_BYTES:
        raise invalid(f"the JSON Schema is longer than {MAX_SCHEMA_BYTES} bytes", "response_format")
    return text


def _check(schema: Mapping[str, Any]) -> None:
    for depth, node in _nodes(schema, 0):
        if depth > MAX_DEPTH:
            raise invalid(f"the JSON Schema is nested deeper than {MAX_DEPTH} levels", "response_format")
        if bad := sorted(UNENFORCED & node.keys()):
            raise unsupported("response_format", f"the engine cannot enforce the keyword {bad[0]!r}")


def _nodes(schema: Any, depth: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Every subschema with its depth; values of enum, const and default are not schemas."""
    if not isinstance(schema, dict):
        return
    yield depth, schema
    if depth > MAX_DEPTH:
        return
    children = [schema.get(key) for key in SCHEMA_VALUES]
    children += [c for key in SCHEMA_LISTS if isinstance(schema.get(key), list) for c in schema[key]]
    children += [c for key in SCHEMA_MAPS if isinstance(schema.get(key), dict) for c in schema[key].values()]
    for child in children:
        yield from _nodes(child, depth + 1)


class GrammarCheck:
    """Remembers which schemas compile. `open_canary` returns a function that raises RuntimeError on a bad schema."""

    def __init__(self, open_canary: Callable[[], Callable[[str], None]]) -> None:
        self._open_canary = open_canary
        self._compile: Callable[[str], None] | None = None
        self._known: OrderedDict[str, str] = OrderedDict()  # schema -> "" or what is wrong with it
        self._turn = asyncio.Lock()

    async def check(self, schema: str) -> None:
        """Return when the engine can take `schema`; raise ApiError when it cannot."""
        async with self._turn:
            if schema not in self._known:
                self._known[schema] = await asyncio.to_thread(self._try, schema)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            problem = self._known[schema]
        if problem:
            raise self._refusal(problem)

    def _try(self, schema: str) -> str:
        if self._compile is None:
            self._compile = self._open_canary()
        try:
            self._compile(schema)
        except RuntimeError as error:
            return str(error).strip().splitlines()[-1].split(": ", 2)[-1]
        return ""

    @staticmethod
    def _refusal(problem: str) -> ApiError:
        return invalid(f"The JSON Schema in `response_format` cannot be used: {problem}", "response_format")
