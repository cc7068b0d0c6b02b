"""KServe: names that moved, modes and metrics that its webhook refuses, templates that never resolve."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.lint.finding import Edit, Hit
from fairlead.lint.folder import Folder, hit
from fairlead.lint.rule import Check
from fairlead.lint.tree import Document, Map, Seq, Text, as_map, dig, walk

MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER = "serving.kserve.io/autoscalerClass"
TEMPLATE = re.compile(r"\{\{-?\s*(\.[A-Za-z.]+)[^}]*\}\}")
RESOLVED = re.compile(r"\.(Name|Namespace|Annotations|Labels|ObjectMeta|UID|Generation)\b")
LEGACY_MODES = {"RawDeployment": "Standard", "Serverless": "Knative"}
HPA_METRICS = {"cpu", "memory"}
COMPONENTS = ("predictor", "transformer", "explainer")


def moved_group(folder: Folder) -> Iterator[Hit]:
    """D-06: the API group of before 2021."""
    for document, holder, key in folder.having("apiVersion"):
        version = holder[key]
        if isinstance(version, str) and version.startswith("serving.kubeflow.org/"):
            new = "serving.kserve.io/" + version.partition("/")[2]
            place = holder.values_at[key]
            yield Hit(
                document.file,
                place.line,
                place.column,
                f"{version} is not served: the group is serving.kserve.io since KServe 0.7",
                edit=Edit(place.line, place.column, version, new),
            )


def legacy_mode(folder: Folder) -> Iterator[Hit]:
    """D-08: the old names of the deployment modes."""
    for document, holder, key in folder.having(MODE, "defaultDeploymentMode"):
        mode = holder[key]
        if mode in LEGACY_MODES:
            place = holder.values_at[key]
            yield Hit(
                document.file,
                place.line,
                place.column,
                f"deployment mode {mode} is the deprecated name of {LEGACY_MODES[mode]}",
                edit=Edit(place.line, place.column, mode, LEGACY_MODES[mode]),
            )


def unresolved_templates(folder: Folder) -> Iterator[Hit]:
    """D-09: placeholders of a runtime that KServe does not fill: it knows the service's metadata only."""
    for document in folder.objects("ClusterServingRuntime", "ServingRuntime"):
        for node in walk(document.root.get("spec")):
            for key, value in _strings(node):
                for line, match in _placeholders(node, key, value):
                    if not RESOLVED.match(match[1]):
                        place = node.values_at.get(str(key), node.at) if isinstance(node, Map) else node.place(key)
                        column = place.column if line == place.line else 1
                        yield Hit(document.file, line, column, f"{match[0]} never resolves")


def hpa_metric(folder: Folder) -> Iterator[Hit]:
    """D-14: a metric that the HPA class does not know, in the mode without Knative."""
    for document in folder.objects("InferenceService"):
        annotations = as_map(dig(document.root, "metadata", "annotations"))
        standard = annotations.get(MODE) in ("Standard", "RawDeployment")
        if not standard or annotations.get(AUTOSCALER, "hpa") != "hpa":
            continue
        for component in _components(document):
            metric = component.get("scaleMetric")
            if metric is not None and metric not in HPA_METRICS:
                yield hit(document, component, "scaleMetric", f"the HPA cannot scale on {metric}: cpu or memory only")


def triton_fields(folder: Folder) -> Iterator[Hit]:
    """D-15: settings of Triton that nothing reads."""
    for variable in folder.variables:
        if variable.name == "TRITON_CACHE_CONFIG":
            yield hit(variable.document, variable.holder, variable.key, "Triton reads no variable TRITON_CACHE_CONFIG")
    for document, holder, key in folder.having("triton"):
        inner = holder[key]
        if isinstance(inner, Map) and "containerConcurrency" in inner:
            message = "`containerConcurrency` belongs to the component (spec.predictor), not into `triton`"
            yield hit(document, inner, "containerConcurrency", message)


def _components(document: Document) -> Iterator[Map]:
    spec = as_map(document.root.get("spec"))
    yield from (spec[name] for name in COMPONENTS if isinstance(spec.get(name), Map))


def _strings(node: Map | Seq) -> Iterator[tuple[Any, str]]:
    pairs = node.items() if isinstance(node, Map) else enumerate(node)
    yield from ((key, value) for key, value in pairs if isinstance(value, str) and "{{" in value)


def _placeholders(node: Map | Seq, key: Any, value: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Each placeholder with the line on which it stands."""
    start = value.first_line if isinstance(value, Text) else None
    if start is None:
        start = node.values_at[key].line if isinstance(node, Map) else node.place(key).line
    for offset, line in enumerate(value.split("\n")):
        yield from ((start + offset, match) for match in TEMPLATE.finditer(line))


CHECKS: Mapping[str, Check] = {
    "D-06": moved_group,
    "D-08": legacy_mode,
    "D-09": unresolved_templates,
    "D-14": hpa_metric,
    "D-15": triton_fields,
}
