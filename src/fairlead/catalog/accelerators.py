"""Accelerators: dense peak rates without sparsity, as vendors publish them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fairlead.catalog.files import table
from fairlead.catalog.names import find

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device. `tflops` maps an arithmetic (bf16, fp16, fp8, int8, fp4) to dense 10^12 operations a second.

    `usable_gib` is what the driver leaves of the memory; `link_gb_s` the bandwidth to its peers in one node, both
    directions together; `capability` NVIDIA's compute capability (0 for other vendors).
    """

    name: str
    vendor: str
    generation: str
    capability: float
    memory_gb: float
    usable_gib: float
    bandwidth_gb_s: float
    tflops: Mapping[str, float]
    link: str
    link_gb_s: float
    date: str
    source: str

    @property
    def usable_bytes(self) -> float:
        """Memory that a process can have."""
        return self.usable_gib * GIB

    @property
    def has_fast_link(self) -> bool:
        """Whether peers talk over something better than the PCIe bus."""
        return self.link != "PCIe"


@cache
def accelerators() -> Mapping[str, Accelerator]:
    """Every accelerator, by name."""
    return {row["name"]: _accelerator(row) for row in table("accelerators.csv")}


def accelerator(name: str) -> Accelerator:
    """The accelerator called `name`. Raises UserError."""
    return find(accelerators(), name, kind="accelerator")


def _accelerator(row: Mapping[str, str]) -> Accelerator:
    rates = {
        "bf16": row["bf16_tflops"],
        "fp16": row["fp16_tflops"],
        "fp8": row["fp8_tflops"],
        "int8": row["int8_tops"],
        "fp4": row["fp4_tflops"],
    }
    return Accelerator(
        name=row["name"],
        vendor=row["vendor"],
        generation=row["generation"],
        capability=float(row["capability"] or 0),
        memory_gb=float(row["memory_gb"]),
        usable_gib=float(row["usable_gib"]),
        bandwidth_gb_s=float(row["bandwidth_gb_s"]),
        tflops={name: float(rate) for name, rate in rates.items() if rate},
        link=row["link"],
        link_gb_s=float(row["link_gb_s"]),
        date=row["date"],
        source=row["source"],
    )
