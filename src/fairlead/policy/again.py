"""Whether a row is asked again, and when: pure. What may be different later is tried later, the rest is an answer."""

from __future__ import annotations

from collections.abc import Mapping

ATTEMPTS = 6  # for what is broken; waiting for one's turn (429, 503) has no such end
LONGEST_WAIT_S = 30.0
FIRST_WAIT_S = 0.25
PATIENCE_S = 120.0  # who is told to come back later than this is told so in the row's answer: a budget that is spent
BUSY = frozenset((429, 503))
BROKEN = frozenset((408, 500, 502, 504))


def wait_s(status: int, fields: Mapping[bytes, bytes], tries: int, chance: float) -> float | None:
    """Seconds until the row is asked again; None: this is its answer.

    `status` 0: there was none. `tries` counts those so far. `chance` in [0, 1) spreads those that wait together.
    """
    if fields.get(b"x-should-retry") == b"false" or (status and status not in BUSY | BROKEN):
        return None
    if status not in BUSY and tries >= ATTEMPTS:
        return None
    told = retry_after(fields)
    if told is not None and told > PATIENCE_S:
        return None
    backed_off = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries - 1, 10)) * (0.5 + chance)
    return backed_off if told is None else told + backed_off * chance


def retry_after(fields: Mapping[bytes, bytes]) -> float | None:
    """What the server told, in seconds."""
    try:
        return max(0.0, float(fields[b"retry-after"]))
    except (KeyError, ValueError):
        return None
