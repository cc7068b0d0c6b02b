"""What is planned: a model in a quantisation on so many accelerators, in an engine with its settings."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.catalog.accelerators import Accelerator, accelerator
from fairlead.catalog.engines import Engine, engine
from fairlead.catalog.models import ModelShape, model
from fairlead.catalog.quantizations import Quantization, quantization
from fairlead.errors import Problem, UserError

KV_DTYPES = ("auto", "fp8", "bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """`replicas` copies, each on `tp` x `pp` accelerators.

    `kv_bytes` is bytes a cached value; `tokens` and `seqs` are the limits of one iteration
    (`max_num_batched_tokens`, `max_num_seqs`), `utilization` the share of memory that the engine may take.
    """

    model: ModelShape
    gpu: Accelerator
    quantization: Quantization
    engine: Engine
    tp: int
    pp: int
    replicas: int
    kv_bytes: float
    tokens: int
    seqs: int
    utilization: float

    @property
    def arithmetic(self) -> str:
        """What the matrix products run in. An unsupported one is refused by `refusals`, and counts as 16 bits here."""
        return self.quantization.arithmetic(self.gpu) or sixteen_bits(self.gpu)

    @property
    def linear_bytes(self) -> float:
        """Bytes a weight of attention and dense layers: what ships in mxfp4 has its experts in it only."""
        return 2.0 if self.quantization.name == "mxfp4" and self.model.is_moe else self.quantization.weight_bytes

    @property
    def linear_arithmetic(self) -> str:
        """The arithmetic of attention and dense layers."""
        return self.arithmetic if self.linear_bytes < 2 else sixteen_bits(self.gpu)

    @property
    def kv_shards(self) -> int:
        """In how many parts tensor parallelism cuts the KV cache; the rest are copies. MLA's latent has no heads."""
        return 1 if self.model.latent_kv else min(self.tp, self.model.kv_heads)

    @property
    def title(self) -> str:
        """`Llama-3.1-8B bf16 on 2 x L4 (tp 2)`."""
        count = self.tp * self.pp * self.replicas
        parallel = f"tp {self.tp}" + (f", pp {self.pp}" if self.pp > 1 else "")
        copies = f", {self.replicas} replicas" if self.replicas > 1 else ""
        return f"{self.model.name} {self.quantization.name} on {count} x {self.gpu.name} ({parallel}{copies})"


def deployment(
    model_name: str | ModelShape,
    gpu: str,
    *,
    dtype: str = "",
    engine_name: str = "vllm",
    n_gpus: int | None = None,
    tp: int = 1,
    pp: int = 1,
    kv_dtype: str = "auto",
    tokens: int | None = None,
    seqs: int | None = None,
    utilization: float | None = None,
) -> Deployment:
    """Look everything up. `dtype` empty: what the model ships in. Raises UserError with all problems."""
    shape, device, runner = looked_up(model_name, gpu, engine_name)
    stored = quantization(dtype or shape.native, native=shape.native, vendor=device.vendor)
    total = tp * pp if n_gpus is None else n_gpus
    if kv_dtype not in KV_DTYPES:
        raise UserError(f"a KV cache cannot be {kv_dtype}", hint=f"one of {', '.join(KV_DTYPES)}")
    if min(tp, pp, total) < 1 or total % (tp * pp):
        raise UserError(
            f"{total} GPUs are no whole number of tp {tp} x pp {pp}", hint="give a multiple of tp x pp to --gpus"
        )
    default_tokens, default_seqs = runner.batch_limits(device)
    eight_bit_kv = kv_dtype == "fp8" or (kv_dtype == "auto" and runner.kv_follows_weights and stored.weight_bits <= 8)
    return Deployment(
        model=shape,
        gpu=device,
        quantization=stored,
        engine=runner,
        tp=tp,
        pp=pp,
        replicas=total // (tp * pp),
        kv_bytes=1.0 if eight_bit_kv else 2.0,
        tokens=tokens or default_tokens,
        seqs=seqs or default_seqs,
        utilization=utilization or runner.memory_utilization,
    )


def looked_up(model_name: str | ModelShape, gpu: str, engine_name: str) -> tuple[ModelShape, Accelerator, Engine]:
    """The catalog's rows. Raises UserError with all unknown names."""
    problems: list[Problem] = []
    try:
        shape = model(model_name) if isinstance(model_name, str) else model_name
    except UserError as error:
        problems += error.problems
    try:
        device = accelerator(gpu)
    except UserError as error:
        problems += error.problems
    try:
        runner = engine(engine_name)
    except UserError as error:
        problems += error.problems
    if problems:
        raise UserError(problems=problems)
    return shape, device, runner


def sixteen_bits(gpu: Accelerator) -> str:
    """bf16 where the accelerator has it."""
    return "bf16" if "bf16" in gpu.tflops else "fp16"
