"""Texts, numbers and characters as EBNF expressions: each matches valid JSON only, and nothing outside of its bounds.

A length counts code points, as JSON Schema does. A number has as many digits as a reader keeps: at most 19 in its whole
part, which also keeps a small model from writing digits without end.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

COLON: Final = '":" " "?'  # one blank at most: with more, a small model writes blanks until its tokens run out
COMMA: Final = '"," " "?'
DIGITS: Final = 19  # of 64 bits
# What needs no escape inside a JSON string, without surrogates. A range never goes over one of these ends: from ranges
# that mix lengths or first bytes of UTF-8 the engine's compiler makes some that admit bytes which are no UTF-8.
PLAIN: Final = (
    (0x20, 0x21),
    (0x23, 0x5B),
    (0x5D, 0x7F),
    (0x80, 0x7FF),
    (0x800, 0xFFF),
    (0x1000, 0xCFFF),
    (0xD000, 0xD7FF),
    (0xE000, 0xFFFF),
    (0x10000, 0x3FFFF),
    (0x40000, 0xFFFFF),
    (0x100000, 0x10FFFF),
)

INTEGER: Final = f'"-"? ("0" | [1-9] [0-9]{{0,{DIGITS - 1}}})'
FRACTION: Final = '"." [0-9]{1,15}'
NUMBER: Final = (
    f'{INTEGER} ({FRACTION})? ([eE] [\\u002b\\u002d]? "1"? [0-9]{{1,2}})?'  # no exponent leads out of a double
)
ZEROS: Final = '"." "0"{1,6}'
SHORT_FRACTION: Final = '"." [0-9]{1,6}'  # beside a bound: more digits would round up to it
MORE_THAN_ZERO: Final = '"." [0-9]{0,5} [1-9]'

FORMATS: Final[Mapping[str, str]] = {
    "date": "date",
    "time": "time",
    "date-time": 'date "T" time',
    "uuid": 'hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}',
    "ipv4": 'octet ("." octet){3}',
    "email": 'word ("." word){0,3} "@" label ("." label){1,4}',
}


def escape(code: int) -> str:
    """A code point as EBNF writes it between quotes or brackets."""
    char = chr(code)
    if char.isascii() and char.isalnum():
        return char
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def literal(text: str) -> str:
    """Exactly this text."""
    return '"' + "".join(escape(ord(char)) for char in text) + '"'


def json_literal(value: Any) -> str:
    """Exactly this value, with a blank after each comma and colon as Python writes it."""
    return literal(json.dumps(value, ensure_ascii=False))


def plain_except(excluded: Collection[str]) -> str:
    """One character that needs no escape and is none of `excluded`."""
    return plain_ranges(subtract(PLAIN, [(ord(char), ord(char)) for char in excluded]))


def plain_ranges(ranges: Sequence[tuple[int, int]]) -> str:
    """One character of the ranges; both ends are included."""
    return f"[{''.join(escape(low) if low == high else f'{escape(low)}-{escape(high)}' for low, high in ranges)}]"


def subtract(ranges: Sequence[tuple[int, int]], taken: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The code points of `ranges` that are not in `taken`."""
    left = list(ranges)
    for first, last in taken:
        parts = [((low, min(high, first - 1)), (max(low, last + 1), high)) for low, high in left]
        left = [(low, high) for pair in parts for low, high in pair if low <= high]
    return left


# A pair of surrogate escapes is one code point, and so one `char`. A grammar takes the rules that it names.
BASE_RULES: Final[Mapping[str, str]] = {
    "char": f'{plain_except(())} | "\\\\" ([\\u0022\\u005c\\u002fbfnrt] | "u" escaped)',
    "escaped": '[0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2} | [dD] [89abAB] hex{2} "\\\\u" [dD] [c-fC-F] hex{2}',
    "hex": "[0-9a-fA-F]",
    "any": 'anyobject | anyarray | anystring | anynumber | "true" | "false" | "null"',
    "anyobject": f'"{{" (anystring {COLON} any ({COMMA} anystring {COLON} any)*)? "}}"',
    "anyarray": f'"[" (any ({COMMA} any)*)? "]"',
    "anystring": '"\\"" char* "\\""',
    "anynumber": NUMBER,
    "date": '[1-9] [0-9]{3} "-" (longmonth | shortmonth | february) | leapyear "-02-29"',
    "longmonth": '("0" [13578] | "1" [02]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])',
    "shortmonth": '("0" [469] | "11") "-" ("0" [1-9] | [12] [0-9] | "30")',
    "february": '"02-" ("0" [1-9] | "1" [0-9] | "2" [0-8])',
    "leapyear": '[1-9] [0-9] ("0" [48] | [2468] [048] | [13579] [26]) | ("1" [26] | [2468] [048] | [3579] [26]) "00"',
    "time": 'clock ":" [0-5] [0-9] ("." [0-9]{1,6})? ("Z" | [\\u002b\\u002d] clock)',
    "clock": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]',
    "octet": '[0-9] | [1-9] [0-9] | "1" [0-9]{2} | "2" [0-4] [0-9] | "25" [0-5]',
    "word": "[a-zA-Z0-9_]{1,32}",
    "label": "[a-z] [a-z0-9]{0,30}",
}


def integer_between(low: int | None, high: int | None) -> str:
    """Whole numbers from `low` to `high`, both included; "" when there is none."""
    if low is None and high is None:
        return INTEGER
    parts = []
    if high is None or high >= 0:
        parts.append(_natural(max(low or 0, 0), high))
    if low is None or low < 0:
        below = _natural(1 if high is None else max(1, -high), None if low is None else -low)
        parts.append(f'"-" ({below})' if below else "")
    return " | ".join(part for part in parts if part)


def number_between(low: int | None, high: int | None, *, above_low: bool, below_high: bool) -> str:
    """Decimals from `low` to `high`, without them where `above_low` or `below_high` is set; "" when there is none."""
    if low is None and high is None:
        return NUMBER
    parts = []
    if high is None or high > 0 or (high == 0 and not below_high):
        least, exclusive = (low, above_low) if low is not None and low >= 0 else (0, False)
        parts.append(_decimal(least, high, above_low=exclusive, below_high=below_high))
    if low is None or low < 0:
        least, exclusive = (-high, below_high) if high is not None and high <= 0 else (0, False)
        below = _decimal(least, None if low is None else -low, above_low=exclusive, below_high=above_low)
        parts.append(f'"-" ({below})' if below else "")
    return " | ".join(part for part in parts if part)


def _decimal(low: int, high: int | None, *, above_low: bool, below_high: bool) -> str:
    """Decimals of a magnitude between two whole numbers."""
    if high is not None and low >= high:
        return f"{literal(str(low))} ({ZEROS})?" if low == high and not (above_low or below_high) else ""
    parts = []
    if above_low:
        parts.append(f"{literal(str(low))} {MORE_THAN_ZERO}")
    rest = _natural(low + above_low, None if high is None else high - 1)
    parts.append(f"({rest}) ({SHORT_FRACTION})?" if rest else "")
    parts.append("" if high is None or below_high else f"{literal(str(high))} ({ZEROS})?")
    return " | ".join(part for part in parts if part)


def _natural(low: int, high: int | None) -> str:
    """Whole numbers from `low` >= 0 on, length by length; "" when there is none."""
    limit = 10**DIGITS - 1
    top = min(limit, high) if high is not None else 10 ** len(str(low)) - 1
    parts = []
    for size in range(len(str(low)), len(str(max(top, 0))) + 1):
        first, last = max(low, 10 ** (size - 1) if size > 1 else 0), min(top, 10**size - 1)
        if first <= last <= limit:
            parts.append(_same_length(str(first), str(last)))
    if high is None and len(str(low)) < DIGITS:
        parts.append(f"[1-9] [0-9]{{{len(str(low))},{DIGITS - 1}}}")
    return " | ".join(parts)


def _same_length(low: str, high: str) -> str:
    """Numbers between two of the same number of digits, leading zeros kept."""
    if not low:
        return '""'
    size = len(low) - 1
    if not low.strip("0") and not high.strip("9"):
        return f"[0-9]{{{size + 1}}}"
    if low[0] == high[0]:
        return f'"{low[0]}"' + (f" ({_same_length(low[1:], high[1:])})" if size else "")
    first, last = int(low[0]), int(high[0])
    parts = []
    if size and low[1:].strip("0"):
        parts.append(f'"{first}" ({_same_length(low[1:], "9" * size)})')
        first += 1
    if size and high[1:].strip("9"):
        parts.append(f'"{last}" ({_same_length("0" * size, high[1:])})')
        last -= 1
    if first <= last:
        parts.append(f"[{first}-{last}]" + (f" [0-9]{{{size}}}" if size else ""))
    return " | ".join(parts)
