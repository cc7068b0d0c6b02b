"""What operators refuse, or take in silence and leave undone, and no schema says.

Sources: KubeRay 1.7 controllers/ray/utils/validation.go; KServe 0.20 pkg/apis/serving/v1beta1,
inference_service_validation.go; llm-d-router 0.10; Triton 26.07 docs/user_guide/response_cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

from fairlead.render import names
from fairlead.render.build import Object
from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.engines.llm_inference_service import SIDECAR
from fairlead.render.engines.ray_jobs import CLUSTER_FILE
from fairlead.render.serve_keys import unknown_keys
from fairlead.units import format_bytes, parse_bytes

OWN_REDIS = frozenset(("RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME"))
COUNTED = frozenset(("num-cpus", "num-gpus", "memory", "resources"))
MODES = frozenset(("Standard", "Knative"))
AUTOSCALERS = frozenset(("hpa", "keda", "external", "none"))
OBJECT_STORE_PART = 0.4  # with more than that engines and Ray's own processes are killed for memory
PROBES = frozenset(("livenessProbe", "readinessProbe", "startupProbe"))


def kuberay(rendering: Rendering) -> Iterator[Fault]:
    """A RayService that KubeRay takes, and whose Serve configuration Ray takes key by key."""
    for document in rendering.of_kind("RayService"):
        spec = document.object["spec"]
        cluster = spec["rayClusterConfig"]
        for message in (*_cluster(cluster), *_upgrade(spec, cluster), *_serve(spec, cluster)):
            yield Fault(document, message)
    for document in rendering.of_kind("RayJob", "RayCronJob"):
        spec = document.object["spec"]
        cluster = spec.get("jobTemplate", spec)["rayClusterSpec"]
        for message in (*_cluster(cluster), *_served(_cluster_file(rendering, cluster), cluster, CLUSTER_FILE)):
            yield Fault(document, message)


def _cluster_file(rendering: Rendering, cluster: Object) -> Object:
    """The Serve configuration that the command deploys."""
    for volume in listed(cluster, "headGroupSpec", "template", "spec", "volumes"):
        config = rendering.find("ConfigMap", dig(volume, "configMap", "name") or "")
        if config and CLUSTER_FILE in (config.object.get("data") or {}):
            return dict(json.loads(config.object["data"][CLUSTER_FILE])["config"])
    return {}


def _cluster(cluster: Object) -> Iterator[str]:
    version = tuple(int(part) for part in re.findall(r"\d+", str(cluster.get("rayVersion", "")))[:2])
    if dig(cluster, "authOptions", "mode") == "token" and version < (2, 52):
        yield "token authentication needs rayVersion 2.52 or later"
    head = cluster["headGroupSpec"]
    given = {each.get("name") for each in listed(head, "template", "spec", "containers", 0, "env")} & OWN_REDIS
    if given:
        yield f"{', '.join(sorted(given))} of the head belongs into gcsFaultToleranceOptions"
    for group in (head, *listed(cluster, "workerGroupSpecs")):
        name = group.get("groupName", "head")
        if group.get("resources") and COUNTED & group.get("rayStartParams", {}).keys():
            yield f"group {name} counts resources in rayStartParams and in resources: KubeRay takes one of them"
        policy = dig(group, "template", "spec", "restartPolicy")
        if dig(cluster, "autoscalerOptions", "version") == "v2" and policy not in {None, "Never"}:
            yield f"group {name}: with the autoscaler v2 a pod is never restarted, restartPolicy says {policy}"
        for container in listed(group, "template", "spec", "containers"):
            places = {each.get("mountPath") for each in listed(container, "volumeMounts")}
            if PROBES & container.keys() or names.SHM_MOUNT in places:
                yield f"group {name}: KubeRay makes probes and /dev/shm itself"
        yield from _object_store(group, name)


def _object_store(group: Object, name: str) -> Iterator[str]:
    size = int(dig(group, "rayStartParams", "object-store-memory") or 0)
    memory = dig(group, "template", "spec", "containers", 0, "resources", "limits", "memory")
    if memory and size > OBJECT_STORE_PART * parse_bytes(memory):
        yield f"group {name}: an object store of {format_bytes(size)} counts as memory, of which there is {memory}"


def _upgrade(spec: Object, cluster: Object) -> Iterator[str]:
    if dig(spec, "upgradeStrategy", "type") != "NewClusterWithIncrementalUpgrade":
        return
    options = dig(spec, "upgradeStrategy", "clusterUpgradeOptions") or {}
    if not cluster.get("enableInTreeAutoscaling"):
        yield "an upgrade by steps needs Ray's autoscaler"
    if not options.get("gatewayClassName"):
        yield "an upgrade by steps needs a gatewayClassName"
    shares = [options.get(key, 0) for key in ("maxSurgePercent", "stepSizePercent")]
    if not all(0 < share <= 100 for share in shares) or options.get("intervalSeconds", 0) <= 0:
        yield "an upgrade by steps needs percents from 1 to 100 and an interval"


def _serve(spec: Object, cluster: Object) -> Iterator[str]:
    yield from _served(YAML(typ="safe", pure=True).load(spec["serveConfigV2"]), cluster, "serveConfigV2")


def _served(config: Object, cluster: Object, where: str) -> Iterator[str]:
    """Keys that Ray would ignore, and replicas that no worker has room for."""
    yield from (f"{where} {path}: {message}" for path, message in unknown_keys(config))
    offers = [group.get("resources", {}) for group in listed(cluster, "workerGroupSpecs")]
    for application in listed(config, "applications"):
        for model in listed(application, "args", "llm_configs"):
            name = dig(model, "model_loading_config", "model_id")
            for bundle in listed(model, "placement_group_config", "bundles"):
                if not any(_fits(bundle, offer) for offer in offers):
                    yield f"no worker group has what a replica of {name} asks for: {bundle}"


def _fits(bundle: Object, offer: Object) -> bool:
    return all(float(offer.get(key, 0)) >= amount for key, amount in bundle.items())


def kserve(rendering: Rendering) -> Iterator[Fault]:
    """InferenceServices that KServe takes, on a runtime that is there."""
    for document in rendering.of_kind("InferenceService"):
        for message in _inference_service(rendering, document.object):
            yield Fault(document, message)
    for document in rendering.of_kind("ClusterServingRuntime", "ServingRuntime"):
        if any("{{" in text for text in _texts(document.object["spec"])):
            yield Fault(document, "KServe reads {{ as a template, and puts nothing there that we say")


def _inference_service(rendering: Rendering, item: Object) -> Iterator[str]:
    annotations = item["metadata"].get("annotations", {})
    mode, scaler = (annotations.get(f"serving.kserve.io/{key}", "") for key in ("deploymentMode", "autoscalerClass"))
    predictor = item["spec"]["predictor"]
    if mode not in MODES:
        yield f"deploymentMode is {mode!r}: Standard or Knative, said outright, since it cannot be changed later"
    if scaler and scaler not in AUTOSCALERS:
        yield f"autoscalerClass is {scaler!r}: one of {', '.join(sorted(AUTOSCALERS))}"
    if mode == "Knative" and "deploymentStrategy" in predictor:
        yield "Knative has no deploymentStrategy"
    if mode == "Standard" and scaler == "hpa" and predictor.get("scaleMetric", "cpu") not in {"cpu", "memory"}:
        yield f"an HPA knows cpu and memory, not {predictor['scaleMetric']}"
    model = predictor.get("model") or {}
    if "name" in model:
        yield "the container of a model has no name of its own"
    runtime = rendering.find("ClusterServingRuntime", model.get("runtime", ""))
    formats = listed(runtime.object, "spec", "supportedModelFormats") if runtime else []
    if dig(model, "modelFormat", "name") not in {each.get("name") for each in formats}:
        yield f"no runtime {model.get('runtime')!r} that is rendered serves {dig(model, 'modelFormat', 'name')!r}"


def llm_inference_service(rendering: Rendering) -> Iterator[Fault]:
    """LLMInferenceServices that point at what is there, and leave nothing to a preset that would contradict it."""
    for document in rendering.of_kind("LLMInferenceService"):
        spec = document.object["spec"]
        router = spec.get("router") or {}
        pointed = [("Gateway", dig(each, "name") or "") for each in listed(router, "gateway", "refs")]
        pointed += [("HTTPRoute", dig(each, "name") or "") for each in listed(router, "route", "http", "refs")]
        pool = dig(router, "scheduler", "pool", "ref", "name")
        pointed += [("InferencePool", pool)] if pool else []
        for kind, name in pointed:
            if rendering.find(kind, name) is None:
                yield Fault(document, f"there is no {kind} {name!r}", "its router refers to what is rendered")
        init = [each.get("name") for each in listed(spec, "template", "initContainers")]
        if spec.get("prefill") and SIDECAR not in init:
            yield Fault(document, f"no container is called {SIDECAR}: KServe would add its own before decode")
        for template in (spec.get("template"), dig(spec, "prefill", "template")):
            yield from (Fault(document, message) for message in _over_preset(template)) if template else ()


def _over_preset(template: Object) -> Iterator[str]:
    mains = [each for each in listed(template, "containers") if each.get("name") == "main"]
    if not mains:
        yield "no container is called main: KServe would add its own engine beside ours"
    for main in mains:
        if not main.get("command"):
            yield "without a command the container runs the preset's"
        for probe in sorted(PROBES & main.keys()):
            if dig(main, probe, "httpGet", "scheme") is None:
                yield f"{probe}: the preset asks over TLS where KServe has it on, and our engine speaks HTTP"
        if (dig(main, "lifecycle", "preStop") or {"exec": 1}).keys() != {"exec"}:
            yield "preStop: the preset has an exec there, and two handlers are refused"


def llmd(rendering: Rendering) -> Iterator[Fault]:
    """Pools have pods and a picker; a picker's configuration names only plugins that it starts."""
    pods = [workload.labels for workload in rendering.workloads]
    for document in rendering.of_kind("InferencePool"):
        wanted = dig(document.object, "spec", "selector", "matchLabels") or {}
        if not any(wanted.items() <= labels.items() for labels in pods):
            yield Fault(document, "no pod is in this pool", "the labels of the engines")
        reference = dig(document.object, "spec", "endpointPickerRef") or {}
        service = rendering.find("Service", reference.get("name", ""))
        ports = {port.get("port") for port in listed(service.object, "spec", "ports")} if service else set()
        if dig(reference, "port", "number") not in ports:
            yield Fault(document, f"no picker answers at {reference.get('name')}:{dig(reference, 'port', 'number')}")
    for document in rendering.of_kind("ConfigMap"):
        for text in (document.object.get("data") or {}).values():
            if "kind: EndpointPickerConfig" in text:
                yield from (Fault(document, message) for message in _plugins(YAML(typ="safe", pure=True).load(text)))


def _plugins(config: Object) -> Iterator[str]:
    known = {each.get("name", each["type"]) for each in listed(config, "plugins")}
    for profile in listed(config, "schedulingProfiles"):
        for reference in listed(profile, "plugins"):
            if reference["pluginRef"] not in known:
                yield f"profile {profile['name']} names a plugin that is not started: {reference['pluginRef']}"


def triton(rendering: Rendering) -> Iterator[Fault]:
    """Triton does not start a decoupled model, such as one of vLLM, with its response cache."""
    for document in rendering.of_kind("ConfigMap"):
        text = (document.object.get("data") or {}).get("config.pbtxt", "")
        if 'backend: "vllm"' in text and "response_cache" in text:
            yield Fault(document, "Triton's response cache refuses models of vLLM", "leave response_cache out")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(each)
