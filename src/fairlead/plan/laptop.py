"""What the engines of a file need on the machine that runs them: memory, by addition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fairlead.catalog.accelerators import GIB
from fairlead.errors import UserError
from fairlead.plan.shape import named
from fairlead.spec.types import LocalModel, OpenVinoModel, Spec, VllmModel

# resident memory of an idle engine without its weights, measured 2026-11-20 on two x86 cores: OpenVINO GenAI 2026.4
# up to 320 MB, vLLM's CPU build 0.32 2.3 GB
IDLE_BYTES = {"openvino": 320e6, "vllm": 2.3e9}
DEMO_BYTES = 11e6  # the demo models: 2.77 M weights in 32 bits
WEIGHT_BYTES = 2.0  # engines on a CPU keep 16 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """Bytes of one replica of a model. `weights` None: nobody knows before they are fetched."""

    model: str
    engine: str
    replicas: int
    idle: float
    kv_cache: float
    weights: float | None

    @property
    def total(self) -> float:
        """All replicas, as far as it is known."""
        return self.replicas * (self.idle + self.kv_cache + (self.weights or 0.0))


def engines(spec: Spec, folder: Path) -> Iterator[EngineMemory]:
    """Every model whose engine runs on this machine's CPU. Relative paths start in `folder`."""
    for name, model in spec.models.items():
        on_cpu = isinstance(model, OpenVinoModel) or (isinstance(model, VllmModel) and model.device == "cpu")
        if not on_cpu or not isinstance(model, OpenVinoModel | VllmModel):
            continue
        yield EngineMemory(
            model=name,
            engine=model.engine,
            replicas=model.replicas,
            idle=IDLE_BYTES[model.engine],
            kv_cache=float(model.kv_cache),
            weights=weights(model, folder),
        )


def weights(model: LocalModel, folder: Path) -> float | None:
    """Bytes of a model's weights; None where neither catalog nor folder knows them."""
    if model.source.startswith("demo:"):
        return DEMO_BYTES
    try:
        return named(model.source, folder).params * WEIGHT_BYTES
    except UserError:
        return None


def gib(size: float | None) -> str:
    """`0.3 GiB`, or `?`."""
    return "?" if size is None else f"{size / GIB:.1f} GiB"
