"""Tiny random models of the supported architectures, and a plain numpy forward pass as an independent judge of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

Array = NDArray[np.float32]

HIDDEN, HEADS, KV_HEADS, FFN, LAYERS = 64, 4, 2, 96, 2
CONTEXT = 512
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = [
    "a line guides a rope to where it has to go without chafing",
    'numbers 0123456789 {"key": [true, false, null]} and some ünïcödé 漢字 🙂 too',
]


def byte_tokenizer() -> Tokenizer:
    """A byte-level BPE of about 300 tokens: all bytes, a few merges, three special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, special_tokens=[]
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIALS])
    return tokenizer


def config_of(architecture: str, vocab: int, eos: int, **changes: Any) -> dict[str, Any]:
    config = {
        "architectures": [architecture],
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "num_hidden_layers": LAYERS,
        "intermediate_size": FFN,
        "vocab_size": vocab,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "eos_token_id": eos,
        "model_type": {"L": "llama", "Qwen2": "qwen2", "Qwen3": "qwen3"}[
            "L" if architecture.startswith("L") else architecture[:5]
        ],
    }
    # Qwen3 decouples the head size from hidden / heads: a value of its own shows whether that is honoured
    return config | ({"head_dim": 32} if architecture == "Qwen3ForCausalLM" else {}) | changes


def random_weights(config: dict[str, Any], seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    q_rows, kv_rows = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]

    def normal(*shape: int, scale: float = 0.1) -> Array:
        """Values that float16 holds exactly, so that conversion loses nothing and greedy tokens must be equal."""
        return (rng.standard_normal(shape) * scale).astype(np.float16).astype(np.float32)

    def gain(size: int) -> Array:
        return 1 + normal(size, scale=0.2)

    weights = {"model.embed_tokens.weight": normal(vocab, hidden, scale=1.0), "model.norm.weight": gain(hidden)}
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = normal(vocab, hidden, scale=0.5)
    for layer in range(config["num_hidden_layers"]):
        block = {
            "input_layernorm.weight": gain(hidden),
            "post_attention_layernorm.weight": gain(hidden),
            "self_attn.q_proj.weight": normal(q_rows, hidden, scale=0.3),
            "self_attn.k_proj.weight": normal(kv_rows, hidden, scale=0.3),
            "self_attn.v_proj.weight": normal(kv_rows, hidden, scale=0.3),
            "self_attn.o_proj.weight": normal(hidden, q_rows, scale=0.3),
            "mlp.gate_proj.weight": normal(ffn, hidden, scale=0.2),
            "mlp.up_proj.weight": normal(ffn, hidden, scale=0.2),
            "mlp.down_proj.weight": normal(hidden, ffn, scale=0.2),
        }
        if config["architectures"] == ["Qwen2ForCausalLM"]:
            rows = {"q": q_rows, "k": kv_rows, "v": kv_rows}
            block |= {f"self_attn.{p}_proj.bias": normal(size, scale=0.5) for p, size in rows.items()}
        if config["architectures"] == ["Qwen3ForCausalLM"]:
            block |= {f"self_attn.{p}_norm.weight": gain(head_dim) for p in "qk"}
        weights |= {f"model.layers.{layer}.{name}": value for name, value in block.items()}
    return weights


def make_model(folder: Path, architecture: str, *, shards: int = 1, seed: int = 7, **changes: Any) -> dict[str, Array]:
    """Write a model folder; return its weights. More than one shard writes the index file too."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = byte_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    eos = tokenizer.encode("<|im_end|>").ids[0]
    config = config_of(architecture, tokenizer.get_vocab_size(), eos, **changes)
    weights = random_weights(config, seed)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE, "eos_token": "<|im_end|>"}))
    names = sorted(weights)
    parts = [names[index::shards] for index in range(shards)]
    files = [
        "model.safetensors" if shards == 1 else f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)
    ]
    for file, part in zip(files, parts, strict=True):
        save_file({name: weights[name] for name in part}, folder / file)
    if shards > 1:
        index = {name: file for file, part in zip(files, parts, strict=True) for name in part}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return weights


def greedy(
    config: dict[str, Any], weights: dict[str, Array], prompt: list[int], count: int, lead: float = 0.05
) -> list[int]:
    """Up to `count` most probable token ids after `prompt`; ends early where the second best is within `lead`.

    The engine keeps its KV cache in float16, so of two logits that are nearly equal it may prefer the other.
    """
    ids = list(prompt)
    for _ in range(count):
        row = logits(config, weights, ids)[-1]
        second, best = np.partition(row, -2)[-2:]
        if best - second < lead:
            break
        ids.append(int(row.argmax()))
    return ids[len(prompt) :]


def logits(config: dict[str, Any], weights: dict[str, Array], ids: list[int]) -> Array:
    """The logits at every position, [len(ids), vocab]: the whole transformer in float32, without a cache."""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    eps = config["rms_norm_eps"]
    x: Array = weights["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        block = {k.split(f"layers.{layer}.")[1]: v for k, v in weights.items() if f"layers.{layer}." in k}
        h = rms_norm(x, block["input_layernorm.weight"], eps)
        q = project(block, "q", h).reshape(len(ids), heads, head_dim)
        k = project(block, "k", h).reshape(len(ids), kv_heads, head_dim)
        v = project(block, "v", h).reshape(len(ids), kv_heads, head_dim)
        if "self_attn.q_norm.weight" in block:
            q = rms_norm(q, block["self_attn.q_norm.weight"], eps)
            k = rms_norm(k, block["self_attn.k_norm.weight"], eps)
        q, k = rotate(q, config["rope_theta"]), rotate(k, config["rope_theta"])
        x = x + attention(q, k, v) @ block["self_attn.o_proj.weight"].T
        h = rms_norm(x, block["post_attention_layernorm.weight"], eps)
        gate = h @ block["mlp.gate_proj.weight"].T
        gate = gate / (1 + np.exp(-gate))
        x = x + (gate * (h @ block["mlp.up_proj.weight"].T)) @ block["mlp.down_proj.weight"].T
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return np.asarray(rms_norm(x, weights["model.norm.weight"], eps) @ head.T, dtype=np.float32)


def rms_norm(x: Array, gain: Array, eps: float) -> Array:
    return np.asarray(x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * gain, dtype=np.float32)


def project(block: dict[str, Array], part: str, h: Array) -> Array:
    return h @ block[f"self_attn.{part}_proj.weight"].T + block.get(f"self_attn.{part}_proj.bias", np.float32(0))


def rotate(x: Array, theta: float) -> Array:
    """Rotary embedding over halves, as the Hugging Face implementations do it; x is [tokens, heads, head_dim]."""
    half = x.shape[-1] // 2
    angles = np.arange(len(x))[:, None] / theta ** (np.arange(half) / half)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    left, right = x[..., :half], x[..., half:]
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], -1).astype(np.float32)


def attention(q: Array, k: Array, v: Array) -> Array:
    """Causal attention; each KV head serves heads / kv_heads query heads. Returns [tokens, heads * head_dim]."""
    share = q.shape[1] // k.shape[1]
    k, v = k.repeat(share, axis=1), v.repeat(share, axis=1)
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
    scores = np.where(np.tri(len(q), dtype=bool), scores, -np.inf)
    exp = np.exp(scores - scores.max(-1, keepdims=True))
    out: Array = np.einsum("hqk,khd->qhd", exp / exp.sum(-1, keepdims=True), v).reshape(len(q), -1)
    return out
