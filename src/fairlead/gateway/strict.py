"""JSON and base64url that can be read in one way only: what another reader might take differently is refused."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

_ALPHABET = re.compile(rb"[A-Za-z0-9_-]*")


class Unreadable(Exception):
    """Not the one form that is read; says why without repeating what was there."""


def from_base64url(text: bytes) -> bytes:
    """Bytes of base64url without padding, with no letter outside it and no bit left over. Raises Unreadable."""
    if not _ALPHABET.fullmatch(text):
        raise Unreadable("it is not in base64url")
    try:
        decoded = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise Unreadable("it is not in base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != text:
        raise Unreadable("it is not in base64url")
    return decoded


def read_object(text: bytes) -> dict[str, Any]:
    """A JSON object without equal keys, NaN or infinity. Raises Unreadable."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Unreadable("it is not in JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("it is no JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Unreadable("it says something twice")
    return value


def _no_number(text: str) -> NoReturn:
    raise Unreadable("it has a number that is none")
