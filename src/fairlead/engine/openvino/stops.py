"""Text that might be the beginning of a stop string is held back, so that no part of one ever reaches the caller."""

from __future__ import annotations


class StopMatcher:
    """Finds the earliest stop string in a text that arrives in pieces."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """The text that is safe to send, and whether a stop string was found (nothing after it is sent)."""
        if not self._stops:
            return text, False
        text = self._held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self._held = ""
            return text[: min(found)], True
        safe = len(text) - self._overlap(text)
        self._held = text[safe:]
        return text[:safe], False

    def finish(self) -> str:
        """The held text, when the sequence ends without a stop string."""
        held, self._held = self._held, ""
        return held

    def _overlap(self, text: str) -> int:
        """The length of the longest end of `text` with which some stop string begins."""
        return max(
            (
                size
                for stop in self._stops
                for size in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:size])
            ),
            default=0,
        )
