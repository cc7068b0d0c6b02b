"""An answer in OpenAI's words: whole bodies and stream chunks of chat completions and of completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fairlead.engine.openvino.choice import Delta, TokenLogprob


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every chunk of one answer repeats."""

    id: str
    created: int
    model: str


@dataclass(frozen=True, slots=True)
class Whole:
    """A finished choice."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...]
    finish: str


class Dialect(Protocol):
    """How an endpoint says things; `logprobs` tells whether they were asked for, `top` how many alternatives."""

    def opening(self, envelope: Envelope, index: int) -> dict[str, Any] | None: ...
    def chunk(self, envelope: Envelope, delta: Delta) -> dict[str, Any]: ...
    def whole(self, envelope: Envelope, choices: Sequence[Whole]) -> dict[str, Any]: ...
    def last(self, envelope: Envelope) -> dict[str, Any]: ...


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """OpenAI's count of tokens."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


@dataclass(frozen=True, slots=True)
class ChatDialect:
    logprobs: bool
    top: int

    def opening(self, envelope: Envelope, index: int) -> dict[str, Any] | None:
        """The chunk that names the role, before any text."""
        return self._chunk(envelope, index, {"role": "assistant", "content": ""}, None, None)

    def chunk(self, envelope: Envelope, delta: Delta) -> dict[str, Any]:
        content = {"content": delta.text} if delta.text or not delta.finish else {}
        return self._chunk(envelope, delta.index, content, self._logprobs(delta.logprobs), delta.finish)

    def whole(self, envelope: Envelope, choices: Sequence[Whole]) -> dict[str, Any]:
        return _body(
            "chat.completion",
            envelope,
            [
                {
                    "index": choice.index,
                    "message": {"role": "assistant", "content": choice.text, "refusal": None},
                    "logprobs": self._logprobs(choice.logprobs),
                    "finish_reason": choice.finish,
                }
                for choice in choices
            ],
        )

    def last(self, envelope: Envelope) -> dict[str, Any]:
        return _body("chat.completion.chunk", envelope, [])

    def _chunk(
        self, envelope: Envelope, index: int, delta: dict[str, Any], logprobs: Any, finish: str | None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return _body("chat.completion.chunk", envelope, [choice])

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        return {"content": [self._entry(token) for token in tokens], "refusal": None}

    def _entry(self, token: TokenLogprob) -> dict[str, Any]:
        entry = {"token": token.text, "logprob": token.logprob, "bytes": list(token.raw)}
        return {**entry, "top_logprobs": [entry] if self.top else []}


@dataclass(slots=True)
class CompletionDialect:
    """`echo` holds the prompts' texts, by choice, when the caller wants them in front of the answer."""

    logprobs: bool
    top: int
    echo: Sequence[str]

    def opening(self, envelope: Envelope, index: int) -> dict[str, Any] | None:
        if not self.echo:
            return None
        return self.chunk(envelope, Delta(index, self.echo[index], (), None))

    def chunk(self, envelope: Envelope, delta: Delta) -> dict[str, Any]:
        return self._body(envelope, [self._choice(delta.index, delta.text, delta.logprobs, delta.finish)])

    def whole(self, envelope: Envelope, choices: Sequence[Whole]) -> dict[str, Any]:
        return self._body(
            envelope,
            [
                self._choice(c.index, (self.echo[c.index] if self.echo else "") + c.text, c.logprobs, c.finish)
                for c in choices
            ],
        )

    def last(self, envelope: Envelope) -> dict[str, Any]:
        return self._body(envelope, [])

    def _body(self, envelope: Envelope, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return _body("text_completion", envelope, choices)

    def _choice(self, index: int, text: str, tokens: Sequence[TokenLogprob], finish: str | None) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": self._logprobs(tokens), "finish_reason": finish}

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [{token.text: token.logprob} for token in tokens] if self.top else None,
            "text_offset": None,
        }


def _body(kind: str, envelope: Envelope, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "object": kind,
        "created": envelope.created,
        "model": envelope.model,
        "choices": choices,
    }
