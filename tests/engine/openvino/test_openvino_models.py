"""Model files: a converted model says what a plain numpy transformer says, and what cannot be run is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import byte_tokenizer, config_of, greedy, make_model, random_weights
from tokenizers import Regex, Tokenizer, pre_tokenizers

from fairlead.engine.openvino.canary import open_canary
from fairlead.engine.openvino.checkpoint import GGUF_ARCHITECTURE, cache_path, read_checkpoint
from fairlead.engine.openvino.gguf_file import SPLITS, tokenizer_of
from fairlead.engine.openvino.grammar import AnswerGrammar
from fairlead.engine.openvino.model_files import ModelFiles, resolve
from fairlead.engine.openvino.openvino_api import load_genai, open_pipeline, token_tensor
from fairlead.errors import UserError

COUNT = 12
PROMPTS = [np.random.default_rng(1).integers(0, 250, size=size).tolist() for size in (3, 40)]

VARIANTS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "llama in three shards": ("LlamaForCausalLM", 3, {}),
    "llama with tied embeddings": ("LlamaForCausalLM", 1, {"tie_word_embeddings": True, "rope_theta": 5e5}),
    "llama without grouped queries": ("LlamaForCausalLM", 1, {"num_key_value_heads": 4}),
    "qwen2 with its biases": ("Qwen2ForCausalLM", 1, {}),
    "qwen3 with its norms and head size": ("Qwen3ForCausalLM", 1, {}),
    "qwen3 with one KV head, tied": ("Qwen3ForCausalLM", 2, {"num_key_value_heads": 1, "tie_word_embeddings": True}),
}


def assert_equal(generated: list[list[int]], expected: list[list[int]]) -> None:
    """Equal as far as the reference is sure, which has to be far enough to mean something."""
    assert sum(map(len, expected)) > COUNT
    assert [ids[: len(sure)] for ids, sure in zip(generated, expected, strict=True)] == expected


def generate(files: ModelFiles) -> list[list[int]]:
    pipeline = open_pipeline(files.gguf, kv_blocks=64, max_num_seqs=8)
    config = load_genai().GenerationConfig(max_new_tokens=COUNT, ignore_eos=True)
    results = pipeline.generate([token_tensor(prompt) for prompt in PROMPTS], [config] * len(PROMPTS))
    return [list(result.m_generation_ids[0]) for result in results]


@pytest.mark.parametrize(("architecture", "shards", "changes"), VARIANTS.values(), ids=VARIANTS)
def test_greedy_tokens_equal_the_numpy_reference(
    tmp_path: Path, architecture: str, shards: int, changes: dict[str, Any]
) -> None:
    weights = make_model(tmp_path / "model", architecture, shards=shards, **changes)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    files = resolve(tmp_path / "model", tmp_path / "cache")
    assert_equal(generate(files), [greedy(config, weights, prompt, COUNT) for prompt in PROMPTS])


def test_bfloat16_weights_widen_exactly(tmp_path: Path) -> None:
    """Rewritten as bfloat16, the model is a slightly different one: the reference has to run on the same rounding."""
    folder = tmp_path / "model"
    weights = make_model(folder, "LlamaForCausalLM")
    rounded = {name: as_bfloat16(value) for name, value in weights.items()}
    write_safetensors(folder / "model.safetensors", rounded)
    config = json.loads((folder / "config.json").read_text())
    exact = {name: (bits.astype(np.uint32) << 16).view(np.float32) for name, bits in rounded.items()}
    files = resolve(folder, tmp_path / "cache")
    assert_equal(generate(files), [greedy(config, exact, prompt, COUNT) for prompt in PROMPTS])


def as_bfloat16(values: Any) -> Any:
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def write_safetensors(path: Path, tensors: dict[str, Any]) -> None:
    """numpy has no bfloat16 and the library writes numpy only, so the format is written out here."""
    header: dict[str, Any] = {}
    offset = 0
    for name, bits in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": [offset, offset + bits.nbytes]}
        offset += bits.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(bits.tobytes() for bits in tensors.values()))


def test_a_gguf_runs_by_itself_with_a_tokenizer_json_beside_it(tmp_path: Path) -> None:
    make_model(tmp_path / "model", "Qwen3ForCausalLM")
    folder = resolve(tmp_path / "model", tmp_path / "cache")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "cache" / name).write_bytes((tmp_path / "model" / name).read_bytes())
    alone = resolve(folder.gguf, tmp_path / "unused")
    assert replace(alone.shape, rms_eps=0) == replace(folder.shape, rms_eps=0)  # GGUF holds it as float32
    assert alone.shape.rms_eps == pytest.approx(folder.shape.rms_eps)
    assert alone.end_ids == folder.end_ids
    assert alone.codec.encode("a line", add_special_tokens=False) == folder.codec.encode(
        "a line", add_special_tokens=False
    )


def test_the_cache_is_used_again_and_follows_the_files(tmp_path: Path) -> None:
    make_model(tmp_path / "model", "LlamaForCausalLM")
    first = resolve(tmp_path / "model", tmp_path / "cache").gguf
    made = first.stat().st_mtime_ns
    assert resolve(tmp_path / "model", tmp_path / "cache").gguf == first
    assert first.stat().st_mtime_ns == made
    make_model(tmp_path / "model", "LlamaForCausalLM", seed=8)
    assert cache_path(read_checkpoint(tmp_path / "model"), tmp_path / "cache") != first
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".gguf"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another architecture": ({"architectures": ["GemmaForCausalLM"]}, "GemmaForCausalLM is not supported"),
    "scaled rope": ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, "rope scaling 'llama3'"),
    "a sliding window": ({"use_sliding_window": True}, "sliding window"),
    "quantised weights": ({"quantization_config": {"bits": 4}}, "quantised safetensors"),
    "attention biases in a llama": ({"attention_bias": True}, "attention_bias"),
    "another activation": ({"hidden_act": "gelu"}, "'gelu'"),
    "more layers than weights": ({"num_hidden_layers": 3}, "9 missing"),
    "fewer layers than weights": ({"num_hidden_layers": 1}, "9 unknown"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_what_would_run_wrongly_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    make_model(tmp_path / "model", "LlamaForCausalLM")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=said) as refusal:
        resolve(tmp_path / "model", tmp_path / "cache")
    assert all(problem.hint for problem in refusal.value.problems)
    assert not list((tmp_path / "cache").glob("*"))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    make_model(tmp_path / "model", "LlamaForCausalLM")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(UserError, match=name):
        resolve(tmp_path / "model", tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b"\x10\0\0\0\0\0\0\0"])
def test_broken_weights_are_an_error_for_the_user(tmp_path: Path, content: bytes) -> None:
    make_model(tmp_path / "model", "LlamaForCausalLM")
    (tmp_path / "model" / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a safetensors file"):
        resolve(tmp_path / "model", tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model at all, but long enough to look like one"])
def test_a_broken_gguf_is_an_error_for_the_user(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(UserError, match="not a GGUF"):
        resolve(tmp_path / "x.gguf", tmp_path / "cache")


def test_the_canary_tells_good_schemas_from_bad_ones(tmp_path: Path) -> None:
    make_model(tmp_path / "model", "LlamaForCausalLM")
    files = resolve(tmp_path / "model", tmp_path / "cache")
    compile_grammar = open_canary(files.codec.table, min(files.end_ids))
    compile_grammar(AnswerGrammar("json_schema", '{"type": "object"}'))
    with pytest.raises(RuntimeError, match="banana"):
        compile_grammar(AnswerGrammar("json_schema", '{"type": "banana"}'))
    with pytest.raises(RuntimeError):
        compile_grammar(AnswerGrammar("ebnf", "root ::= missing"))
    compile_grammar(AnswerGrammar("json_schema", '{"enum": ["yes", "no"]}'))  # it survives bad ones
    compile_grammar(AnswerGrammar("ebnf", 'root ::= "yes" | "no"'))


def test_all_architectures_are_covered() -> None:
    assert {architecture for architecture, _, _ in VARIANTS.values()} == set(GGUF_ARCHITECTURE)


def test_the_reference_sees_the_position_of_tokens() -> None:
    """A judge that ignored rotary positions would miss a wrong permutation of Q and K."""
    config = config_of("LlamaForCausalLM", 300, 299)
    weights = random_weights(config, 7)
    unturned = greedy(config | {"rope_theta": 1e30}, weights, PROMPTS[1], COUNT, lead=0)
    assert greedy(config, weights, PROMPTS[1], COUNT, lead=0) != unturned


def metadata_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """What a GGUF of the family qwen2 holds of a tokenizer."""
    document = json.loads(tokenizer.to_str())
    tokens = [tokenizer.id_to_token(index) for index in range(tokenizer.get_vocab_size())]
    special = {entry["id"] for entry in document["added_tokens"]}
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if index in special else 1 for index in range(len(tokens))],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in document["model"]["merges"]],
    }


def qwen_tokenizer() -> Tokenizer:
    """The test tokenizer with the family's own way to split text."""
    tokenizer = byte_tokenizer()
    split = pre_tokenizers.Split(Regex(SPLITS["qwen2"]), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    return tokenizer


QWEN = qwen_tokenizer()
REBUILT = tokenizer_of(metadata_of(QWEN), Path("x.gguf"))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_tokenizer_rebuilt_from_a_gguf_splits_text_alike(text: str) -> None:
    framed = f"<|im_start|>{text}<|im_end|>"
    assert REBUILT.encode(framed).ids == QWEN.encode(framed).ids


def test_a_tokenizer_that_cannot_be_rebuilt_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        tokenizer_of({"tokenizer.ggml.model": "llama"}, Path("x.gguf"))
