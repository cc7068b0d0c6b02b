"""A path becomes everything the engine needs of a model: GGUF, tokenizer, template, stop tokens, shape, defaults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from fairlead.engine.openvino.checkpoint import (
    Checkpoint,
    ModelShape,
    cache_path,
    read_checkpoint,
    read_json,
    read_json_if_present,
)
from fairlead.engine.openvino.sampling import Defaults, defaults_from
from fairlead.engine.openvino.tokenizer import TextCodec, load_codec
from fairlead.errors import UserError


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model ready to load. `end_ids` end an answer; they are counted but not shown."""

    gguf: Path
    shape: ModelShape
    codec: TextCodec
    end_ids: frozenset[int]
    defaults: Defaults


def resolve(model: Path, cache_dir: Path) -> ModelFiles:
    """Read `model`, a Hugging Face folder or a .gguf file. Raises UserError with what is wrong and what to do."""
    if model.is_dir():
        return _folder(model, cache_dir)
    if model.suffix == ".gguf" and model.is_file():
        return _gguf(model)
    raise UserError(
        "there is no model here" if not model.exists() else "this is neither a folder nor a .gguf file",
        where=str(model),
        hint="give a Hugging Face folder (config.json, tokenizer.json, *.safetensors) or a .gguf file",
    )


def _folder(folder: Path, cache_dir: Path) -> ModelFiles:
    checkpoint = read_checkpoint(folder)
    texts = read_json_if_present(folder / "tokenizer_config.json")
    generation = read_json_if_present(folder / "generation_config.json")
    tokenizer = _load_tokenizer(folder / "tokenizer.json")
    special = _special_tokens(texts)
    codec = load_codec(tokenizer, _template(folder, texts), special, checkpoint.shape.vocab)
    ids = (*_ids(generation), *_ids(read_json(folder / "config.json")))
    ends = _end_ids(ids, tokenizer, special, folder)
    return ModelFiles(
        gguf=_converted(checkpoint, codec.table, min(ends), cache_dir),
        shape=checkpoint.shape,
        codec=codec,
        end_ids=ends,
        defaults=defaults_from(generation),
    )


def _converted(checkpoint: Checkpoint, table: Sequence[bytes], end_id: int, cache_dir: Path) -> Path:
    path = cache_path(checkpoint, cache_dir)
    if path.is_file():
        return path
    from fairlead.engine.openvino.convert import convert  # gguf takes 0.3 s to import: only when it is needed

    return convert(checkpoint, table, end_id, cache_dir)


def _end_ids(
    ids: Iterable[int | None], tokenizer: Tokenizer, special: Mapping[str, str], where: Path
) -> frozenset[int]:
    named = tokenizer.token_to_id(special.get("eos_token", ""))
    ends = frozenset(index for index in (*ids, named) if index is not None)
    if not ends:
        raise UserError(
            "the model names no end-of-sequence token",
            where=str(where),
            hint="set eos_token_id in config.json, or eos_token in tokenizer_config.json",
        )
    return ends


def _gguf(path: Path) -> ModelFiles:
    from fairlead.engine.openvino import gguf_file

    metadata = gguf_file.read_metadata(path)
    shape = gguf_file.shape_of(metadata, path)
    beside = path.parent / "tokenizer.json"
    tokenizer = _load_tokenizer(beside) if beside.is_file() else gguf_file.tokenizer_of(metadata, path)
    texts = read_json_if_present(path.parent / "tokenizer_config.json")
    special = gguf_file.special_tokens_of(metadata) | _special_tokens(texts)
    template = metadata.get("tokenizer.chat_template") or _template(path.parent, texts)
    codec = load_codec(tokenizer, template, special, shape.vocab)
    ends = {metadata.get(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot", "eom")}
    return ModelFiles(path, shape, codec, _end_ids(ends, tokenizer, special, path), Defaults())


def _load_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception, with the reason in its text
        raise UserError(f"this is not a tokenizer: {error}", where=str(path), hint="fetch the model again") from None


def _template(folder: Path, texts: Mapping[str, Any]) -> str:
    """The file of its own that newer exports write, or the key in tokenizer_config.json (a string or a named list)."""
    alone = folder / "chat_template.jinja"
    if alone.is_file():
        return alone.read_text("utf-8")
    template = texts.get("chat_template") or ""
    if isinstance(template, list):
        template = {entry["name"]: entry["template"] for entry in template}.get("default", "")
    return str(template)


def _special_tokens(texts: Mapping[str, Any]) -> dict[str, str]:
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    found = {name: texts.get(name) for name in names}
    plain = {name: value["content"] if isinstance(value, dict) else value for name, value in found.items()}
    return {name: value for name, value in plain.items() if isinstance(value, str)}


def _ids(config: Mapping[str, Any]) -> Iterator[int]:
    value = config.get("eos_token_id")
    yield from value if isinstance(value, list) else [] if value is None else [value]
