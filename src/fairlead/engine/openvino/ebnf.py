"""Every text of the grammar is valid under the JSON Schema; a schema that cannot be kept so is refused, never loosened.

The engine's own reading of a schema allows blanks without end between the parts of JSON, and a small model loses itself
in them. This grammar allows one after a comma or a colon. Where a schema leaves a choice of form the grammar takes the
narrower one: properties in their declared order, none beyond them unless `additionalProperties` says so, numbers of a
reader's precision. The grammar's language is that of the engine (GBNF with counted repetition).
"""

from __future__ import annotations

import graphlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from fairlead.engine.openvino.ebnf_keys import other_keys
from fairlead.engine.openvino.ebnf_pattern import pattern_expression
from fairlead.engine.openvino.ebnf_schema import Untranslatable, disjoint, has_type, is_names, only, resolve
from fairlead.engine.openvino.ebnf_terminals import (
    BASE_RULES,
    COLON,
    COMMA,
    FORMATS,
    integer_between,
    json_literal,
    number_between,
)

ANNOTATIONS: Final = frozenset(
    (
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "discriminator",
        "$comment",
        "$schema",
        "$defs",
        "definitions",
    )
)
BOUNDS: Final = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset(("properties", "required", "additionalProperties")),
    "array": frozenset(("items", "prefixItems", "minItems", "maxItems")),
    "string": frozenset(("minLength", "maxLength", "pattern", "format")),
    "number": BOUNDS,
    "integer": BOUNDS,
    "boolean": frozenset(),
    "null": frozenset(),
}
MOST_ITEMS = 256  # beyond, the engine takes long to compile
MOST_CHARACTERS = 4096
MOST_BOUND = 10**9  # with six digits after the point, such a number is read without being rounded to its bound


def translate(schema: Any) -> str:
    """The grammar of a JSON Schema, its start rule named `root`. Raises Untranslatable."""
    grammar = _Grammar(schema)
    try:
        grammar.rules["root"] = grammar.value(_without_id(schema), set())
    except RecursionError:
        raise Untranslatable("definitions or names that are very long") from None
    grammar.refuse_left_recursion()
    return "".join(f"{name} ::= {body}\n" for name, body in _used(grammar.rules).items())


def _without_id(schema: Any) -> Any:
    """At the root `$id` only names the schema; further down it would move what `#` means."""
    return {key: part for key, part in schema.items() if key != "$id"} if isinstance(schema, dict) else schema


def _used(rules: Mapping[str, str]) -> dict[str, str]:
    """The rules in use with the base rules that they need; the start rule first."""
    found: dict[str, str] = {}
    waiting = ["root"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = rules.get(name) or BASE_RULES[name]
        waiting += _names_in(found[name])
    return found


def _names_in(body: str) -> list[str]:
    """The rules that an expression names: words outside of quotes, brackets and braces."""
    names, word, closing, skip = [], "", "", False
    for char in body + " ":
        if skip:
            skip = False
        elif closing:
            skip = char == "\\"
            closing = "" if char == closing else closing
        elif char.isalnum():
            word += char
            continue
        else:
            closing = {'"': '"', "[": "]", "{": "}"}.get(char, "")
        if word:
            names.append(word)
            word = ""
    return names


class _Grammar:
    """Collects rules. `left` gathers the definitions that an expression may begin with, to find endless ones."""

    def __init__(self, root: Any) -> None:
        self.rules: dict[str, str] = {}
        self._root = root
        self._left: dict[str, set[str]] = {}
        self._definitions: dict[str, str] = {}  # reference -> rule

    def refuse_left_recursion(self) -> None:
        """A definition that begins with itself has no first character."""
        try:
            graphlib.TopologicalSorter(self._left).prepare()
        except graphlib.CycleError as error:
            raise Untranslatable("a definition that consists of itself") from error

    def value(self, schema: Any, left: set[str]) -> str:
        """The expression of a schema; it may have alternatives at its top."""
        if schema is True:
            return "any"
        if not isinstance(schema, dict):
            raise Untranslatable(f"{schema!r} is no schema that a value can match")
        keywords = schema.keys() - ANNOTATIONS
        if not keywords:
            return "any"
        for keyword, form in FORMS.items():
            if keyword in keywords:
                return form(self, schema, keywords, left)
        return self._typed(schema, keywords)

    def _reference(self, schema: Mapping[str, Any], keywords: Collection[str], left: set[str]) -> str:
        only(keywords, ("$ref",))
        reference = schema["$ref"]
        target = resolve(self._root, reference)
        if reference not in self._definitions:
            name = self._definitions[reference] = self._rule("")
            self.rules[name] = self.value(target, self._left.setdefault(name, set()))
        left.add(self._definitions[reference])
        return self._definitions[reference]

    def _all_of(self, schema: Mapping[str, Any], keywords: Collection[str], left: set[str]) -> str:
        only(keywords, ("allOf",))
        if not isinstance(schema["allOf"], list) or len(schema["allOf"]) != 1:
            raise Untranslatable("allOf of several")
        return self.value(schema["allOf"][0], left)

    def _any_of(self, schema: Mapping[str, Any], keywords: Collection[str], left: set[str]) -> str:
        only(keywords, ("anyOf",))
        return self._alternatives(schema["anyOf"], left)

    def _one_of(self, schema: Mapping[str, Any], keywords: Collection[str], left: set[str]) -> str:
        only(keywords, ("oneOf",))
        if not disjoint(self._root, schema["oneOf"]):
            raise Untranslatable("oneOf whose alternatives may overlap")
        return self._alternatives(schema["oneOf"], left)

    def _alternatives(self, schemas: Any, left: set[str]) -> str:
        if not isinstance(schemas, list) or not schemas:
            raise Untranslatable("an empty choice")
        return " | ".join(self.value(schema, left) for schema in schemas)

    def _enum(self, schema: Mapping[str, Any], keywords: Collection[str], left: set[str]) -> str:
        only(keywords, ("enum", "const", "type"))
        values = schema.get("enum", [schema.get("const")])
        if not isinstance(values, list) or ("enum" in schema and "const" in schema):
            raise Untranslatable("enum and const together")
        types = _types(schema.get("type", list(KEYWORDS)))
        fitting = [value for value in values if any(has_type(value, name) for name in types)]
        if not fitting:
            raise Untranslatable("an enum without a fitting value")
        return " | ".join(json_literal(value) for value in fitting)

    def _typed(self, schema: Mapping[str, Any], keywords: Collection[str]) -> str:
        types = _types(schema["type"]) if "type" in schema else _implied(keywords)
        only(keywords, {"type"}.union(*(KEYWORDS[name] for name in types)))
        return " | ".join(TYPES[name](self, schema) for name in types)

    def _object(self, schema: Mapping[str, Any]) -> str:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not is_names(required):
            raise Untranslatable("properties or required of a wrong type")
        extra = schema.get("additionalProperties", not properties)
        if not properties and not required and extra is True:
            return "anyobject"
        unnamed = {name: schema.get("additionalProperties", True) for name in required if name not in properties}
        pairs = [
            (self._rule(f"{json_literal(name)} {COLON} ({self.value(part, set())})"), name in required)
            for name, part in {**properties, **unnamed}.items()
        ]
        return f'"{{" ({self._members(pairs, self._extra(extra, {*properties, *unnamed}))}) "}}"'

    def _extra(self, schema: Any, taken: Collection[str]) -> str:
        """The rule of a further property, whose name is none of `taken`; "" where there may be none."""
        if schema is False:
            return ""
        return self._rule(f'"\\"" {other_keys(taken, self._rule)} "\\"" {COLON} ({self.value(schema, set())})')

    def _members(self, pairs: Sequence[tuple[str, bool]], extra: str) -> str:
        """Pairs in their order, the optional ones or not, any number of further ones, with commas between only."""
        tail = f"({COMMA} {extra})*" if extra else ""
        starts = [f"{extra} {tail}", '""'] if extra else ['""']
        for pair, required in reversed(pairs):
            after = self._rule(tail) if tail else ""
            starts = [f"{pair} {after}"] + ([] if required else starts)
            tail = f"{COMMA} {pair} {after}" if required else f"({COMMA} {pair})? {after}"
        return " | ".join(starts)

    def _array(self, schema: Mapping[str, Any]) -> str:
        prefix = schema.get("prefixItems", [])
        if not isinstance(prefix, list):
            raise Untranslatable("prefixItems of a wrong type")
        least, most = _counts(schema, "minItems", "maxItems", MOST_ITEMS)
        rest = schema.get("items", not prefix)
        if rest is False:
            most = len(prefix) if most is None else min(most, len(prefix))
        if most is not None and least > most:
            raise Untranslatable("an array that cannot be long enough")
        fixed = [f"({self.value(part, set())})" for part in prefix[:most]]
        further = "" if most is not None and most <= len(fixed) else self._rule(self.value(rest, set()))
        return f'"[" {_items(fixed, further, least, most)} "]"'

    def _string(self, schema: Mapping[str, Any]) -> str:
        form, pattern = schema.get("format"), schema.get("pattern")
        least, most = _counts(schema, "minLength", "maxLength", MOST_CHARACTERS)
        if form is None and pattern is None:
            return f'"\\"" char{_repeat(least, most)} "\\""' if least or most is not None else "anystring"
        only(schema.keys() & KEYWORDS["string"], ("format",) if pattern is None else ("pattern",))
        if pattern is None and str(form) not in FORMATS:
            raise Untranslatable(f"the format {form!r}")
        return f'"\\"" ({FORMATS[str(form)] if pattern is None else pattern_expression(pattern)}) "\\""'

    def _integer(self, schema: Mapping[str, Any]) -> str:
        low, above = _bound(schema, "minimum", "exclusiveMinimum", max)
        high, below = _bound(schema, "maximum", "exclusiveMaximum", min)
        least = None if low is None else math.floor(low) + 1 if above else math.ceil(low)
        most = None if high is None else math.ceil(high) - 1 if below else math.floor(high)
        return _some(integer_between(least, most))

    def _number(self, schema: Mapping[str, Any]) -> str:
        low, above = _bound(schema, "minimum", "exclusiveMinimum", max)
        high, below = _bound(schema, "maximum", "exclusiveMaximum", min)
        if any(bound is not None and (bound % 1 or abs(bound) > MOST_BOUND) for bound in (low, high)):
            raise Untranslatable("a bound that is no whole number, or a large one")
        least, most = (None if bound is None else int(bound) for bound in (low, high))
        return _some(number_between(least, most, above_low=above, below_high=below))

    def _rule(self, body: str) -> str:
        name = f"r{len(self.rules)}"
        self.rules[name] = body
        return name


def _types(names: Any) -> list[str]:
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not names or not set(map(str, names)) <= KEYWORDS.keys():
        raise Untranslatable(f"the type {names!r}")
    return names


def _implied(keywords: Collection[str]) -> list[str]:
    """The type that the keywords speak of: of values of other types they would say nothing at all."""
    for name, known in KEYWORDS.items():
        if set(keywords) <= known:
            return [name]
    raise Untranslatable(f"no type, and {', '.join(sorted(keywords))}")


def _counts(schema: Mapping[str, Any], least: str, most: str, limit: int) -> tuple[int, int | None]:
    low, high = schema.get(least, 0), schema.get(most)
    for count in (low, 0 if high is None else high):
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= limit:
            raise Untranslatable(f"{least} or {most} of {count!r}")
    if high is not None and low > high:
        raise Untranslatable(f"{least} above {most}")
    return low, high


def _bound(
    schema: Mapping[str, Any], inclusive: str, exclusive: str, narrower: Callable[[Any, Any], Any]
) -> tuple[Any, bool]:
    """The bound on one side, and whether it is excluded itself."""
    limits = [(schema[key], key == exclusive) for key in (inclusive, exclusive) if schema.get(key) is not None]
    if any(isinstance(limit, bool) or not isinstance(limit, int | float) for limit, _ in limits):
        raise Untranslatable(f"{inclusive} or {exclusive} that is no number")
    if not limits:
        return None, False
    tightest = narrower(*[limit for limit, _ in limits]) if len(limits) > 1 else limits[0][0]
    return tightest, (tightest, True) in limits


def _items(fixed: Sequence[str], further: str, least: int, most: int | None) -> str:
    """Elements with commas between; those beyond `least` may be missing, from the end on."""
    count = len(fixed)
    if not count and further:
        tail = f"({COMMA} {further}){_repeat(max(least - 1, 0), None if most is None else most - 1)}"
        return f"{further} {tail}" if least else f"({further} {tail})?"
    tail = ""
    if further:
        tail = f"({COMMA} {further}){_repeat(max(least - count, 0), None if most is None else most - count)}"
    for index in reversed(range(count)):
        body = f"{COMMA if index else ''} {fixed[index]} {tail}"
        tail = body if index < least else f"({body})?"
    return tail


def _repeat(least: int, most: int | None) -> str:
    if most is None:
        return f"{{{least},}}" if least else "*"
    return f"{{{least},{most}}}"


def _some(expression: str) -> str:
    if not expression:
        raise Untranslatable("bounds without a number between them")
    return expression


Form = Callable[[_Grammar, Mapping[str, Any], Collection[str], set[str]], str]
FORMS: Final[Mapping[str, Form]] = {
    "$ref": _Grammar._reference,
    "allOf": _Grammar._all_of,
    "anyOf": _Grammar._any_of,
    "oneOf": _Grammar._one_of,
    "enum": _Grammar._enum,
    "const": _Grammar._enum,
}
TYPES: Final[Mapping[str, Callable[[_Grammar, Mapping[str, Any]], str]]] = {
    "object": _Grammar._object,
    "array": _Grammar._array,
    "string": _Grammar._string,
    "number": _Grammar._number,
    "integer": _Grammar._integer,
    "boolean": lambda grammar, schema: '"true" | "false"',
    "null": lambda grammar, schema: '"null"',
}
