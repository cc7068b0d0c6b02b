"""How to choose tokens, as one checked value: what the engine cannot do exactly is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fairlead.engine.openvino.api_error import invalid, unsupported
from fairlead.engine.openvino.wire import ChatRequest, CompletionRequest, SamplingFields

MAX_CHOICES = 128
MAX_STOPS = 16
MAX_STOP_CHARS = 1000
GREEDY_BELOW = 1e-5  # vLLM's bound; dividing by less overflows
COMPLETION_DEFAULT_TOKENS = 16  # OpenAI's default for /v1/completions

# name -> (lowest, highest), both allowed
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0.0, 2.0),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "n": (1, MAX_CHOICES),
    "max_tokens": (1, float("inf")),
    "max_completion_tokens": (1, float("inf")),
    "min_tokens": (0, float("inf")),
    "top_k": (-1, float("inf")),
    "seed": (-(2**63), 2**63 - 1),
}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the model's own generation_config.json recommends, for callers that say nothing (as vLLM does)."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """`max_tokens` None: up to the end of the context."""

    max_tokens: int | None
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    seed: int | None
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    min_tokens: int
    ignore_eos: bool
    stops: tuple[str, ...]
    stop_token_ids: frozenset[int]
    logprobs: bool
    n: int

    @property
    def greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW


def defaults_from(generation_config: Mapping[str, Any]) -> Defaults:
    """The recommendations in a generation_config.json; {} gives OpenAI's defaults."""
    known = {name: generation_config.get(name) for name in ("temperature", "top_p", "top_k", "repetition_penalty")}
    if generation_config.get("do_sample") is False:  # written down, it is a recommendation: always the likeliest token
        known["temperature"] = 0.0
    return Defaults(**{name: value for name, value in known.items() if value is not None})


def chat_sampling(request: ChatRequest, defaults: Defaults) -> Sampling:
    """The checked sampling of a chat request. Raises ApiError."""
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise invalid("give `max_completion_tokens` or `max_tokens`, not both", "max_tokens")
    if request.top_logprobs and not request.logprobs:
        raise invalid("`top_logprobs` needs `logprobs: true`", "top_logprobs")
    limit = request.max_completion_tokens if request.max_tokens is None else request.max_tokens
    sampling = _sampling(request, defaults, limit, logprobs=bool(request.logprobs))
    _check_top_logprobs(sampling, request.top_logprobs or 0, "top_logprobs")
    return sampling


def completion_sampling(request: CompletionRequest, defaults: Defaults) -> Sampling:
    """The checked sampling of a completion request. Raises ApiError."""
    if request.best_of not in (None, 1, request.n):
        raise unsupported("best_of", "every generated choice is returned; use `n`")
    if request.echo and request.logprobs is not None:
        raise unsupported("echo", "this engine has no log probabilities of prompt tokens")
    limit = COMPLETION_DEFAULT_TOKENS if request.max_tokens is None else request.max_tokens
    sampling = _sampling(request, defaults, limit, logprobs=request.logprobs is not None)
    _check_top_logprobs(sampling, request.logprobs or 0, "logprobs")
    return sampling


def _sampling(request: SamplingFields, defaults: Defaults, limit: int | None, *, logprobs: bool) -> Sampling:
    _check_ranges(request)
    top_k = _or(request.top_k, defaults.top_k)
    sampling = Sampling(
        max_tokens=limit,
        temperature=_or(request.temperature, defaults.temperature),
        top_p=_or(request.top_p, defaults.top_p),
        top_k=max(top_k, 0),  # vLLM's -1 and 0 both mean: all tokens
        min_p=_or(request.min_p, 0.0),
        seed=request.seed,
        presence_penalty=_or(request.presence_penalty, 0.0),
        frequency_penalty=_or(request.frequency_penalty, 0.0),
        repetition_penalty=_or(request.repetition_penalty, defaults.repetition_penalty),
        min_tokens=_or(request.min_tokens, 0),
        ignore_eos=bool(request.ignore_eos),
        stops=_stops(request.stop),
        stop_token_ids=frozenset(request.stop_token_ids or ()),
        logprobs=logprobs,
        n=_or(request.n, 1),
    )
    if logprobs:
        _check_logprobs(sampling)
    return sampling


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _check_ranges(request: SamplingFields) -> None:
    for name, (lowest, highest) in RANGES.items():
        value = getattr(request, name, None)
        if value is not None and not lowest <= value <= highest:
            raise invalid(f"`{name}` must be between {lowest} and {highest}, got {value}", name, "invalid_value")
    if request.top_p is not None and not 0.0 < request.top_p <= 1.0:
        raise invalid(f"`top_p` must be above 0 and at most 1, got {request.top_p}", "top_p", "invalid_value")
    if request.repetition_penalty is not None and request.repetition_penalty <= 0.0:
        raise invalid("`repetition_penalty` must be above 0", "repetition_penalty", "invalid_value")
    if request.ignore_eos and request.stop_token_ids:
        raise unsupported("stop_token_ids", "not together with `ignore_eos`")
    if request.stream_options is not None and not request.stream:
        raise invalid("`stream_options` needs `stream: true`", "stream_options")


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > MAX_STOPS or any(not 0 < len(text) <= MAX_STOP_CHARS for text in stops):
        raise invalid(
            f"`stop` takes up to {MAX_STOPS} strings of 1 to {MAX_STOP_CHARS} characters", "stop", "invalid_value"
        )
    return stops


def _check_logprobs(sampling: Sampling) -> None:
    """The engine reports probabilities after temperature, penalties and cuts: only without these, the model's own."""
    plain = sampling.greedy or (
        sampling.temperature == 1.0 and sampling.top_p == 1.0 and sampling.top_k == 0 and sampling.min_p == 0.0
    )
    unpenalised = sampling.presence_penalty == sampling.frequency_penalty == 0.0 and sampling.repetition_penalty == 1.0
    if not (plain and unpenalised):
        raise unsupported("logprobs", "with this engine only for temperature 0 or 1, without top_p, top_k or penalties")


def _check_top_logprobs(sampling: Sampling, count: int, param: str) -> None:
    if count > 1 or (count == 1 and not sampling.greedy):
        raise unsupported(param, "this engine reports the chosen token only (1 is possible at temperature 0)")
    if count < 0:
        raise invalid(f"`{param}` must not be negative", param, "invalid_value")
