"""Heads differ from one message to the next in little but the digits of content-length: cut them out, and the rest
can be looked up. Benchmark: bench/microseconds.py, `head`.
"""

from __future__ import annotations

NAMES = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
START = len(NAMES[0])
MOST_DIGITS = 15


def without_length(block: bytes) -> tuple[bytes, int] | None:
    """A head without the digits of content-length, and the length in bytes. None where there is no plain such field.

    The digits are cut out of a line that begins with the field's name and holds nothing else. Once a parser has
    let in a head with exactly one such field, other digits in its place mean the same head with another length.
    """
    for name in NAMES:
        at = block.find(name)
        if at >= 0:
            start = at + START
            end = block.find(b"\r", start)
            if end < 0:
                end = len(block)
            digits = block[start:end]
            if not digits.isdigit() or len(digits) > MOST_DIGITS:
                return None
            return block[:start] + block[end:], int(digits)
    return None
