"""Text becomes token ids with the model's own tokenizer and template; the engine's built-in one is never asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from fairlead.engine.openvino.api_error import invalid, unsupported
from fairlead.engine.openvino.detokenize import Detokenizer, byte_table
from fairlead.engine.openvino.wire import Message

ROLES = ("system", "developer", "user", "assistant")


@dataclass(frozen=True, slots=True)
class TextCodec:
    """Encodes prompts and decodes answers of one model."""

    tokenizer: Tokenizer
    template: ChatTemplate | None
    table: Sequence[bytes]
    strips_space: bool

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def encode_chat(self, messages: Sequence[Message], arguments: Mapping[str, Any]) -> list[int]:
        if self.template is None:
            raise invalid("This model has no chat template; use /v1/completions.", "messages")
        return self.encode(self.template.render(messages, arguments), add_special_tokens=False)

    def detokenizer(self) -> Detokenizer:
        return Detokenizer(self.table, strip_space=self.strips_space)


class ChatTemplate:
    """A Hugging Face chat template in a sandbox: it comes with the weights, so it is not trusted."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        self._template = environment.from_string(source)
        self._special_tokens = dict(special_tokens)

    def render(self, messages: Sequence[Message], arguments: Mapping[str, Any]) -> str:
        """The prompt text, ready for the assistant's turn. Raises ApiError when the template refuses the messages."""
        if not messages:
            raise invalid("`messages` must not be empty", "messages")
        plain = [_plain(message, position) for position, message in enumerate(messages)]
        try:
            return self._template.render(
                {**self._special_tokens, **arguments, "messages": plain, "add_generation_prompt": True}
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise invalid(f"The chat template refused the messages: {error}", "messages") from None


def text_of(message: Message, position: int) -> str:
    """A message's text; parts of type text are joined, any other part is refused."""
    if message.tool_calls or message.function_call:
        raise unsupported(f"messages.{position}.tool_calls", "this engine does not call tools")
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "".join(_part_text(part, position, index) for index, part in enumerate(message.content))


def _part_text(part: Any, position: int, index: int) -> str:
    param = f"messages.{position}.content.{index}"
    if not isinstance(part, dict) or part.get("type") not in ("text", "input_text"):
        raise unsupported(param, "this engine reads text only")
    if not isinstance(part.get("text"), str):
        raise invalid(f"`{param}.text` must be a string", f"{param}.text", "invalid_type")
    return str(part["text"])


def _plain(message: Message, position: int) -> dict[str, str]:
    plain = {"role": _role(message, position), "content": text_of(message, position)}
    return plain | ({"name": message.name} if message.name else {})


def _role(message: Message, position: int) -> str:
    if message.role not in ROLES:
        raise unsupported(f"messages.{position}.role", f"roles are {', '.join(ROLES)}, got {message.role!r}")
    return "system" if message.role == "developer" else message.role


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    import json  # the filter of the same name escapes for HTML, which prompts do not want

    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> str:
    raise jinja2.TemplateError(message)


def load_codec(tokenizer: Tokenizer, template: str, special_tokens: Mapping[str, str], vocab: int) -> TextCodec:
    """The codec for a loaded tokenizer; `vocab` is the number of rows of the embedding."""
    table, strips_space = byte_table(tokenizer, vocab)
    chat = ChatTemplate(template, special_tokens) if template else None
    return TextCodec(tokenizer, chat, table, strips_space)
