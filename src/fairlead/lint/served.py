"""Which model a document serves, with what context and on how many GPUs: one shape for five ways of saying it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fairlead.catalog.models import ModelShape, models
from fairlead.lint.folder import Folder
from fairlead.lint.quantity import amount
from fairlead.lint.tree import Command, Document, Map, Place, Seq, Word, as_map, dig, maps

IMAGE_VERSION = re.compile(r":(?:[\w.-]*-)?v?(\d+)\.(\d+)")
GPU_KEYS = ("nvidia.com/gpu", "gpu")
VARIANT = re.compile(r"-(instruct|chat|hf|it|base|instruct-hf|chat-hf|v\d+(\.\d+)?)$")
MODEL_KEYS = ("model_source", "model_id", "id", "modelURL", "model", "name")
CONTEXT_KEYS = ("max_model_len", "model_len", "maxModelLen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model that somebody declares. `context` is None where the model's own applies."""

    document: Document
    holder: Map
    model: str
    model_at: Place
    context: int | None
    context_at: Place
    tp: int
    gpus: int
    quantized: bool
    stretched: bool  # the context was widened on purpose (rope scaling)

    @property
    def shape(self) -> ModelShape | None:
        """The catalog's row, where the name says which."""
        return known_shape(self.model)


def known_shape(name: str) -> ModelShape | None:
    """The shape of a model by its repository or folder; None unless the name is plainly one of the catalog's."""
    plain = re.split(r"[/:]", name.rstrip("/"))[-1].lower().replace("_", "-").removeprefix("meta-")
    while VARIANT.search(plain) and plain not in _shapes():
        plain = VARIANT.sub("", plain)
    return _shapes().get(plain)


@cache
def _shapes() -> dict[str, ModelShape]:
    found = {name.lower(): shape for name, shape in models().items()}
    return found | {shape.source.split(" ")[0].rsplit("/", 1)[-1].lower(): shape for shape in models().values()}


def served(folder: Folder) -> Iterator[Served]:
    """Every model that the documents declare."""
    yield from _llm_configs(folder)
    yield from _commands(folder)
    yield from _inference_services(folder)
    yield from _plain_maps(folder)


def _llm_configs(folder: Folder) -> Iterator[Served]:
    """Ray's LLMConfig."""
    for document, holder, _ in folder.having("model_loading_config"):
        loading, engine = as_map(holder["model_loading_config"]), as_map(holder.get("engine_kwargs"))
        key = "model_source" if isinstance(loading.get("model_source"), str) else "model_id"
        if isinstance(loading.get(key), str):
            tp = _whole(engine.get("tensor_parallel_size")) or 1
            pp = _whole(engine.get("pipeline_parallel_size")) or 1
            yield Served(
                document=document,
                holder=holder,
                model=loading[key],
                model_at=loading.values_at[key],
                context=_whole(engine.get("max_model_len")),
                context_at=engine.place("max_model_len"),
                tp=tp,
                gpus=tp * pp,
                quantized="quantization" in engine,
                stretched="hf_overrides" in engine or "rope_scaling" in engine,
            )


def _commands(folder: Folder) -> Iterator[Served]:
    """`vllm serve MODEL` and the server's module with `--model`."""
    for document, command in folder.commands():
        model = vllm_model(command)
        if model is None or "$" in model.text or "{{" in model.text:
            continue
        context = command.option("--max-model-len")
        tp = command.option("--tensor-parallel-size", "-tp")
        holder = document.holder or Map(Place(model.line, model.column))
        text = command.line()
        yield Served(
            document=document,
            holder=holder,
            model=model.text,
            model_at=Place(model.line, model.column),
            context=_whole(context.text) if context else None,
            context_at=Place(context.line, context.column) if context else Place(model.line, model.column),
            tp=(_whole(tp.text) if tp else None) or 1,
            gpus=gpu_count(holder.get("resources")) or 1,
            quantized="--quantization" in text,
            stretched="--hf-overrides" in text or "--rope-scaling" in text or "LONG_MAX_MODEL_LEN" in str(holder),
        )


def vllm_model(command: Command) -> Word | None:
    """The model of a command that starts vLLM; None for any other command."""
    words = command.words
    for index, word in enumerate(words):
        if word.text == "serve" and index and words[index - 1].text.endswith("vllm") and index + 1 < len(words):
            following = words[index + 1]
            return command.option("--model") if following.text.startswith("-") else following
        if word.text.startswith("vllm.entrypoints"):
            return command.option("--model")
    return None


def servers(folder: Folder) -> Iterator[tuple[Document, Command]]:
    """Every command that starts a vLLM server, with the document that runs it."""
    for document, command in folder.commands():
        if vllm_model(command) is not None or _is_server_image(document.holder, command):
            yield document, command


def _is_server_image(container: Map | None, command: Command) -> bool:
    """vllm/vllm-openai with arguments only: its entrypoint is the server."""
    image = str(as_map(container).get("image"))
    only_args = "command" not in as_map(container) and command.words[0].text.startswith("-")
    return only_args and bool(re.search(r"(^|/)vllm/vllm-openai[:@]", image))


def _inference_services(folder: Folder) -> Iterator[Served]:
    """KServe's predictor with a model that comes from storage."""
    for document in folder.objects("InferenceService"):
        model = as_map(dig(document.root, "spec", "predictor", "model"))
        uri = model.get("storageUri")
        if not isinstance(uri, str):
            continue
        context, context_at = _kserve_context(model)
        gpus = gpu_count(model.get("resources")) or 1
        yield Served(
            document=document,
            holder=model,
            model=uri,
            model_at=model.values_at["storageUri"],
            context=context,
            context_at=context_at,
            tp=gpus,
            gpus=gpus,
            quantized="quantization" in str(model.get("args")),
            stretched="hf-overrides" in str(model.get("args")) or "rope" in str(model.get("args")),
        )


def _kserve_context(model: Map) -> tuple[int | None, Place]:
    args = model.get("args")
    if isinstance(args, Seq):
        words = tuple(Word(str(item), *args.place(index)) for index, item in enumerate(args))
        option = Command(words).option("--max-model-len", "--max_model_len")
        if option:
            return _whole(option.text), Place(option.line, option.column)
    for entry in maps(model.get("env")):
        if entry.get("name") == "MAX_MODEL_LEN":
            return _whole(entry.get("value")), entry.place("value")
    return None, model.at


def _plain_maps(folder: Folder) -> Iterator[Served]:
    """A mapping of a home-made format or of chart values: a model's name beside its context."""
    for document, holder, key in folder.having(*CONTEXT_KEYS):
        owner = holder
        if key == "maxModelLen":  # production-stack: modelSpec entry -> vllmConfig -> maxModelLen
            owner = next((up for _, up, _ in folder.having("vllmConfig") if up["vllmConfig"] is holder), holder)
        model_key = next((name for name in MODEL_KEYS if "/" in str(owner.get(name))), None)
        if model_key is not None and "engine_kwargs" not in owner:
            tp = _whole(owner.get("tensor_parallel_size")) or _whole(holder.get("tensorParallelSize")) or 1
            gpus = gpu_count(owner.get("resources")) or _whole(owner.get("requestGPU")) or tp
            yield Served(
                document=document,
                holder=owner,
                model=owner[model_key],
                model_at=owner.values_at[model_key],
                context=_whole(holder[key]),
                context_at=holder.place(key),
                tp=tp,
                gpus=gpus,
                quantized="quantization" in owner or "quantization" in str(holder),
                stretched="rope" in str(holder) or "hf-overrides" in str(holder),
            )


def image_version(container: Map | None) -> tuple[int, int] | None:
    """(major, minor) of the container's image; None where its tag is no version."""
    found = IMAGE_VERSION.search(str(as_map(container).get("image")))
    return (int(found[1]), int(found[2])) if found else None


def gpu_count(resources: Any) -> int:
    """GPUs of a `resources` mapping: limits, requests, or the mapping itself."""
    for part in (dig(resources, "limits"), dig(resources, "requests"), resources):
        for key in GPU_KEYS:
            count = amount(as_map(part).get(key))
            if count:
                return int(count)
    return 0


def _whole(value: Any) -> int | None:
    """A whole number, also as a text; vLLM's `16k` and `1M` too. None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(\d+)([kKmM]?)", str(value))
    if match is None:
        return None
    factor = {"": 1, "k": 1000, "K": 1024, "m": 10**6, "M": 1024**2}[match[2]]
    return int(match[1]) * factor
