"""The name of a further property is never that of a declared one: a reader would keep the later of the two."""

from __future__ import annotations

from collections.abc import Callable, Collection

from fairlead.engine.openvino.ebnf_terminals import PLAIN, escape, plain_except


def other_keys(taken: Collection[str], new_rule: Callable[[str], str]) -> str:
    """An expression for any text of plain characters but those in `taken`. Escapes are left out: they would be a way
    to write a taken name in another way."""
    return _after("", {name for name in taken if _is_plain(name)}, new_rule)


def _is_plain(name: str) -> bool:
    return all(any(low <= ord(char) <= high for low, high in PLAIN) for char in name)


def _after(begun: str, taken: Collection[str], new_rule: Callable[[str], str]) -> str:
    """What may follow `begun`, the beginning of all in `taken`."""
    if not taken:
        return f"{plain_except(())}*"
    following = sorted({name[len(begun)] for name in taken if len(name) > len(begun)})
    ways = [f"{plain_except(following)} {plain_except(())}*"]
    for char in following:
        longer = {name for name in taken if name.startswith(begun + char)}
        ways.append(f'"{escape(ord(char))}" {_after(begun + char, longer, new_rule)}')
    if begun not in taken:
        ways.append('""')
    return new_rule(" | ".join(ways))
