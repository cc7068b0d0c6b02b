"""The catalog's rows are complete, dated and consistent with each other."""

from __future__ import annotations

from datetime import date

import pytest

from fairlead.catalog.accelerators import accelerator, accelerators
from fairlead.catalog.components import component, components
from fairlead.catalog.engines import engine, engines
from fairlead.catalog.hf_config import shape_of
from fairlead.catalog.instances import instance, instances
from fairlead.catalog.models import ModelShape, model, models
from fairlead.catalog.quantizations import quantization, quantizations
from fairlead.errors import UserError


@pytest.mark.parametrize("shape", models().values(), ids=models())
def test_parameters_are_those_published(shape: ModelShape) -> None:
    """The sum over the shape, without norms and biases, is within 1 % of the published count."""
    assert shape.params / 1e9 == pytest.approx(shape.params_b, rel=0.01)


def test_every_row_has_a_dated_source() -> None:
    for rows in (accelerators(), instances(), models(), quantizations(), engines(), components()):
        assert rows
        for row in rows.values():
            assert row.source, row
            assert isinstance(row.date, date) or date.fromisoformat(row.date) <= date(2026, 12, 31), row


def test_every_instance_has_a_known_accelerator() -> None:
    assert {each.gpu for each in instances().values() if each.gpus} <= set(accelerators())


def test_every_cloud_has_instances_without_an_accelerator() -> None:
    plain = [each for each in instances().values() if not each.gpus]
    assert {each.cloud for each in plain} == {"AWS", "GCP", "Azure"}
    assert all(each.gpu == "" and each.vcpus and each.memory_gib for each in plain)


def test_an_image_names_the_version_of_its_component() -> None:
    """Else a new version would be written for, and the old one would run."""
    for each in components().values():
        assert not each.image or each.version in each.image_parts[2], each
    assert component("llm-d-router").image_parts == ("ghcr.io/llm-d", "llm-d-router-endpoint-picker", "v0.10.0")


def test_the_catalog_is_broad_enough() -> None:
    assert len(models()) >= 30
    assert {"T4", "L4", "A10G", "L40S", "A100-SXM-80", "H100-SXM", "H200-SXM", "B200", "MI300X"} <= set(accelerators())
    assert {each.cloud for each in instances().values()} >= {"AWS", "GCP", "Azure"}


KV_BYTES_A_TOKEN = {
    "grouped queries": ("Llama-3.1-8B", 131_072),  # 2 x 32 layers x 8 heads x 128 x 2 bytes
    "all heads": ("Llama-2-7B", 524_288),
    "latent": ("DeepSeek-V3", 70_272),  # 61 layers x (512 + 64) x 2 bytes
}


@pytest.mark.parametrize(("name", "size"), KV_BYTES_A_TOKEN.values(), ids=KV_BYTES_A_TOKEN)
def test_cached_bytes_a_token(name: str, size: int) -> None:
    shape = model(name)
    assert shape.cached_token_layers(1) * shape.cached_values * 2 == size


def test_windowed_layers_keep_their_window() -> None:
    shape = model("gpt-oss-120b")
    assert shape.cached_token_layers(1000) == 18 * 1000 + 18 * 128


NAMES = {
    "repository": ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B"),
    "case": ("llama-3.1-8b", "Llama-3.1-8B"),
    "itself": ("gpt-oss-120b", "gpt-oss-120b"),
    "another suffix": ("google/gemma-3-27b-it", "Gemma-3-27B"),
}


@pytest.mark.parametrize(("asked", "found"), NAMES.values(), ids=NAMES)
def test_models_are_found(asked: str, found: str) -> None:
    assert model(asked).name == found


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no model called 'Llama-3.1-9B'") as refused:
        model("Llama-3.1-9B")
    assert "Llama-3.1-8B" in refused.value.problems[0].hint
    with pytest.raises(UserError, match="no accelerator"):
        accelerator("H1000")


RUNS_IN = {
    "T4 has no bf16": ("T4", "bf16", None),
    "T4 has fp16": ("T4", "fp16", "fp16"),
    "T4 has no fp8": ("T4", "fp8", None),
    "A100 unpacks fp8": ("A100-SXM-80", "fp8", "bf16"),
    "H100 multiplies fp8": ("H100-SXM", "fp8", "fp8"),
    "H100 unpacks fp4": ("H100-SXM", "nvfp4", "bf16"),
    "B200 multiplies fp4": ("B200", "nvfp4", "fp4"),
    "V100 unpacks gptq": ("V100-SXM2-16", "gptq", "fp16"),
    "AMD has no nvfp4": ("MI300X", "nvfp4", None),
}


@pytest.mark.parametrize(("gpu", "name", "arithmetic"), RUNS_IN.values(), ids=RUNS_IN)
def test_which_accelerator_runs_what(gpu: str, name: str, arithmetic: str | None) -> None:
    assert quantization(name).arithmetic(accelerator(gpu)) == arithmetic


def test_fp4_is_what_the_model_ships_in() -> None:
    assert quantization("fp4", native="mxfp4").name == "mxfp4"
    assert quantization("fp4", native="bf16").name == "nvfp4"
    assert quantization("fp4", native="bf16", vendor="AMD").name == "mxfp4"


def test_an_old_price_is_stale() -> None:
    price = instance("p5.48xlarge")
    assert price.age_days(date(2026, 11, 20)) == 11
    assert not price.is_stale(date(2026, 11, 20))
    assert instance("g4dn.xlarge").is_stale(date(2026, 11, 20))


ENGINES = {"trtllm-1.0.0rc3": "trtllm", "TensorRT-LLM": "trtllm", "dynamo-sglang": "sglang", "vllm-nan": "vllm"}


@pytest.mark.parametrize(("asked", "found"), ENGINES.items())
def test_versions_of_an_engine_are_the_engine(asked: str, found: str) -> None:
    assert engine(asked).name == found


def test_small_accelerators_get_small_batches() -> None:
    assert engine("vllm").batch_limits(accelerator("L4")) == (2048, 256)


CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "dense": (
        "Llama-3.1-8B",
        {
            "model_type": "llama",
            "num_hidden_layers": 32,
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 14336,
            "vocab_size": 128256,
            "max_position_embeddings": 131072,
            "tie_word_embeddings": False,
        },
    ),
    "latent attention and experts": (
        "DeepSeek-V3",
        {
            "model_type": "deepseek_v3",
            "num_hidden_layers": 61,
            "hidden_size": 7168,
            "num_attention_heads": 128,
            "num_key_value_heads": 128,
            "intermediate_size": 18432,
            "moe_intermediate_size": 2048,
            "n_routed_experts": 256,
            "num_experts_per_tok": 8,
            "n_shared_experts": 1,
            "first_k_dense_replace": 3,
            "kv_lora_rank": 512,
            "q_lora_rank": 1536,
            "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64,
            "v_head_dim": 128,
            "vocab_size": 129280,
            "max_position_embeddings": 163840,
            "quantization_config": {"quant_method": "fp8"},
        },
    ),
    "alternating windows": (
        "gpt-oss-20b",
        {
            "model_type": "gpt_oss",
            "num_hidden_layers": 24,
            "hidden_size": 2880,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "intermediate_size": 2880,
            "num_local_experts": 32,
            "num_experts_per_tok": 4,
            "sliding_window": 128,
            "layer_types": ["sliding_attention", "full_attention"] * 12,
            "vocab_size": 201088,
            "max_position_embeddings": 131072,
            "quantization_config": {"quant_method": "mxfp4"},
        },
    ),
}


@pytest.mark.parametrize(("known", "config"), CONFIGS.values(), ids=CONFIGS)
def test_a_config_gives_the_same_shape_as_the_catalog(known: str, config: dict[str, object]) -> None:
    read, row = shape_of(config, name=known), model(known)
    assert read.params == row.params
    assert read.active_params == row.active_params
    assert read.cached_token_layers(5000) * read.cached_values == row.cached_token_layers(5000) * row.cached_values
    assert (read.max_context, read.native) == (row.max_context, row.native)


def test_a_config_of_something_else_is_refused() -> None:
    with pytest.raises(UserError, match="has no num_hidden_layers, hidden_size"):
        shape_of({"vocab_size": 1}, name="x")
