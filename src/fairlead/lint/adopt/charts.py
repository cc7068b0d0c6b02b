"""Values of production-stack's chart, and LiteLLM's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.lint.adopt.notes import NOT_IN_A_NAME, Adopted
from fairlead.lint.adopt.settings import of_mapping, of_words, scale, take, words_of
from fairlead.lint.adopt.sources import set_source
from fairlead.lint.folder import Folder
from fairlead.lint.quantity import amount
from fairlead.lint.tree import Document, Map, as_map, dig, maps

STACK_KNOWN = {
    "name", "repository", "tag", "modelURL", "replicaCount", "vllmConfig", "requestCPU", "requestMemory", "requestGPU",
    "limitCPU", "limitMemory", "hf_token", "keda", "annotations", "podAnnotations", "labels", "imagePullPolicy",
}  # fmt: skip
PREFIXES = ("openai/", "hosted_vllm/", "vllm/")


def stack_models(folder: Folder, fetched: dict[str, str]) -> Iterator[Adopted]:
    """Every modelSpec of production-stack's values."""
    for document, holder, _ in folder.having("servingEngineSpec"):
        for entry in maps(as_map(holder["servingEngineSpec"]).get("modelSpec")):
            if isinstance(entry.get("modelURL"), str):
                yield _stack_model(document, entry, fetched)


def _stack_model(document: Document, entry: Map, fetched: dict[str, str]) -> Adopted:
    model = Adopted(document, entry.place("name"), str(entry["modelURL"]), {"engine": "vllm"})
    set_source(model, entry["modelURL"], entry.place("modelURL"), fetched=fetched)
    config = as_map(entry.get("vllmConfig"))
    settings = (each for each in of_mapping(config) if each.name not in ("extra_args", "v1"))
    take(model, settings)
    take(model, of_words(words_of(config.get("extraArgs"))))
    keda = as_map(entry.get("keda"))
    if keda.get("enabled") is True:
        scale(model, keda.get("minReplicaCount", 1), keda.get("maxReplicaCount"), entry.place("keda"))
    else:
        scale(model, entry.get("replicaCount", 1), None, entry.place("replicaCount"))
    if "hf_token" in entry:
        model.lost("the token: give HF_TOKEN to the environment, or deploy.secrets", entry.place("hf_token"))
    for key in entry:
        if key not in STACK_KNOWN:
            model.lost(f"the spec has no field for {key}", entry.place(key))
    return model


def proxied_models(folder: Folder) -> Iterator[Adopted]:
    """Models of a LiteLLM proxy: what has an address becomes a remote model, several under one name its replicas."""
    by_name: dict[str, Adopted] = {}
    for document, holder, _ in folder.having("model_list"):
        for entry in maps(holder["model_list"]):
            params = as_map(entry.get("litellm_params"))
            public = str(entry.get("model_name"))
            model = by_name.setdefault(public, Adopted(document, entry.place("model_name"), public))
            _endpoint(model, params)
    for model in by_name.values():
        yield model


def _endpoint(model: Adopted, params: Map) -> None:
    base = params.get("api_base")
    if not isinstance(base, str) or not base.startswith("http"):
        model.lost(f"{params.get('model')}: a provider without an address of its own", params.place("model"))
        return
    url = base.rstrip("/").removesuffix("/v1")
    model.values.setdefault("engine", "remote")
    model.values.setdefault("urls", []).append(url)
    model.carried(f"replica {url}", params.place("api_base"))
    name = str(params.get("model", ""))
    there = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
    if there and there != model.name:
        model.values["model"] = there
    _key(model, params)
    _limits(model, params)


def _key(model: Adopted, params: Map) -> None:
    key = params.get("api_key")
    if isinstance(key, str) and key.startswith("os.environ/"):
        model.values["api_key_env"] = key.removeprefix("os.environ/")
        model.carried(f"the key in {model.values['api_key_env']}", params.place("api_key"))
    elif isinstance(key, str) and key not in ("", "none", "None", "EMPTY", "dummy"):
        variable = NOT_IN_A_NAME.sub("_", model.name).upper().replace("-", "_").replace(".", "_") + "_API_KEY"
        model.values["api_key_env"] = variable
        model.corrected(f"the key is read from {variable}, not from the file", "SEC-02", params.place("api_key"))


def _limits(model: Adopted, params: Map) -> None:
    for key, field in (("rpm", "requests"), ("tpm", "tokens")):
        number = amount(params.get(key))
        if number:
            model.limits[field] = model.limits.get(field, 0) + int(number)
            model.corrected(f"{key} {number:g} becomes a limit that all gateways share", "GW-02", params.place(key))


def proxy_settings(folder: Folder) -> Iterator[tuple[Document, Map, str, str]]:
    """(document, holder, key, why) of a proxy's settings that are not taken over."""
    why: dict[str, str] = {
        "guardrails": "guards are declared otherwise",
        "fallbacks": "name a route for each model that may answer",
        "max_budget": "declare prices and budgets",
        "cache": "there is no response cache to declare",
    }
    for document, holder, _ in folder.having("model_list"):
        found: Any = [holder, dig(holder, "litellm_settings"), dig(holder, "router_settings")]
        for settings in (each for each in found if isinstance(each, Map)):
            yield from ((document, settings, key, why[key]) for key in settings if key in why)
