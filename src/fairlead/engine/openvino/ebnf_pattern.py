r"""A regular expression is taken over only as far as JavaScript and Python read it alike; the rest is refused.

`\d`, `\w` and `\s` are their ASCII characters, and so are the negations, since the two differ on the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fairlead.engine.openvino.ebnf_schema import Untranslatable
from fairlead.engine.openvino.ebnf_terminals import PLAIN, literal, plain_ranges, subtract

Ranges = list[tuple[int, int]]  # code points, both ends included, in order

EVERY: Final[Ranges] = [(0, 0xD7FF), (0xE000, 0x10FFFF)]
ASCII: Final[Ranges] = [(0, 0x7F)]
DIGIT: Final[Ranges] = [(0x30, 0x39)]
WORD: Final[Ranges] = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
SPACE: Final[Ranges] = [(0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x20)]
LINE_ENDS: Final[Ranges] = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
SHORTHANDS: Final = {
    "d": DIGIT,
    "w": WORD,
    "s": SPACE,
    "D": subtract(ASCII, DIGIT),
    "W": subtract(ASCII, WORD),
    "S": subtract(ASCII, [(0x09, 0x0D), (0x1C, 0x20)]),
}
CONTROLS: Final = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B}
JSON_ESCAPES: Final = {0x22: '"', 0x5C: "\\", 0x0A: "n", 0x0D: "r", 0x09: "t", 0x0C: "f"}
MOST_REPEATED = 2048  # of single characters, all repetitions within one another multiplied


def pattern_expression(pattern: object) -> str:
    """What may stand between the quotes of a JSON string in which `pattern` is found. Raises Untranslatable."""
    if not isinstance(pattern, str):
        raise Untranslatable("a pattern that is no text")
    reader = _Reader(pattern)
    expression, _ = reader.alternatives(top=True)
    reader.expect("")
    return expression


class _Reader:
    """Reads a pattern from left to right; each part gives its expression and how many characters it repeats."""

    def __init__(self, pattern: str) -> None:
        self._rest = pattern

    def alternatives(self, *, top: bool = False) -> tuple[str, int]:
        parts = [self._sequence(top=top)]
        while self._take("|"):
            parts.append(self._sequence(top=top))
        return " | ".join(text for text, _ in parts), sum(weight for _, weight in parts)

    def expect(self, char: str) -> None:
        if not self._rest.startswith(char) or (not char and self._rest):
            raise Untranslatable(f"the pattern from {self._rest!r} on")
        self._rest = self._rest[len(char) :]

    def _sequence(self, *, top: bool) -> tuple[str, int]:
        """Atoms in a row. At the top a side without an anchor admits any text."""
        parts = ["char*"] if top and not self._take("^") else []
        total = 1
        while self._rest and self._rest[0] not in "|)$":
            text, weight = self._quantified(*self._atom())
            parts.append(text)
            total += weight
            if total > MOST_REPEATED:
                raise Untranslatable("a pattern that repeats too much")
        if top and not self._take("$"):
            parts.append("char*")
        return " ".join(parts) or '""', total

    def _atom(self) -> tuple[str, int]:
        char = self._next()
        if char == "(":
            if self._take("?") and not self._take(":"):
                raise Untranslatable("a pattern that looks around")
            inner, weight = self.alternatives()
            self.expect(")")
            return f"({inner})", weight
        if char == "[":
            return _characters(self._bracket()), 1
        if char == ".":
            return _characters(subtract(EVERY, LINE_ENDS)), 1
        if char == "\\":
            return _characters(self._escaped()), 1
        if char in "^*+?{}])":
            raise Untranslatable(f"{char!r} at its place in the pattern")
        return _characters([(ord(char), ord(char))]), 1

    def _quantified(self, text: str, weight: int) -> tuple[str, int]:
        counted = ""
        if self._rest[:1] and self._rest[0] in "*+?":
            counted = self._next()
        elif self._take("{"):
            counted, weight = self._counted(weight)
        self._take("?") if counted else None  # a lazy repetition matches the same texts
        if self._rest[:1] and self._rest[0] in "*+?{":
            raise Untranslatable("a repeated repetition in the pattern")
        return text + counted, weight

    def _counted(self, weight: int) -> tuple[str, int]:
        counts, _, self._rest = self._rest.partition("}")
        least, comma, most = counts.partition(",")
        if not all(part.isascii() and part.isdecimal() for part in (least, most or least)) or len(counts) > 12:
            raise Untranslatable(f"{{{counts}}} in the pattern")
        if most and int(most) < int(least):
            raise Untranslatable(f"{{{counts}}} in the pattern")
        repeated = weight * max(int(most or least), 1)
        return f"{{{int(least)}{comma}{int(most) if most else ''}}}", repeated

    def _bracket(self) -> Ranges:
        negated = self._take("^")
        found: Ranges = []
        shorthand = False
        while not self._take("]"):
            first = self._member()
            shorthand = shorthand or len(first) != 1 or first[0][0] != first[0][1]
            if self._rest.startswith("-") and not self._rest.startswith("-]"):
                self._next()
                first = _span(first, self._member())
            found += first
        return subtract(ASCII if shorthand else EVERY, found) if negated else found

    def _member(self) -> Ranges:
        char = self._next()
        if char == "\\":
            return self._escaped()
        if char == "[":  # Python warns of it, newer JavaScript gives it a meaning
            raise Untranslatable("a bracket within brackets in the pattern")
        return [(ord(char), ord(char))]

    def _escaped(self) -> Ranges:
        char = self._next()
        if char in SHORTHANDS:
            return SHORTHANDS[char]
        code = CONTROLS.get(char, ord(char))
        if char in "xu":
            code = self._hex(2 if char == "x" else 4)
        elif char.isalnum() and char not in CONTROLS:
            raise Untranslatable(f"\\{char} in the pattern")
        return [(code, code)]

    def _hex(self, size: int) -> int:
        digits, self._rest = self._rest[:size], self._rest[size:]
        if len(digits) < size or not set(digits) <= set("0123456789abcdefABCDEF"):
            raise Untranslatable(f"the escape of {digits!r} in the pattern")
        return int(digits, 16)

    def _take(self, char: str) -> bool:
        taken = self._rest.startswith(char)
        self._rest = self._rest[len(char) :] if taken else self._rest
        return taken

    def _next(self) -> str:
        if not self._rest:
            raise Untranslatable("a pattern that breaks off")
        char, self._rest = self._rest[0], self._rest[1:]
        return char


def _span(first: Ranges, last: Ranges) -> Ranges:
    (low, low_end), (high, high_end) = first[0], last[0]
    if len(first) > 1 or len(last) > 1 or (low, high) != (low_end, high_end) or low > high:
        raise Untranslatable("a range in the pattern")
    return [(low, high)]


def _characters(ranges: Ranges) -> str:
    """One character of the ranges as a JSON string spells it."""
    ways = list(_spellings(ranges))
    if not ways:
        raise Untranslatable("a character in the pattern that JSON text has no short form for")
    return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"


def _spellings(ranges: Ranges) -> Iterator[str]:
    outside = subtract(EVERY, ranges)
    if plain := subtract(list(PLAIN), outside):
        yield plain_ranges(plain)
    for code, char in JSON_ESCAPES.items():
        if any(low <= code <= high for low, high in ranges):
            yield literal("\\" + char)
