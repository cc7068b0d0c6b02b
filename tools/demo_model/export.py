"""A trained model as a standard Hugging Face folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from model import Llama, Shape
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokens import END, TURN, TURN_END

# ChatML; content may be a string, a list of text parts, or null
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + ('system' if message['role'] == 'developer' else message['role']) + '\\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- elif message['content'] -%}"
    "{%- for part in message['content'] -%}{{- part['text'] if 'text' in part else '' -}}{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def write(model: Llama, tokenizer: Tokenizer, folder: Path, card: str) -> None:
    """Write every file of the folder; weights are rounded to bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save(str(folder / "tokenizer.json"))
    ends = [tokenizer.token_to_id(TURN_END), tokenizer.token_to_id(END)]
    write_json(folder / "config.json", config(model.shape, ends))
    write_json(folder / "generation_config.json", {"eos_token_id": ends, "pad_token_id": ends[1], "do_sample": False})
    write_json(folder / "tokenizer_config.json", tokenizer_config(model.shape.max_position_embeddings))
    write_json(folder / "special_tokens_map.json", {"eos_token": TURN_END, "pad_token": END})
    (folder / "README.md").write_text(card, encoding="utf-8")


def read(folder: Path) -> tuple[Llama, Tokenizer]:
    """The bfloat16 weights of a folder as a float32 model, and its tokenizer."""
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = Llama(Shape(**{name: written[name] for name in Shape.__slots__}))
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))


def config(shape: Shape, ends: list[int]) -> dict[str, Any]:
    sizes = {name: getattr(shape, name) for name in shape.__slots__}
    return sizes | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "rope_scaling": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": ends,
        "pad_token_id": ends[1],
    }


def tokenizer_config(length: int) -> dict[str, Any]:
    special = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": {str(i): {"content": t} | special for i, t in enumerate((END, TURN, TURN_END))},
        "bos_token": None,
        "eos_token": TURN_END,
        "pad_token": END,
        "model_max_length": length,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
