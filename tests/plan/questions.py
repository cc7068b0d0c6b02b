"""Questions that several tests ask."""

from __future__ import annotations

from fairlead.plan.constants import shipped
from fairlead.plan.deployment import deployment
from fairlead.plan.estimate import Speed, estimate
from fairlead.plan.workload import Workload

QUESTION = {
    "row_id": "a",
    "model": "Llama-3.1-8B",
    "gpu": "H100-SXM",
    "n_gpus": "1",
    "tp": "1",
    "dtype": "bf16",
    "engine": "vllm",
    "isl": "1024",
    "osl": "128",
    "concurrency": "16",
}


def speed(
    model: str = "Llama-3.1-8B", gpu: str = "H100-SXM", clients: int | None = 16, prompt: int = 1024, **more: object
) -> Speed:
    asked = deployment(model, gpu, **more)  # type: ignore[arg-type]
    made = estimate(asked, Workload(prompt=prompt, output=128, clients=clients), shipped()).speed
    assert made is not None
    return made


def rows_of_a_slower_machine(factor: float) -> list[dict[str, str]]:
    """Runs as our own model would have measured them on an H100 with `factor` of its bandwidth."""
    rows = []
    for clients in (1, 4, 16, 64):
        for prompt in (128, 1024, 4096):
            made = speed(clients=clients, prompt=prompt)
            row = QUESTION | {"isl": str(prompt), "concurrency": str(clients)}
            rows.append(row | {"output_tokens_per_s": f"{made.output_tokens_per_s * factor:.4f}"})
    return rows
