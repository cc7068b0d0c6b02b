"""A JSON Schema reaches the engine only after it has compiled elsewhere: in a batch, a bad one would break all.

The engine compiles a grammar during a step; when that throws, every sequence of the step is stuck for good. So each new
schema is first tried on a canary, a tiny random model with the same vocabulary.

A schema becomes our own grammar where that keeps it in full, since the engine's own reading allows blanks without end;
any other schema goes to the engine as it is.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from fairlead.engine.openvino.api_error import ApiError, invalid, unsupported
from fairlead.engine.openvino.ebnf import translate
from fairlead.engine.openvino.ebnf_schema import Untranslatable
from fairlead.engine.openvino.wire import ResponseFormat

ANY_OBJECT: Final = {"type": "object"}
MAX_SCHEMA_BYTES = 65_536
MAX_GRAMMAR_BYTES = 262_144
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


@dataclass(frozen=True, slots=True)
class AnswerGrammar:
    """What an answer has to match, in one of two languages of the engine."""

    language: Literal["ebnf", "json_schema"]
    text: str


def answer_grammar(format: ResponseFormat | None) -> AnswerGrammar | None:
    """The grammar of the answer, or None for free text. Raises ApiError on what cannot be kept."""
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return AnswerGrammar("ebnf", translate(ANY_OBJECT))
    if format.type != "json_schema":
        raise unsupported("response_format", f"types are text, json_object and json_schema, got {format.type!r}")
    if format.json_schema is None:
        raise invalid("`response_format.json_schema` is missing", "response_format.json_schema")
    _check(format.json_schema.schema)
    text = msgspec.json.encode(format.json_schema.schema).decode()
    if len(text) > MAX_SCHEMA_BYTES:
        raise invalid(f"the JSON Schema is longer than {MAX_SCHEMA_BYTES} bytes", "response_format")
    return _translated(format.json_schema.schema) or AnswerGrammar("json_schema", text)


def _translated(schema: Mapping[str, Any]) -> AnswerGrammar | None:
    try:
        text = translate(schema)
    except Untranslatable:
        return None
    return AnswerGrammar("ebnf", text) if len(text) <= MAX_GRAMMAR_BYTES else None


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
    """Remembers which grammars compile. `open_canary` returns a function that raises RuntimeError on a bad one."""

    def __init__(self, open_canary: Callable[[], Callable[[AnswerGrammar], None]]) -> None:
        self._open_canary = open_canary
        self._compile: Callable[[AnswerGrammar], None] | None = None
        self._known: OrderedDict[AnswerGrammar, str] = OrderedDict()  # "" or what is wrong with it
        self._turn = asyncio.Lock()

    async def check(self, grammar: AnswerGrammar) -> None:
        """Return when the engine can take `grammar`; raise ApiError when it cannot."""
        async with self._turn:
            if grammar not in self._known:
                self._known[grammar] = await asyncio.to_thread(self._try, grammar)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            problem = self._known[grammar]
        if problem:
            raise self._refusal(problem)

    def _try(self, grammar: AnswerGrammar) -> str:
        if self._compile is None:
            self._compile = self._open_canary()
        try:
            self._compile(grammar)
        except RuntimeError as error:
            return str(error).strip().splitlines()[-1].split(": ", 2)[-1]
        return ""

    @staticmethod
    def _refusal(problem: str) -> ApiError:
        return invalid(f"The JSON Schema in `response_format` cannot be used: {problem}", "response_format")
