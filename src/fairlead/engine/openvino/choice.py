"""One choice of an answer: token ids come in, safe text goes out; pure, so that it is tested without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairlead.engine.openvino.detokenize import Detokenizer
from fairlead.engine.openvino.stops import StopMatcher


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    text: str
    raw: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Delta:
    """A step forward of choice `index`. `finish` is stop or length with the last one."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...]
    finish: str | None


class Choice:
    """Collects the tokens of one sequence. `tokens` counts all that were generated, the end token included."""

    def __init__(
        self, index: int, detokenizer: Detokenizer, stops: tuple[str, ...], table: Sequence[bytes], *, logprobs: bool
    ) -> None:
        self.index = index
        self.tokens = 0
        self.finish: str | None = None
        self._detokenizer = detokenizer
        self._stops = StopMatcher(stops)
        self._table = table
        self._logprobs = logprobs

    def feed(self, ids: Sequence[int], logprobs: Sequence[float], finish: str | None, ends: frozenset[int]) -> Delta:
        """Take new tokens. After a stop string the choice is finished, whatever the engine goes on to say."""
        self.tokens += len(ids)
        visible = ids[:-1] if finish == "stop" and ids and ids[-1] in ends else ids
        text, hit = self._stops.feed(self._detokenizer.feed(visible))
        if hit:
            finish = "stop"
        elif finish:
            rest, hit = self._stops.feed(self._detokenizer.finish())  # the last bytes may complete a stop string
            text += rest if hit else rest + self._stops.finish()
            finish = "stop" if hit else finish
        self.finish = finish
        return Delta(self.index, text, self._entries(visible, logprobs), finish)

    def _entries(self, ids: Sequence[int], logprobs: Sequence[float]) -> tuple[TokenLogprob, ...]:
        if not self._logprobs:
            return ()
        raw = [self._table[index] for index in ids]
        return tuple(TokenLogprob(b.decode("utf-8", "replace"), b, lp) for b, lp in zip(raw, logprobs, strict=False))
