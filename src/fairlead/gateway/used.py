"""Tokens of a request whose engine did not say: the prompt by its bytes, the answer by what was relayed of it."""

from __future__ import annotations

from fairlead.gateway.relay import EventRelay, Head, Tokens
from fairlead.gateway.tables import ModelTable
from fairlead.policy.estimate import prompt_tokens

NOTHING = Tokens()


def estimate(
    model: ModelTable, operation: str, request_bytes: int, *, head: Head | None, events: EventRelay | None
) -> Tokens:
    """What was used as far as it can be known. `head`: of the answer, which may tell the prompt's tokens."""
    told = head.prompt_tokens if head is not None else None
    prompt = told if told is not None else prompt_tokens(request_bytes, model.bytes_per_token)
    return Tokens(prompt, events.generated(operation) if events is not None else 0)
