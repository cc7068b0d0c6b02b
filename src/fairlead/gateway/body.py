"""The few fields of a request's body that the gateway needs, and the two changes that it may make to it."""

from __future__ import annotations

import msgspec

# what msgspec raises for bytes that are no such JSON: bad UTF-8 and absurd nesting have classes of their own
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
USAGE_OPTION = b',"stream_options":{"include_usage":true}}'
NO_PROMPT = msgspec.Raw(b"")


class StreamOptions(msgspec.Struct, frozen=True):
    """What the client wants to be told on a stream."""

    include_usage: bool | None = None


class Body(msgspec.Struct, frozen=True):
    """What the gateway reads. Everything else goes to the engine as it came."""

    model: str
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    prompt: msgspec.Raw = NO_PROMPT

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked for the usage event itself."""
        return bool(self.stream_options and self.stream_options.include_usage)


MOST = 2**40  # more tokens or choices than anybody can mean: as many digits as JSON allows are no float any more


def most_completion(body: Body) -> int | None:
    """The tokens that the caller allows for each answer; None where it names no number."""
    told = body.max_completion_tokens
    if told is None:
        told = body.max_tokens if body.max_tokens is not None else body.max_output_tokens
    return told if told is None or told < MOST else MOST


def choices(body: Body) -> int:
    """How many answers are asked for: `n` for each prompt, and completions take several prompts at once."""
    if body.prompt is NO_PROMPT and body.n is None and body.best_of is None:
        return 1
    each = max(1, body.n or 1, body.best_of or 1)
    prompts = 1 if body.prompt is NO_PROMPT else prompts_in(bytes(body.prompt))
    return min(each * prompts, MOST)


def prompts_in(prompt: bytes) -> int:
    """One, or a list of texts or of lists of token ids; a plain list of ids is one."""
    parts = _parts(prompt) if prompt.startswith(b"[") else ()
    return len(parts) if parts and bytes(parts[0]).startswith((b'"', b"[")) else 1


decode = msgspec.json.Decoder(Body).decode  # the last of two equal keys counts, as in every engine we know
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.encode


def for_engine(raw: bytes, body: Body, upstream_model: str, *, ask_usage: bool) -> bytes:
    """The body as the engine gets it: its own name of the model, and a request for usage on streams.

    `raw` is returned untouched when nothing has to change; else untouched fields keep their bytes.
    """
    renamed = body.model != upstream_model
    if not renamed and not ask_usage:
        return raw
    if not renamed and body.stream_options is None and b'"stream_options"' not in raw:
        return raw[: raw.rindex(b"}")] + USAGE_OPTION
    fields = _fields(raw)
    if renamed:
        fields["model"] = msgspec.Raw(_encode(upstream_model))
    if ask_usage:
        fields["stream_options"] = msgspec.Raw(_with_usage(fields.get("stream_options")))
    return _encode(fields)


def _with_usage(options: msgspec.Raw | None) -> bytes:
    told = msgspec.json.decode(options, type=dict[str, msgspec.Raw] | None) if options is not None else None
    return _encode({**(told or {}), "include_usage": True})
