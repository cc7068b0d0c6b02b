"""Every key of a Ray Serve configuration is one that Ray knows: Ray takes unknown and removed keys in silence.

The keys are data (`data/serve_keys.json`, written by tools/ray_cpu/keys.py from Ray's and vLLM's own classes).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

# builder of ray.serve.llm -> where its arguments hold LLMConfigs
BUILDERS: Mapping[str, tuple[str, ...]] = {
    "ray.serve.llm:build_openai_app": ("llm_configs",),
    "ray.serve.llm:build_pd_openai_app": ("prefill_config", "decode_config"),
    "ray.serve.llm:build_dp_openai_app": ("llm_config",),
}


def unknown_keys(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(path, message) for each key of a Serve configuration, at any depth, that Ray or vLLM would not know."""
    return [*_unknown(config, "ServeDeploySchema", ""), *_in_arguments(config)]


def _in_arguments(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for index, application in enumerate(_mappings(config.get("applications"))):
        names = BUILDERS.get(str(application.get("import_path")))
        arguments = application.get("args")
        if names is None or not isinstance(arguments, Mapping):
            continue  # somebody's own application takes what it likes
        path = f"applications[{index}].args"
        ingress = {key: part for key, part in _keys()["LLMServingArgs"].items() if key != "llm_configs"}
        yield from _unknown(arguments, {**ingress, **dict.fromkeys(names, "LLMConfig")}, path)
        for name in names:
            for place, model in _items(arguments.get(name), f"{path}.{name}"):
                yield from _unlike(model.get("engine_kwargs") or {}, _engine_arguments(), f"{place}.engine_kwargs")


def _unknown(value: Mapping[str, Any], part: str | Mapping[str, str | None], path: str) -> Iterator[tuple[str, str]]:
    known = _keys()[part] if isinstance(part, str) else part
    yield from _unlike(value, known, path)
    for key in sorted(value.keys() & known.keys()):
        nested = known[key]
        if nested:
            for place, item in _items(value[key], f"{path}.{key}".lstrip(".")):
                yield from _unknown(item, nested, place)


def _unlike(value: Mapping[str, Any], known: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key in sorted(set(value) - set(known)):
        near = get_close_matches(key, sorted(known), 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        yield f"{path}.{key}".lstrip("."), f"no such key, and Ray would ignore it in silence{hint}"


def _items(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The mappings in a value, with their paths: itself, or those of a list."""
    if isinstance(value, Mapping):
        yield path, value
    elif isinstance(value, list):
        yield from ((f"{path}[{index}]", item) for index, item in enumerate(value) if isinstance(item, Mapping))


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for _, item in _items(value, "")]


def _keys() -> Mapping[str, Mapping[str, str | None]]:
    parts: Mapping[str, Mapping[str, str | None]] = _known()["parts"]
    return parts


def _engine_arguments() -> Mapping[str, None]:
    return dict.fromkeys(_known()["engine_kwargs"])


@cache
def _known() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((files("fairlead.render") / "data" / "serve_keys.json").read_text())
    return found
