"""The life of a batch: its states, and what moves it from one to the next. A missing key is a bug."""

from __future__ import annotations

from collections.abc import Mapping

NEXT: Mapping[tuple[str, str], str] = {
    ("validating", "valid"): "in_progress",
    ("validating", "invalid"): "failed",
    ("validating", "cancel"): "cancelling",
    ("validating", "late"): "expired",
    ("validating", "key ended"): "failed",
    ("in_progress", "answered"): "finalizing",
    ("in_progress", "cancel"): "cancelling",
    ("in_progress", "late"): "expired",
    ("in_progress", "key ended"): "failed",
    ("finalizing", "published"): "completed",
    ("cancelling", "published"): "cancelled",
}
"""(state, event) -> state."""
ENDED = frozenset(("completed", "failed", "expired", "cancelled"))
CANCELLABLE = frozenset(state for state, event in NEXT if event == "cancel")


def next_state(state: str, event: str) -> str:
    """The state after an event. Raises KeyError for an event that cannot be."""
    return NEXT[state, event]


def stamp_of(state: str) -> str:
    """The field of a batch that says when it came into a state."""
    return f"{state}_at"
