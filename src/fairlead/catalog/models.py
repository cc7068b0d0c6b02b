"""Model shapes: what memory and speed depend on, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fairlead.catalog.files import sections
from fairlead.catalog.names import find


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A decoder-only transformer.

    `ffn` is the width of a dense layer's feed-forward part, `gated` whether that has three matrices or two. With
    `experts` > 0 all but the first `dense_layers` layers are mixtures: `experts_per_token` of `experts`, each of width
    `expert_ffn`, and a shared one of `shared_ffn`. With `latent_kv` > 0 attention is DeepSeek's MLA: the cache holds
    `latent_kv + rope_dim` values a token and layer. `windowed_layers` of the layers see the last `window` tokens only.
    `native` is the quantisation that the weights are published in.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    max_context: int
    head_dim: int = 0
    gated: bool = True
    tied: bool = False
    experts: int = 0
    experts_per_token: int = 0
    expert_ffn: int = 0
    shared_ffn: int = 0
    dense_layers: int = 0
    latent_kv: int = 0
    latent_q: int = 0
    rope_dim: int = 0
    window: int = 0
    windowed_layers: int = 0
    native: str = "bf16"
    params_b: float = 0.0
    date: str = ""
    source: str = ""

    @property
    def head_size(self) -> int:
        """Values a head."""
        return self.head_dim or self.hidden // self.heads

    @property
    def is_moe(self) -> bool:
        """Whether it is a mixture of experts."""
        return self.experts > 0

    @property
    def moe_layers(self) -> int:
        """Layers that route to experts."""
        return self.layers - self.dense_layers if self.is_moe else 0

    @property
    def attention_params(self) -> int:
        """Weights of one layer's attention projections."""
        query = self.heads * self.head_size
        if not self.latent_kv:
            return self.hidden * (2 * query + 2 * self.kv_heads * self.head_size)
        nope_and_rope = self.heads * (self.head_size + self.rope_dim)
        down_q = self.hidden * self.latent_q + self.latent_q * nope_and_rope if self.latent_q else 0
        up_q = 0 if self.latent_q else self.hidden * nope_and_rope
        kv = self.hidden * (self.latent_kv + self.rope_dim) + self.latent_kv * self.heads * 2 * self.head_size
        return down_q + up_q + kv + query * self.hidden

    @property
    def expert_params(self) -> int:
        """Weights of one expert."""
        return (3 if self.gated else 2) * self.hidden * self.expert_ffn

    @property
    def shared_params(self) -> int:
        """Weights that every token passes in all layers, without routed experts, embedding and head."""
        matrices = 3 if self.gated else 2
        dense = (self.layers - self.moe_layers) * matrices * self.hidden * self.ffn
        shared = self.moe_layers * (matrices * self.hidden * self.shared_ffn + self.hidden * self.experts)
        return self.layers * self.attention_params + dense + shared

    @property
    def routed_params(self) -> int:
        """Weights of all routed experts of all layers."""
        return self.moe_layers * self.experts * self.expert_params

    @property
    def embedding_params(self) -> int:
        """Weights of the embedding; the head has as many again, unless it is tied."""
        return self.vocab * self.hidden

    @property
    def params(self) -> int:
        """All weights, without norms and biases."""
        return self.shared_params + self.routed_params + self.embedding_params * (1 if self.tied else 2)

    @property
    def active_params(self) -> int:
        """Weights that one token is multiplied with, without embedding and head."""
        return self.shared_params + self.moe_layers * self.experts_per_token * self.expert_params

    @property
    def cached_values(self) -> int:
        """Values that a token leaves in the cache of one layer."""
        return self.latent_kv + self.rope_dim if self.latent_kv else 2 * self.kv_heads * self.head_size

    def cached_token_layers(self, tokens: int) -> int:
        """Layers x tokens that a context of `tokens` occupies: windowed layers keep their window only."""
        windowed = min(tokens, self.window) if self.window else tokens
        return (self.layers - self.windowed_layers) * tokens + self.windowed_layers * windowed


@cache
def models() -> Mapping[str, ModelShape]:
    """Every known shape, by name."""
    return {name: ModelShape(name=name, **row) for name, row in sections("models.toml").items()}


def model(name: str) -> ModelShape:
    """The shape called `name`; a repository's owner and `-Instruct` may be there or not. Raises UserError."""
    rows = models()
    by_repository = {_repository(shape): shape for shape in rows.values()}
    wanted = name.rsplit("/", 1)[-1].lower()
    return by_repository[wanted] if wanted in by_repository else find(rows, name, kind="model")


def _repository(shape: ModelShape) -> str:
    return shape.source.split(" ")[0].rsplit("/", 1)[-1].lower()
