"""A request body is decoded strictly: an unknown field, a wrong type or an option that we cannot honour is a 400."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from fairlead.engine.openvino.api_error import ApiError, invalid, unsupported

Request = TypeVar("Request", bound="SamplingFields")

# Fields that carry no instruction for the model: bookkeeping of OpenAI's own platform.
INERT = ("user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")

# Fields that we know but cannot honour, with the values that ask for nothing.
NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = {
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none",),
    "parallel_tool_calls": (True, False),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "modalities": (["text"],),
    "suffix": ("",),
}
WHY: Final[Mapping[str, str]] = {
    "logit_bias": "this engine cannot bias single tokens",
    "tools": "this engine does not call tools",
    "functions": "this engine does not call tools",
    "tool_choice": "this engine does not call tools",
    "suffix": "this engine does not fill in the middle",
    "store": "answers are not stored here",
    "modalities": "this engine only writes text",
}


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: bool | None = None


class JsonSchema(msgspec.Struct, forbid_unknown_fields=True):
    schema: dict[str, Any]
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    json_schema: JsonSchema | None = None


class Message(msgspec.Struct):
    """Extra keys that SDKs echo from an answer (refusal, annotations, audio) carry no text and are left out."""

    role: str
    content: str | list[Any] | None = None
    name: str | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class SamplingFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What chat and completions share. `None` means: not given."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    min_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    n: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    response_format: ResponseFormat | None = None
    logit_bias: Any = None
    service_tier: Any = None
    store: Any = None
    user: Any = None
    metadata: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None


class ChatRequest(SamplingFields, kw_only=True, forbid_unknown_fields=True):
    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    tools: Any = None
    functions: Any = None
    tool_choice: Any = None
    function_call: Any = None
    parallel_tool_calls: Any = None
    modalities: Any = None


class CompletionRequest(SamplingFields, kw_only=True, forbid_unknown_fields=True):
    prompt: str | list[Any]
    echo: bool | None = None
    logprobs: int | None = None
    best_of: int | None = None
    suffix: Any = None


class TokenizeRequest(msgspec.Struct, kw_only=True):
    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    add_special_tokens: bool = True


def decode(body: bytes, kind: type[Request]) -> Request:
    """The request in `body`. Raises ApiError (400) that names the field at fault."""
    request: Request = decode_json(body, kind)
    for name, accepted in NEUTRAL.items():
        value = getattr(request, name, None)
        if value is not None and value not in accepted:
            raise unsupported(name, WHY.get(name, "this engine does not know it"))
    if request.stream_options and request.stream_options.include_obfuscation:
        raise unsupported("stream_options.include_obfuscation", "chunks are not padded here")
    return request


def decode_json(body: bytes, kind: Any) -> Any:
    """`body` as a `kind` (a msgspec type). Raises ApiError (400) that names the field at fault."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _named(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"The body is not valid JSON: {error}") from None


def _named(text: str) -> ApiError:
    """msgspec says "Object contains unknown field `x`" or "Expected `int`, got `str` - at `$.a.b[0]`"."""
    path = re.search(r" - at `\$\.?(.*?)`$", text)
    field = re.search(r"(unknown|required) field `(.*?)`", text)
    where = path.group(1) if path else ""
    if field:
        param = f"{where}.{field.group(2)}".lstrip(".")
        if field.group(1) == "unknown":
            return invalid(f"Unrecognized request argument supplied: {param}", param, "unsupported_parameter")
        return invalid(f"Missing required parameter: `{param}`", param, "missing_required_parameter")
    return invalid(
        f"Invalid value for `{where or 'the body'}`: {text.partition(' - at ')[0]}", where or None, "invalid_type"
    )
