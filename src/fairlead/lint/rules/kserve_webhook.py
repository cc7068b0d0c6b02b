"""What KServe's validating webhook refuses, before anybody has to apply it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder, hit, value_hit
from fairlead.lint.quantity import amount
from fairlead.lint.rule import Check
from fairlead.lint.rules.kserve import AUTOSCALER, LEGACY_MODES, MODE
from fairlead.lint.tree import Document, Map, as_map, dig, maps

NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
AUTOSCALERS = ("hpa", "external", "keda", "none")
MODES = ("Standard", "Knative", *LEGACY_MODES)
COMPONENTS = ("predictor", "transformer", "explainer")
FRAMEWORKS = (
    "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle",
    "model",
)  # fmt: skip
PARALLEL = ("TENSOR_PARALLEL_SIZE", "PIPELINE_PARALLEL_SIZE")


def bad_service(folder: Folder) -> Iterator[Hit]:
    """KSV-01: a name, an autoscaler or a mode that KServe does not take."""
    for document in _services(folder):
        metadata = as_map(document.root.get("metadata"))
        name, annotations = metadata.get("name"), as_map(metadata.get("annotations"))
        if isinstance(name, str) and "{" not in name and "$" not in name and not NAME.match(name):
            yield value_hit(document, metadata, "name", f"{name!r}: a-z first, then a-z, 0-9 and -")
        if AUTOSCALER in annotations and annotations[AUTOSCALER] not in AUTOSCALERS:
            message = f"autoscaler class {annotations[AUTOSCALER]!r}; there are {', '.join(AUTOSCALERS)}"
            yield value_hit(document, annotations, AUTOSCALER, message)
        if MODE in annotations and annotations[MODE] not in (*MODES, "ModelMesh"):
            yield value_hit(document, annotations, MODE, f"deployment mode {annotations[MODE]!r}: Standard or Knative")


def keda_scale_metric(folder: Folder) -> Iterator[Hit]:
    """KSV-02: scaleMetric beside KEDA."""
    for document, component in _components(folder):
        if _annotations(document).get(AUTOSCALER) == "keda" and "scaleMetric" in component:
            yield hit(document, component, "scaleMetric", "scaleMetric is refused with KEDA: use autoScaling.metrics")


def strategy_without_standard(folder: Folder) -> Iterator[Hit]:
    """KSV-03: a deployment strategy in Knative's mode."""
    for document, component in _components(folder):
        mode = _annotations(document).get(MODE)
        if "deploymentStrategy" in component and mode in ("Knative", "Serverless"):
            message = "deploymentStrategy is taken in Standard mode only"
            yield hit(document, component, "deploymentStrategy", message)


def replicas_reversed(folder: Folder) -> Iterator[Hit]:
    """KSV-04: minReplicas above maxReplicas, or concurrency below zero."""
    for document, component in _components(folder):
        low, high = amount(component.get("minReplicas")), amount(component.get("maxReplicas"))
        if low is not None and high and low > high:
            yield hit(document, component, "minReplicas", f"minReplicas {low:g} is above maxReplicas {high:g}")
        if (amount(component.get("containerConcurrency")) or 0) < 0:
            yield hit(document, component, "containerConcurrency", "containerConcurrency is below 0")


def one_implementation(folder: Folder) -> Iterator[Hit]:
    """KSV-05: more than one framework in a predictor, or a container's `name` inside one."""
    for document in _services(folder):
        predictor = as_map(dig(document.root, "spec", "predictor"))
        present = [name for name in FRAMEWORKS if name in predictor]
        if len(present) > 1:
            yield hit(document, predictor, present[1], f"exactly one of a predictor: {' and '.join(present)}")
        for name in present:
            inner = as_map(predictor[name])
            if inner.get("name"):
                yield hit(document, inner, "name", "`name` is not allowed in a standard predictor")


def worker_spec(folder: Folder) -> Iterator[Hit]:
    """KSV-06: several nodes (workerSpec) with what that mode does not take."""
    for document in _services(folder):
        predictor = as_map(dig(document.root, "spec", "predictor"))
        model = as_map(predictor.get("model"))
        if "workerSpec" not in predictor or not model:
            continue
        for entry in maps(model.get("env")):
            if entry.get("name") in PARALLEL:
                yield hit(document, entry, "name", f"{entry['name']} belongs into workerSpec, not into env")
        uri = model.get("storageUri")
        if isinstance(uri, str) and not uri.startswith(("pvc://", "oci://")):
            yield value_hit(document, model, "storageUri", "several nodes take a model from pvc:// or oci:// only")
        if _annotations(document).get(AUTOSCALER) != "none":
            yield hit(document, predictor, "workerSpec", f"several nodes need the annotation {AUTOSCALER}: none")


def _services(folder: Folder) -> Iterator[Document]:
    for document in folder.objects("InferenceService"):
        if document.root.get("apiVersion") == "serving.kserve.io/v1beta1":
            yield document


def _components(folder: Folder) -> Iterator[tuple[Document, Map]]:
    for document in _services(folder):
        spec = as_map(document.root.get("spec"))
        yield from ((document, spec[name]) for name in COMPONENTS if isinstance(spec.get(name), Map))


def _annotations(document: Document) -> Map:
    return as_map(dig(document.root, "metadata", "annotations"))


CHECKS: Mapping[str, Check] = {
    "KSV-01": bad_service,
    "KSV-02": keda_scale_metric,
    "KSV-03": strategy_without_standard,
    "KSV-04": replicas_reversed,
    "KSV-05": one_implementation,
    "KSV-06": worker_spec,
}
