"""Quantisations: how many bits a weight takes, and which accelerators multiply with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fairlead.catalog.accelerators import Accelerator
from fairlead.catalog.files import sections
from fairlead.catalog.names import find

SAME = {"float16": "fp16", "half": "fp16", "bfloat16": "bf16", "int4": "awq", "w4a16": "awq", "w8a8": "int8"}


@dataclass(frozen=True, slots=True)
class Quantization:
    """One way to store weights. `weight_bits` includes the scales; `compute` is the wanted arithmetic."""

    name: str
    weight_bits: float
    compute: str
    capability: float
    vendors: tuple[str, ...]
    weight_only_fallback: bool
    date: str
    source: str

    @property
    def weight_bytes(self) -> float:
        """Bytes a weight."""
        return self.weight_bits / 8

    def arithmetic(self, gpu: Accelerator) -> str | None:
        """What `gpu` multiplies in, or None where it cannot run this quantisation at all."""
        known = gpu.capability >= self.capability if gpu.vendor == "NVIDIA" else gpu.vendor in self.vendors
        if known and self.compute in gpu.tflops:
            return self.compute
        sixteen = "bf16" if "bf16" in gpu.tflops else "fp16"
        return sixteen if known and self.weight_only_fallback and sixteen in gpu.tflops else None


@cache
def quantizations() -> Mapping[str, Quantization]:
    """Every quantisation, by name."""
    return {
        name: Quantization(name=name, **{**row, "vendors": tuple(row["vendors"])})
        for name, row in sections("quantizations.toml").items()
    }


def quantization(name: str, *, native: str = "", vendor: str = "NVIDIA") -> Quantization:
    """The quantisation called `name`. Raises UserError.

    `fp4` is mxfp4 for models that ship in it and for AMD's accelerators, else nvfp4.
    """
    if name.lower() == "fp4":
        name = "mxfp4" if native == "mxfp4" or vendor == "AMD" else "nvfp4"
    return find(quantizations(), SAME.get(name.lower(), name), kind="quantisation")
