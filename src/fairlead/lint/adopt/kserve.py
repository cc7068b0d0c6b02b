"""InferenceService and LLMInferenceService: each is a model."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from fairlead.lint.adopt.notes import Adopted
from fairlead.lint.adopt.settings import of_words, option, scale, take, words_of
from fairlead.lint.adopt.sources import set_source
from fairlead.lint.folder import Folder
from fairlead.lint.rules.kserve import LEGACY_MODES, MODE
from fairlead.lint.served import vllm_model
from fairlead.lint.tree import Command, Document, Map, Place, Word, as_map, dig, maps

FORMATS = {"vllm", "huggingface"}


def kserve_models(folder: Folder, fetched: dict[str, str]) -> Iterator[Adopted]:
    """Every service of a language model; those of other formats are left to `other_formats`."""
    for document in folder.objects("InferenceService"):
        predictor = as_map(dig(document.root, "spec", "predictor"))
        model = _predictor(document, predictor, fetched)
        if model is not None:
            _mode(document, model)
            scale(model, predictor.get("minReplicas", 1), predictor.get("maxReplicas"), predictor.place("minReplicas"))
            for key in ("containerConcurrency", "scaleMetric", "scaleTarget", "autoScaling", "timeout"):
                if key in predictor:
                    model.lost(f"{key}: the plan sizes and scales by workload and slo", predictor.place(key))
            if "transformer" in as_map(document.root.get("spec")):
                model.lost("the transformer is code of your own", document.root["spec"].place("transformer"))
            yield model
    for document in folder.objects("LLMInferenceService"):
        yield _llm_service(document, fetched)


def other_formats(folder: Folder) -> Iterator[Document]:
    """InferenceServices that serve something else than a language model in vLLM."""
    for document in folder.objects("InferenceService"):
        if _predictor(document, as_map(dig(document.root, "spec", "predictor")), {}) is None:
            yield document


def _predictor(document: Document, predictor: Map, fetched: dict[str, str]) -> Adopted | None:
    inner = as_map(predictor.get("model") or predictor.get("huggingface"))
    name = str(dig(document.root, "metadata", "name") or "model")
    format_ = str(dig(inner, "modelFormat", "name") or ("huggingface" if "huggingface" in predictor else ""))
    if format_.lower() not in FORMATS:
        inner = next(
            (each for each in maps(predictor.get("containers")) if vllm_model(_command(each))), Map(Place(1, 1))
        )
        if not inner:
            return None
    command = _command(inner)
    public = option(command, "--served-model-name", "--model_name") or name
    model = Adopted(document, document.root.place("metadata"), public, {"engine": "vllm"})
    source, at = _source(inner, command)
    if source is None:
        model.lost("nothing says which model it is", inner.at)
        return None
    set_source(model, source, at, fetched=fetched)
    take(model, (each for each in of_words(command.words) if each.name not in ("model_name", "model_id")))
    for entry in maps(inner.get("env")):
        _variable(model, entry)
    return model


def _source(inner: Map, command: Command) -> tuple[str | None, Place]:
    """The storage URI, or the model that the command names."""
    uri = inner.get("storageUri")
    if isinstance(uri, str):
        return uri, inner.place("storageUri")
    for word in (vllm_model(command), command.option("--model_id", "--model"), *command.words[:1]):
        if word is not None and not word.text.startswith("-"):
            return word.text, Place(word.line, word.column)
    return None, inner.at


def _command(container: Map) -> Command:
    return Command((*words_of(container.get("command")), *words_of(container.get("args"))))


def _variable(model: Adopted, entry: Map) -> None:
    """Settings as variables work only where the runtime's image reads them; as D-09 they were meant for a template."""
    name = str(entry.get("name"))
    if name in ("MAX_MODEL_LEN", "TENSOR_PARALLEL_SIZE", "GPU_MEMORY_UTILIZATION", "DTYPE"):
        word = Word(f"--{name.lower().replace('_', '-')}={entry.get('value')}", *entry.place("name"))
        take(model, of_words((word,)))


def _mode(document: Document, model: Adopted) -> None:
    annotations = as_map(dig(document.root, "metadata", "annotations"))
    mode = annotations.get(MODE)
    if mode in LEGACY_MODES:
        model.corrected(f"mode {mode} is called {LEGACY_MODES[str(mode)]}", "D-08", annotations.place(MODE))


def _llm_service(document: Document, fetched: dict[str, str]) -> Adopted:
    spec = as_map(document.root.get("spec"))
    told = as_map(spec.get("model"))
    public = str(told.get("name") or dig(document.root, "metadata", "name") or "model")
    model = Adopted(document, document.root.place("metadata"), public, {"engine": "vllm"})
    set_source(model, str(told.get("uri") or public), told.place("uri"), fetched=fetched)
    tensor = dig(spec, "parallelism", "tensor")
    if tensor:
        model.values["tensor_parallel_size"] = int(tensor)
        model.carried(f"tensor_parallel_size {tensor}", as_map(spec.get("parallelism")).place("tensor"))
    scaling = as_map(spec.get("scaling"))
    if scaling:
        scale(model, scaling.get("minReplicas", 1), scaling.get("maxReplicas"), spec.place("scaling"))
    else:
        scale(model, spec.get("replicas", 1), None, spec.place("replicas"))
    for container in maps(dig(spec, "template", "containers")):
        take(model, of_words(words_of(container.get("args"))))
        for entry in maps(container.get("env")):
            if entry.get("name") == "VLLM_ADDITIONAL_ARGS" and isinstance(entry.get("value"), str):
                take(model, of_words(tuple(_split(entry))))
    for key in ("prefill", "worker", "router"):
        if spec.get(key):
            model.lost(f"{key}: disaggregation and routing are not declared", spec.place(key))
    return model


def _split(entry: Map) -> Iterator[Word]:
    value: Any = entry["value"]
    try:
        yield from (Word(text, *entry.place("value")) for text in shlex.split(value))
    except ValueError:
        return
