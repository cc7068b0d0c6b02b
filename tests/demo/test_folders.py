"""Both versions of the demo model are standard Hugging Face folders that any loader accepts."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import jinja2
import pytest
from tokenizers import Tokenizer

from fairlead import demo

VERSIONS = ("v1", "v2")
FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
TEXTS = {
    "english": "What is the KV cache?",
    "digits": "12+7 = 19, 2048",
    "accents": "Où est la gare, señor? Größe",
    "chinese": "你会说中文吗？",
    "arabic": "مرحبا بالعالم",
    "emoji": "🙂🚀 👩‍👩‍👧",
    "code": 'def f(x):\n\treturn {"a": x ** 2}\n',
    "blanks": "  two  spaces \n\n and lines\t",
    "control": "\x00\x07\x7f",
}


@pytest.fixture(params=VERSIONS)
def folder(request: pytest.FixtureRequest) -> Path:
    return demo.folder(request.param)


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def tensors(folder: Path) -> dict[str, Any]:
    """The header of the weights file: name to dtype and shape."""
    with (folder / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return header


def expected_shapes(config: dict[str, Any]) -> dict[str, list[int]]:
    """The tensors that a tied Llama of this configuration has to have."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    layer = {
        "input_layernorm": [hidden],
        "post_attention_layernorm": [hidden],
        "self_attn.q_proj": [queries, hidden],
        "self_attn.k_proj": [keys, hidden],
        "self_attn.v_proj": [keys, hidden],
        "self_attn.o_proj": [hidden, queries],
        "mlp.gate_proj": [inner, hidden],
        "mlp.up_proj": [inner, hidden],
        "mlp.down_proj": [hidden, inner],
    }
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], hidden], "model.norm.weight": [hidden]}
    for index in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    return shapes


def test_folder_has_the_standard_files_and_no_others(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES


def test_config_agrees_with_the_tensors(folder: Path) -> None:
    config = read_json(folder / "config.json")
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"] is True
    assert {name: tensor["shape"] for name, tensor in tensors(folder).items()} == expected_shapes(config)
    assert {tensor["dtype"] for tensor in tensors(folder).values()} == {"BF16"}


def test_config_agrees_with_the_tokenizer(folder: Path) -> None:
    config = read_json(folder / "config.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == config["vocab_size"]
    names = read_json(folder / "tokenizer_config.json")
    assert tokenizer.token_to_id(names["eos_token"]) in config["eos_token_id"]
    assert tokenizer.token_to_id(names["pad_token"]) == config["pad_token_id"]
    assert read_json(folder / "generation_config.json")["eos_token_id"] == config["eos_token_id"]


def test_context_holds_2048_tokens(folder: Path) -> None:
    assert read_json(folder / "config.json")["max_position_embeddings"] == 2048
    assert read_json(folder / "tokenizer_config.json")["model_max_length"] == 2048


def test_a_version_takes_four_to_six_megabytes(folder: Path) -> None:
    assert 4_000_000 < sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_tokenizer_round_trips_any_text(folder: Path, text: str) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize(
    "content",
    ["Hi", [{"type": "text", "text": "Hi"}]],
    ids=["string", "list of parts"],
)
def test_chat_template_renders_what_the_clients_send(folder: Path, content: object) -> None:
    template = jinja2.Template(read_json(folder / "tokenizer_config.json")["chat_template"])
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": content}]
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_chat_template_passes_over_an_answer_without_content(folder: Path) -> None:
    template = jinja2.Template(read_json(folder / "tokenizer_config.json")["chat_template"])
    assert template.render(messages=[{"role": "assistant", "content": None}]) == "<|im_start|>assistant\n<|im_end|>\n"


def test_special_tokens_are_single_ids(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("<|endoftext|><|im_start|><|im_end|>").ids == [0, 1, 2]


def test_versions_share_the_tokenizer_and_differ_in_the_weights() -> None:
    first, second = (demo.folder(version) for version in VERSIONS)
    assert (first / "tokenizer.json").read_bytes() == (second / "tokenizer.json").read_bytes()
    assert (first / "model.safetensors").read_bytes() != (second / "model.safetensors").read_bytes()
