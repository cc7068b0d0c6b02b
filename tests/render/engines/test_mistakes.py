"""Planted mistakes in what the engine targets make: each is caught by our own check, before an operator sees it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fnmatch import fnmatch
from functools import cache
from typing import Any

import pytest

from fairlead.render.build import Build
from fairlead.render.checks.registry import problems
from fairlead.render.files import Document, Files
from fairlead.render.targets import rendered

from ..plans import SERVICE, built

Plant = Callable[[Any], None]
REDIS = '  ray: {redis: "redis.data.svc:6379"'
TEXTS = {
    "kuberay": SERVICE.replace(REDIS, REDIS + ", gateway_class: istio"),
    "llm-d": SERVICE + "  disaggregate: {llama-8b: {prefill: 1}}\n",
    "kserve llm": SERVICE + "  kserve: {kind: LLMInferenceService}\n  disaggregate: {llama-8b: {prefill: 1}}\n",
}


@cache
def good(target: str) -> tuple[Build, Files]:
    """A rendering in which nothing is wrong; the small plan's pools are too small for all that it may become."""
    build = built(TEXTS.get(target, SERVICE), target.partition(" ")[0])
    return build, rendered(build)


def found(target: str, title: str = "", plant: Plant | None = None) -> set[str]:
    """The names of the engine checks that have something against it, with `plant` done to the document `title`."""
    build, files = good(target)
    documents = [Document(each.path, copy.deepcopy(each.object)) for each in files.documents]
    if plant is not None:
        [document] = [each for each in documents if fnmatch(each.title, title)]
        plant(document.object)
    told = [problem.message for problem in problems(build, Files(tuple(documents), files.whole))]
    return {message.rpartition("[")[2].rstrip("]") for message in told} & ENGINE_CHECKS


def at(item: Any, path: str) -> Any:
    """What stands at a dotted path."""
    for step in path.split("."):
        item = item[int(step)] if step.isdigit() else item[step]
    return item


def put(path: str, key: str, value: object) -> Plant:
    """Set a key below a path."""

    def plant(item: Any) -> None:
        at(item, path)[key] = value

    return plant


def word(path: str, old: str, new: str) -> Plant:
    """Another word for one of a command line, or of a text."""

    def plant(item: Any) -> None:
        parent, _, key = path.rpartition(".")
        value = at(item, path)
        changed = [each.replace(old, new) for each in value] if isinstance(value, list) else value.replace(old, new)
        assert changed != value
        at(item, parent)[key] = changed

    return plant


def no_gate(item: Any) -> None:
    """Priorities without queues."""
    item["data"]["picker.yaml"] = item["data"]["picker.yaml"].replace("- flowControl", "- other")


def another_plugin(item: Any) -> None:
    """A scorer of another name."""
    text = item["data"]["picker.yaml"]
    item["data"]["picker.yaml"] = text.replace("pluginRef: queue-scorer", "pluginRef: least-queue-scorer")


def scaled_by_requests(item: Any) -> None:
    """An HPA, and a metric that it does not know."""
    item["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] = "hpa"
    item["spec"]["predictor"]["scaleMetric"] = "concurrency"


ENGINE = "spec.template.spec.containers.0"
CLUSTER = "spec.rayClusterConfig"
WORKER = f"{CLUSTER}.workerGroupSpecs.1"
SERVE = "spec.serveConfigV2"
HEAD = f"{CLUSTER}.headGroupSpec.template.spec.containers.0"
STEPS = "spec.upgradeStrategy.clusterUpgradeOptions"
MODEL = "spec.predictor.model"
NOTES = "metadata.annotations"
MODE, SCALER = "serving.kserve.io/deploymentMode", "serving.kserve.io/autoscalerClass"
ENGINE_POD = "spec.template.containers.0"
PICKER = "spec.endpointPickerRef"
OTHER_KEY = "target_num_ongoing_requests_per_replica"  # Ray's old name for target_ongoing_requests
LOADED = '{"tensor_parallel_size": 4, "max_model_len": 8192}'
CACHED = 'backend: "vllm"\nresponse_cache { enable: true }\n'
PROBE = {"exec": {"command": ["true"]}}
BRACES = ["--max-model-len={{.MaxModelLen}}"]
VARIABLES = [{"name": "RAY_REDIS_ADDRESS", "value": "redis:6379"}]
Place = tuple[str, str, str]  # target, check, Kind/name

PLANTS: dict[Place, dict[str, Plant]] = {
    ("vllm", "gpu-workers", "Deployment/chat-llama-8b"): {
        "more workers than GPUs": word(f"{ENGINE}.args", "parallel-size=1", "parallel-size=2"),
    },
    ("vllm", "engine-port", "Deployment/chat-llama-8b"): {
        "another port": word(f"{ENGINE}.args", "--port=8000", "--port=8080"),
    },
    ("vllm", "served-name", "Deployment/chat-llama-8b"): {
        "a name nobody asks for": word(f"{ENGINE}.args", "name=llama-8b", "name=llama"),
        "a shorter context than is let in": word(f"{ENGINE}.args", "model-len=8192", "model-len=4096"),
    },
    ("vllm", "remote-code", "Deployment/chat-llama-8b"): {
        "code beside the weights": word(f"{ENGINE}.args", "--port", "--trust-remote-code --port"),
    },
    ("triton", "gpu-workers", "ConfigMap/chat-llama-8b-repository-*"): {
        "more workers than GPUs": put("data", "model.json", LOADED),
    },
    ("triton", "triton", "ConfigMap/chat-llama-8b-repository-*"): {
        "the response cache": put("data", "config.pbtxt", CACHED),
    },
    ("kuberay", "served-name", "RayService/chat-ray"): {
        "a name nobody asks for": word(SERVE, "model_id: llama-8b", "model_id: llama"),
    },
    ("kuberay", "kuberay", "RayService/chat-ray"): {
        "a key that Ray ignores": word(SERVE, "target_ongoing_requests", OTHER_KEY),
        "a resource that no group has": word(SERVE, "l4: 0.001", "h100: 0.001"),
        "too old for a token": put(CLUSTER, "rayVersion", "2.50.0"),
        "steps without an autoscaler": put(CLUSTER, "enableInTreeAutoscaling", False),
        "steps of nothing": put(STEPS, "stepSizePercent", 0),
        "steps without a Gateway": put(STEPS, "gatewayClassName", ""),
        "resources counted twice": put(f"{WORKER}.rayStartParams", "num-gpus", "1"),
        "a pod that is restarted": put(f"{WORKER}.template.spec", "restartPolicy", "Always"),
        "a probe of one's own": put(f"{WORKER}.template.spec.containers.0", "livenessProbe", PROBE),
        "an object store beyond the memory": put(f"{WORKER}.rayStartParams", "object-store-memory", str(80 * 2**30)),
        "Redis by the head's environment": put(HEAD, "env", VARIABLES),
    },
    ("kserve", "kserve", "InferenceService/chat-llama-8b"): {
        "a mode that is gone": put(NOTES, MODE, "RawDeployment"),
        "an autoscaler that is none": put(NOTES, SCALER, "kpa"),
        "an HPA on requests": scaled_by_requests,
        "a strategy on Knative": put(NOTES, MODE, "Knative"),
        "a runtime that is not there": put(MODEL, "runtime", "kserve-vllm"),
        "a format that it does not serve": put(f"{MODEL}.modelFormat", "name", "huggingface"),
        "a container with a name": put(MODEL, "name", "vllm"),
    },
    ("kserve", "kserve", "ClusterServingRuntime/*"): {
        "braces in a runtime": put("spec.containers.0", "args", BRACES),
    },
    ("kserve", "gpu-workers", "InferenceService/chat-llama-8b"): {
        "fewer GPUs than workers": word(f"{MODEL}.args", "parallel-size=1", "parallel-size=4"),
    },
    ("llm-d", "llm-d", "InferencePool/chat-llama-8b"): {
        "a pool without pods": put("spec.selector.matchLabels", "fairlead.dev/model", "other"),
        "a picker that is not there": put(PICKER, "name", "chat-llama-8b-picker"),
        "a port where nobody picks": put(PICKER, "port", {"number": 9003}),
    },
    ("llm-d", "llm-d", "ConfigMap/chat-llama-8b-epp"): {
        "a plugin that is not started": another_plugin,
    },
    ("kserve llm", "llm-inference-service", "LLMInferenceService/chat-llama-8b"): {
        "a Gateway that is not there": put("spec.router.gateway.refs.0", "name", "chat-public"),
        "a route that is not there": put("spec.router.route.http.refs.0", "name", "chat"),
        "a pool that is not there": put("spec.router.scheduler.pool.ref", "name", "chat-llama-8b-inference-pool"),
        "a container by another name": put(ENGINE_POD, "name", "engine"),
        "a second sidecar, the preset's": put("spec.template.initContainers.1", "name", "routing-proxy"),
        "the preset's command": put(ENGINE_POD, "command", []),
        "a probe over the preset's TLS": put(f"{ENGINE_POD}.readinessProbe.httpGet", "scheme", None),
        "a second handler for one end": put(f"{ENGINE_POD}.lifecycle.preStop", "sleep", {"seconds": 5}),
    },
    ("kserve llm", "engine-port", "LLMInferenceService/chat-llama-8b"): {
        "an engine at another port": word(f"{ENGINE_POD}.args", "--port=8200", "--port=8000"),
    },
    ("llm-d", "objective", "InferenceObjective/chat-llama-8b-batch"): {
        "an objective by another name": put("metadata", "name", "chat-llama-8b-slow"),
        "an objective of no pool": put("spec.poolRef", "name", "chat-llama"),
    },
    ("llm-d", "objective", "ConfigMap/chat-llama-8b-epp"): {
        "a picker that does not queue": no_gate,
    },
    ("llm-d", "engine-port", "Deployment/chat-llama-8b"): {
        "decode at its sidecar's port": word(f"{ENGINE}.args", "--port=8200", "--port=8000"),
    },
}
MISTAKES = {
    f"{target}: {label}": (target, check, title, plant)
    for (target, check, title), plants in PLANTS.items()
    for label, plant in plants.items()
}
ENGINE_CHECKS = {
    "gpu-workers", "engine-port", "served-name", "remote-code", "kuberay", "kserve", "llm-d",
    "llm-inference-service", "objective", "triton",
}  # fmt: skip


@pytest.mark.parametrize("target", ["vllm", "kuberay", "kserve", "kserve llm", "llm-d", "triton"])
def test_nothing_is_found_where_nothing_was_planted(target: str) -> None:
    assert found(target) == set()


@pytest.mark.parametrize(("target", "check", "title", "plant"), MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mistake_is_caught(target: str, check: str, title: str, plant: Plant) -> None:
    assert check in found(target, title, plant)


def test_every_check_of_the_engines_has_a_mistake() -> None:
    assert {check for _, check, _, _ in MISTAKES.values()} == ENGINE_CHECKS
