"""Quantities as Kubernetes writes them: what the API server takes, which is more than `fairlead.units`; else None."""

from __future__ import annotations

import re
from typing import Any

QUANTITY = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i|)\Z")
FACTORS = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
FACTORS |= {f"{letter}i": 1024.0 ** (power + 1) for power, letter in enumerate("KMGTPE")}
GIB = 1024.0**3


def amount(value: Any) -> float | None:
    """Bytes, cores or a count; None for anything that is no quantity (a template, say)."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value)
    match = QUANTITY.match(str(value).strip())
    if match is None:
        return None
    try:
        if match[2][:1] in ("e", "E") and len(match[2]) > 1 and match[2] != "Ei":
            return float(match[1] + match[2])
        return float(match[1]) * FACTORS[match[2]]
    except ValueError:
        return None


def gib(size: float) -> str:
    """Bytes for people."""
    return f"{size / GIB:.3g} GiB"
