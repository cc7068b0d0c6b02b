"""What a request will cost is estimated before it runs, cheaply; it is settled afterwards from what the engine says.

The prompt: bytes of the body over the model's learned bytes per token. While a model's traffic keeps the bytes per
token of its requests within a factor f of one another, the estimate is wrong by at most that factor once some 60
requests have been learned from; before that, or for traffic of another kind, it starts from 4 bytes per token and
can be wrong by a factor of 4 (plain digits, unusual scripts). It never exceeds one token per byte, which no
byte-level tokenizer does either. The error never accumulates, since every request is settled.
"""

from __future__ import annotations

FIRST_BYTES_PER_TOKEN = 4.0  # a usual figure for English text
DEFAULT_COMPLETION_TOKENS = 1024
"""Reserved where a caller names no `max_tokens`: waiting for a whole window of 128k would refuse nearly everybody."""
_WEIGHT = 0.05  # of the newest request: after 60 of them, 95 % of what was believed before is forgotten


def prompt_tokens(body_bytes: int, bytes_per_token: float) -> int:
    """Tokens of a prompt that comes in a body of `body_bytes`, rounded up."""
    tokens = int(body_bytes / bytes_per_token) + 1
    return tokens if tokens < body_bytes else body_bytes


def learned(bytes_per_token: float, body_bytes: int, tokens: int) -> float:
    """The model's bytes per token after one more request whose prompt had `tokens`; never below 1."""
    if tokens <= 0 or body_bytes <= 0:
        return bytes_per_token
    return max(1.0, bytes_per_token + _WEIGHT * (body_bytes / tokens - bytes_per_token))


def completion_reserve(
    max_tokens: int | None, prompt: int, context: int, default: int = DEFAULT_COMPLETION_TOKENS
) -> int:
    """Tokens to reserve for one answer: what the caller allows, capped by what the window can still give.

    context: the model's window in tokens, 0 where nobody knows it. A negative `max_tokens` counts as none.
    """
    wanted = default if max_tokens is None or max_tokens < 0 else max_tokens
    left = context - prompt
    if not context or wanted <= left:
        return wanted
    return left if left > 0 else 0
