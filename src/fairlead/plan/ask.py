"""What the spec asks of each model that runs on GPUs, in numbers; what is not written is a default that stands here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairlead.catalog.models import ModelShape
from fairlead.errors import Problem, UserError
from fairlead.plan.autoscale.demand import Trace
from fairlead.plan.autoscale.engine_model import Slo
from fairlead.plan.shape import shape_for
from fairlead.plan.traffic import lengths as log_normal
from fairlead.spec.planning import Workload
from fairlead.spec.types import Spec, VllmModel

DEFAULT_TTFT_S, DEFAULT_TPOT_S = 2.0, 0.1
ATTAINMENT = 0.95  # the SLO's percentile
REDUNDANT_FROM = 0.99  # an availability that one replica cannot keep: a rollout or a lost node takes it away
ASSUMED = Workload(rate="0.001/s", prompt=1024, output=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One model. `tp`, `seqs` and `replicas` are None where the plan is free; `dtype` as the catalog names it.

    `quantizations` are those that may be chosen, the first as the weights are; `auto_dtype`: 16 bits may be fp16 where
    an accelerator has no bf16. Without a workload `rate` is 0 and
    `lengths` are ASSUMED.
    """

    name: str
    shape: ModelShape
    quantizations: tuple[str, ...]
    auto_dtype: bool
    context: int
    tp: int | None
    seqs: int | None
    utilization: float
    replicas: int | None
    pool: str | None
    bounds: tuple[int, int] | None
    least: int
    rate: float
    lengths: Trace
    prefix_share: float
    slo: Slo


def asks(spec: Spec, folder: Path) -> tuple[Ask, ...]:
    """Every model that runs on GPUs, in the order of the file. Raises UserError with all problems."""
    made: list[Ask] = []
    problems: list[Problem] = []
    for name, model in spec.models.items():
        if not isinstance(model, VllmModel) or model.device != "gpu":
            continue
        try:
            made.append(ask(name, model, shape_for(name, model, folder)))
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems=problems)
    return tuple(made)


def ask(name: str, model: VllmModel, shape: ModelShape) -> Ask:
    """What is asked of one model."""
    written, promised, asked = model.model_fields_set, model.slo, model.workload
    bounds = model.autoscaling
    context = model.max_model_len or shape.max_context
    return Ask(
        name=name,
        shape=shape,
        quantizations=(stored(model, shape), *(each for each in model.may_quantize if each != stored(model, shape))),
        auto_dtype=model.dtype == "auto",
        context=context,
        tp=model.tensor_parallel_size if "tensor_parallel_size" in written else None,
        seqs=model.max_num_seqs if "max_num_seqs" in written else None,
        utilization=model.gpu_memory_utilization,
        replicas=model.replicas if "replicas" in written else None,
        pool=model.pool,
        bounds=(bounds.min, bounds.max) if bounds else None,
        least=2 if promised and (promised.availability or 0) >= REDUNDANT_FROM else 1,
        rate=asked.rate.per_second if asked else 0.0,
        lengths=lengths(asked or ASSUMED, context),
        prefix_share=asked.prefix_share if asked else 0.0,
        slo=Slo(
            ttft_s=(promised and promised.ttft_p95) or DEFAULT_TTFT_S,
            tpot_s=(promised and promised.tpot_p95) or DEFAULT_TPOT_S,
            attainment=ATTAINMENT,
        ),
    )


def stored(model: VllmModel, shape: ModelShape) -> str:
    """The catalog's name for how the weights are: as written, else as the model ships.

    compressed-tensors and modelopt are containers: what is in them the model's own config says, else fp8.
    """
    if model.quantization in ("compressed-tensors", "modelopt"):
        return shape.native if shape.native not in ("bf16", "fp16") else "fp8"
    if model.quantization:
        return model.quantization
    return {"bfloat16": "bf16", "float16": "fp16"}.get(model.dtype, shape.native)


def lengths(asked: Workload, context: int) -> Trace:
    """Requests as long as the workload says, all at moment 0; none is longer than `context`."""
    pairs = log_normal(
        (asked.prompt, asked.prompt_p95 or asked.prompt), (asked.output, asked.output_p95 or asked.output)
    )
    output = np.minimum(pairs[:, 1], context - 1)
    return Trace("workload", np.zeros(len(pairs)), np.minimum(pairs[:, 0], context - output), output)
