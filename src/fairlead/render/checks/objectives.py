"""What the gateway says of a request's priority is known to the endpoint picker, and the picker goes by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML

from fairlead.render import names
from fairlead.render.checks.frame import Fault, Rendering, dig
from fairlead.spec.problems import nearest

GATE = "flowControl"


def objectives(rendering: Rendering) -> Iterator[Fault]:
    """Names are those of objectives, objectives are asked for and belong to a pool, and its picker looks at them."""
    made = {each.object["metadata"]["name"]: each for each in rendering.of_kind("InferenceObjective")}
    asked = asked_for(rendering.build.gateway)
    config = rendering.find("ConfigMap", names.gateway_config(rendering.build.spec))
    for name, model in asked.items():
        if name not in made:
            hint = nearest(name, made)
            yield Fault(config, f"models.{model}: there is no InferenceObjective {name!r}", hint)
    for name, document in made.items():
        if name not in asked:
            yield Fault(document, "no request has this objective", nearest(name, asked))
        pool = dig(document.object, "spec", "poolRef", "name") or ""
        if rendering.find("InferencePool", pool) is None:
            pools = (each.object["metadata"]["name"] for each in rendering.of_kind("InferencePool"))
            yield Fault(document, f"there is no InferencePool {pool!r}", nearest(pool, pools))
    if made:
        yield from ungated(rendering)


def asked_for(gateway: Mapping[str, Any]) -> dict[str, str]:
    """Objectives that the gateway names, each with its model."""
    models = gateway["models"].items()
    return {name: model for model, table in models for name in (table.get("objectives") or {}).values()}


def ungated(rendering: Rendering) -> Iterator[Fault]:
    """Pickers that look at priorities only to refuse requests."""
    for document in rendering.of_kind("ConfigMap"):
        for text in (document.object.get("data") or {}).values():
            if "kind: EndpointPickerConfig" not in text:
                continue
            config = YAML(typ="safe", pure=True).load(text)
            if GATE not in (config.get("featureGates") or ()):
                message = "the picker would refuse requests of low priority, and make none of them wait"
                yield Fault(document, message, f"featureGates: [{GATE}]")
