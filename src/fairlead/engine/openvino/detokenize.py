"""Each token is bytes, looked up once in a table; text appears as soon as its UTF-8 is complete, at O(1) a token."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from fairlead.errors import UserError

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
WORD_START = "\u2581"  # SentencePiece's visible space


class Detokenizer:
    """The text of one growing sequence. `strip_space`: the first space is an artefact of SentencePiece."""

    def __init__(self, table: Sequence[bytes], *, strip_space: bool = False) -> None:
        self._table = table
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._strip_space = strip_space

    def feed(self, ids: Sequence[int]) -> str:
        """The text that `ids` complete; bytes of an unfinished character wait for the next call."""
        return self._stripped(self._utf8.decode(b"".join([self._table[index] for index in ids])))

    def finish(self) -> str:
        """What is left: a replacement character if the sequence ends inside a character."""
        return self._stripped(self._utf8.decode(b"", final=True))

    def _stripped(self, text: str) -> str:
        if not self._strip_space or not text:
            return text
        self._strip_space = False
        return text.removeprefix(" ")


def byte_table(tokenizer: Tokenizer, size: int) -> tuple[list[bytes], bool]:
    """The bytes of every token id below `size` (special tokens: none), and whether a first space is to be stripped."""
    decoder = json.loads(tokenizer.to_str())["decoder"] or {}
    kinds = {part["type"] for part in decoder.get("decoders", [decoder]) if "type" in part}
    byte_level = "ByteLevel" in kinds
    if not byte_level and not kinds & {"ByteFallback", "Replace", "Metaspace"}:
        raise UserError(f"tokenizer.json has a decoder of an unknown kind: {sorted(kinds)}", hint="use `engine: vllm`")
    to_bytes = _byte_level if byte_level else _sentencepiece
    table = [b""] * size
    for text, index in tokenizer.get_vocab(with_added_tokens=False).items():
        if index < size:
            table[index] = to_bytes(text)
    for index, added in tokenizer.get_added_tokens_decoder().items():
        if index < size:
            table[index] = b"" if added.special else added.content.encode()
    return table, not byte_level


def _byte_level(text: str) -> bytes:
    try:
        return bytes([BYTE_OF_CHAR[char] for char in text])
    except KeyError:  # a token outside the byte alphabet stands for itself
        return text.encode()


def _sentencepiece(text: str) -> bytes:
    if match := BYTE_TOKEN.fullmatch(text):
        return bytes([int(match.group(1), 16)])
    return text.replace(WORD_START, " ").encode()


def _byte_alphabet() -> Mapping[str, int]:
    """GPT-2's alphabet: printable bytes are themselves, the others take the next free code points from U+0100 on."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}


BYTE_OF_CHAR: Mapping[str, Any] = _byte_alphabet()
