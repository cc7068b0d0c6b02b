"""Plain values as YAML that every reader reads the same: what is not an obvious word is quoted.

A reader of YAML 1.1 (Kubernetes') takes `y`, `08` and `1e3` for a boolean or a number, so a text stands bare only where
no version of YAML could take it for anything else. Keys keep the order in which they were put in.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_WORD = re.compile(r"[A-Za-z/][A-Za-z0-9._/-]*(:[A-Za-z0-9._/-]+)*", re.ASCII)
_RESERVED = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))
_BLOCK_UNFIT = re.compile(
    r"[ \t]$|[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029\ufeff]", re.M
)
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def dump_all(documents: Iterable[Any]) -> str:
    """Several documents, `---` between them."""
    return "---\n".join(dump(document) for document in documents)


def dump(value: Any) -> str:
    """One document, ending in a newline. Raises TypeError for what is no plain value, ValueError for nan or inf."""
    if not value or not isinstance(value, Mapping | list | tuple):
        return _inline(value) + "\n"
    return "\n".join(_lines(value, "")) + "\n"


def scalar(value: Any) -> str:
    """A value that has no parts, on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _text(value)
    raise TypeError(f"not a plain value: {type(value).__name__}")


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{indent}{scalar(_key(key))}:", item, indent)
        return
    for item in value:
        if item and isinstance(item, Mapping | list | tuple):
            first, *rest = _lines(item, indent + "  ")
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from rest
        else:
            yield from _entry(f"{indent}-", item, indent)


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    """What follows a key or a dash. A list stands below its key without further indentation, as kubectl writes it."""
    if isinstance(item, str) and "\n" in item and not _BLOCK_UNFIT.search(item) and item[0] not in " \n":
        yield from _block(head, item, indent + "  ")
    elif item and isinstance(item, Mapping | list | tuple):
        yield head
        yield from _lines(item, indent + "  " if isinstance(item, Mapping) else indent)
    else:
        yield f"{head} {_inline(item)}"


def _block(head: str, text: str, indent: str) -> Iterator[str]:
    """A literal block; its sign says how many newlines end the text."""
    body = text.rstrip("\n")
    sign = {0: "-", 1: ""}.get(len(text) - len(body), "+")
    yield f"{head} |{sign}"
    kept = text[:-1] if sign == "+" else body
    yield from (f"{indent}{line}" if line else "" for line in kept.split("\n"))


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, list | tuple) else scalar(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be text: {key!r}")
    return key


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    return repr(value) if "e" not in repr(value) else f"{value:f}"


def _text(text: str) -> str:
    if _WORD.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
