"""The engine's settings, whoever says them (kwargs, flags, chart values), as fields of a model of the spec."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fairlead.lint.adopt.notes import Adopted
from fairlead.lint.quantity import amount
from fairlead.lint.served import known_shape
from fairlead.lint.tree import Command, Map, Place, Seq, Word

DTYPES = {"auto": "auto", "bfloat16": "bfloat16", "float16": "float16", "half": "float16", "float32": "float32"}
QUANTIZATIONS = {"awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors", "modelopt"}
OURS = {
    "host", "port", "served_model_name", "model", "download_dir", "api_key", "max_num_batched_tokens",
    "enable_prefix_caching", "enable_chunked_prefill", "disable_log_requests", "disable_uvicorn_access_log",
    "disable_access_log_for_endpoints", "enable_prompt_tokens_details", "shutdown_timeout", "uvicorn_log_level",
    "revision", "distributed_executor_backend", "disable_fastapi_docs",
}  # fmt: skip
"""What Fairlead decides itself (ports, names, logs, batch sizes by the plan) or what is the engine's default."""
LEFT_OUT = {"trust_remote_code": "D-41", "enforce_eager": "D-13"}


class Setting(NamedTuple):
    """A setting by its name in AsyncEngineArgs."""

    name: str
    value: Any
    at: Place


def of_mapping(settings: Map) -> Iterator[Setting]:
    """Settings of a mapping such as engine_kwargs; camel case as charts write it becomes snake case."""
    for key, value in settings.items():
        yield Setting(
            re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), key), value, settings.place(key)
        )


def of_words(words: tuple[Word, ...]) -> Iterator[Setting]:
    """Settings of a command line: `--name=value`, `--name value` and `--name` alone."""
    for index, word in enumerate(words):
        if word.text.startswith("--"):
            name, equals, value = word.text.partition("=")
            following = words[index + 1].text if index + 1 < len(words) else "--"
            alone = not equals and following.startswith("--")
            plain = name.removeprefix("--").replace("-", "_")
            yield Setting(plain, True if alone else value if equals else following, Place(word.line, word.column))


def words_of(listed: Any) -> tuple[Word, ...]:
    """A YAML list of strings as words."""
    if not isinstance(listed, Seq):
        return ()
    return tuple(Word(str(item), *listed.place(index)) for index, item in enumerate(listed))


def take(model: Adopted, settings: Iterator[Setting]) -> None:
    """Take over the settings that the spec has; note the rest."""
    for name, value, at in settings:
        if name in ("max_model_len", "max_num_seqs", "tensor_parallel_size"):
            _number(model, name, value, at)
        elif name == "gpu_memory_utilization":
            _share(model, value, at)
        elif name == "dtype" and str(value) in DTYPES:
            model.values["dtype"] = DTYPES[str(value)]
            model.carried(f"dtype {model.values['dtype']}", at)
        elif name == "quantization" and value in QUANTIZATIONS:
            model.values["quantization"] = value
            model.carried(f"quantization {value}", at)
        elif name in LEFT_OUT:
            if str(value).lower() != "false":
                model.corrected(f"{name} is left out", LEFT_OUT[name], at)
        elif name not in OURS:
            model.lost(f"the spec has no field for {name}", at)


def cap_context(model: Adopted) -> None:
    """A context beyond the model's own becomes the model's."""
    shape = known_shape(str(model.values.get("source", "")).partition("@")[0])
    wanted = model.values.get("max_model_len")
    if shape is not None and isinstance(wanted, int) and wanted > shape.max_context:
        model.values["max_model_len"] = shape.max_context
        model.corrected(f"max_model_len {wanted} becomes {shape.max_context}, the model's own", "D-47")


def scale(model: Adopted, least: Any, most: Any, at: Place) -> None:
    """Between how many replicas it scales; a fixed number where both are the same or one is missing."""
    low, high = amount(least), amount(most)
    if low is not None and high is not None and high > low:
        model.values["replicas"] = max(1, int(low))
        model.values["autoscaling"] = {"min": int(low), "max": int(high)}
        model.carried(f"{low:g} to {high:g} replicas", at)
    elif low or high:
        model.values["replicas"] = int(low or high or 1)
        model.carried(f"{model.values['replicas']} replicas", at)


def _number(model: Adopted, name: str, value: Any, at: Place) -> None:
    number = amount(value)
    if number is None or number < 1:
        model.lost(f"{name} {value!r} is no number", at)
        return
    model.values[name] = int(number)
    model.carried(f"{name} {int(number)}", at)


def _share(model: Adopted, value: Any, at: Place) -> None:
    share = amount(value)
    if share is None or not 0 < share <= 1:
        model.corrected(f"gpu_memory_utilization {value} becomes the default 0.9", "VLLM-04", at)
        return
    model.values["gpu_memory_utilization"] = share
    model.carried(f"gpu_memory_utilization {share:g}", at)


def option(command: Command, *names: str) -> str | None:
    """The text of an option, if it is there."""
    word = command.option(*names)
    return word.text if word else None
