"""From a checked request to a running batch, and from its events to deltas; the same for both endpoints."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.engine.openvino.api_error import engine_failed, invalid, model_not_found, too_long
from fairlead.engine.openvino.bodies import ChatDialect, CompletionDialect, Dialect, Envelope
from fairlead.engine.openvino.choice import Choice, Delta
from fairlead.engine.openvino.grammar import AnswerGrammar, GrammarCheck, answer_grammar
from fairlead.engine.openvino.openvino_api import REFUSALS, generation_config
from fairlead.engine.openvino.sampling import Defaults, Sampling, chat_sampling, completion_sampling
from fairlead.engine.openvino.scheduler import Batch, Job, Scheduler
from fairlead.engine.openvino.tokenizer import TextCodec
from fairlead.engine.openvino.wire import ChatRequest, CompletionRequest, SamplingFields

MAX_PROMPTS = 64


@dataclass(frozen=True, slots=True)
class Served:
    """The model as the endpoints see it."""

    names: tuple[str, ...]
    max_model_len: int
    codec: TextCodec
    end_ids: frozenset[int]
    defaults: Defaults
    grammar: GrammarCheck
    scheduler: Scheduler
    loaded_at: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """A request under way."""

    batch: Batch
    choices: list[Choice]
    dialect: Dialect
    envelope: Envelope
    prompt_tokens: int
    ends: frozenset[int]

    def completion_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)


async def start_chat(served: Served, request: ChatRequest) -> Answer:
    """Admit a chat request. Raises ApiError. Encoding has a thread: a megabyte takes long enough to stall streams."""
    sampling = chat_sampling(request, served.defaults)
    prompt = await asyncio.to_thread(served.codec.encode_chat, request.messages, request.chat_template_kwargs or {})
    dialect = ChatDialect(sampling.logprobs, request.top_logprobs or 0)
    return await _start(
        served,
        request,
        sampling=sampling,
        prompts=[prompt],
        dialect=dialect,
        id_prefix="chatcmpl-",
        param="messages",
    )


async def start_completion(served: Served, request: CompletionRequest) -> Answer:
    """Admit a completion request with one or more prompts. Raises ApiError."""
    sampling = completion_sampling(request, served.defaults)
    prompts = [await asyncio.to_thread(_prompt_ids, served.codec, prompt) for prompt in _prompts(request.prompt)]
    texts = [_prompt_text(served.codec, prompt) for prompt in _prompts(request.prompt)] if request.echo else []
    echo = [text for text in texts for _ in range(sampling.n)]
    dialect = CompletionDialect(sampling.logprobs, request.logprobs or 0, echo)
    return await _start(
        served, request, sampling=sampling, prompts=prompts, dialect=dialect, id_prefix="cmpl-", param="prompt"
    )


async def deltas(served: Served, answer: Answer) -> AsyncIterator[Delta]:
    """The answer as it grows. Whoever stops listening has to call `served.scheduler.cancel(answer.batch)`."""
    open_choices = len(answer.choices)
    while open_choices:
        index, update = await answer.batch.events.get()
        choice = answer.choices[index]
        if choice.finish:  # it met a stop string; what the engine still said is dropped
            continue
        if update.finish == "error":
            raise engine_failed(update.error)
        delta = choice.feed(update.tokens, update.logprobs, update.finish, answer.ends)
        if delta.finish:
            open_choices -= 1
            if not update.finish:
                served.scheduler.cancel(answer.batch, index)
        yield delta


def require_model(served: Served, name: str) -> None:
    """Raise ApiError 404 for a name that is not served."""
    if name not in served.names:
        raise model_not_found(name)


async def _start(
    served: Served,
    request: SamplingFields,
    *,
    sampling: Sampling,
    prompts: Sequence[Sequence[int]],
    dialect: Dialect,
    id_prefix: str,
    param: str,
) -> Answer:
    grammar = answer_grammar(request.response_format)
    if grammar is not None:
        await served.grammar.check(grammar)
    ends = served.end_ids | sampling.stop_token_ids
    jobs = [
        _job(served, prompt, sampling, number=number, grammar=grammar, param=param)
        for prompt in prompts
        for number in range(sampling.n)
    ]
    batch = served.scheduler.submit(jobs)
    table = served.codec.table
    choices = [
        Choice(index, served.codec.detokenizer(), sampling.stops, table, logprobs=sampling.logprobs)
        for index in range(len(jobs))
    ]
    envelope = Envelope(id_prefix + secrets.token_hex(12), int(time.time()), request.model)
    return Answer(batch, choices, dialect, envelope, sum(map(len, prompts)), ends)


def _job(
    served: Served, prompt: Sequence[int], sampling: Sampling, *, number: int, grammar: AnswerGrammar | None, param: str
) -> Job:
    """Choice `number` of a prompt; each has a seed of its own, or `n` choices would be one."""
    room = served.max_model_len - len(prompt)
    if room < (sampling.max_tokens or 1):
        raise too_long(len(prompt), sampling.max_tokens or 1, served.max_model_len, param)
    max_tokens = room if sampling.max_tokens is None else sampling.max_tokens
    seed = secrets.randbits(63) if sampling.seed is None else (sampling.seed + number) % 2**63
    try:
        config = generation_config(sampling, max_tokens=max_tokens, seed=seed, ends=served.end_ids, grammar=grammar)
    except REFUSALS as error:  # a value that the engine's own rules exclude
        raise invalid(str(error).strip().splitlines()[-1]) from None
    return Job(prompt, max_tokens, config)


def _prompts(prompt: str | list[Any]) -> list[str | list[int]]:
    """One text, texts, token ids, or lists of token ids; anything else is refused."""
    if isinstance(prompt, str) or (prompt and all(_is_id(item) for item in prompt)):
        return [prompt]
    if 0 < len(prompt) <= MAX_PROMPTS and all(_is_prompt(item) for item in prompt):
        return prompt
    raise invalid(
        f"`prompt` is a string, token ids, or a list of 1 to {MAX_PROMPTS} of these", "prompt", "invalid_value"
    )


def _is_prompt(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, list) and bool(item) and all(_is_id(part) for part in item))


def _is_id(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def _prompt_ids(codec: TextCodec, prompt: str | list[int]) -> list[int]:
    ids = codec.encode(prompt, add_special_tokens=True) if isinstance(prompt, str) else prompt
    if not ids:
        raise invalid("`prompt` must not be empty", "prompt", "invalid_value")
    if not all(0 <= index < len(codec.table) for index in ids):
        raise invalid(f"token ids are below {len(codec.table)}", "prompt", "invalid_value")
    return ids


def _prompt_text(codec: TextCodec, prompt: str | list[int]) -> str:
    if isinstance(prompt, str):
        return prompt
    detokenizer = codec.detokenizer()
    return detokenizer.feed(prompt) + detokenizer.finish()
