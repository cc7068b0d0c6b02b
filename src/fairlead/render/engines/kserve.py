"""KServe: one pinned runtime, and an InferenceService for each model: on Knative where it sleeps, else on a Deployment.

Where `deploy.kserve.kind` says so, LLMInferenceServices instead: `llm_inference_service.py`.

Sources: KServe 0.20 (pkg/apis/serving/v1beta1, its validating webhook, and docs/model-serving).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.render import kube, names, pods
from fairlead.render.build import Build, Object, Part
from fairlead.render.cluster import Scaled, Upstream
from fairlead.render.engines import inference_gateway, llm_inference_service, llmd, pod, room, weights
from fairlead.render.engines.images import image
from fairlead.render.engines.settings import flags, settings
from fairlead.render.engines.site import CLOSE_AFTER_S, Site, file_of, sites
from fairlead.render.engines.vllm import strategy
from fairlead.render.flows import TCP, Elsewhere, Flow, Pods
from fairlead.render.platform import gateway
from fairlead.render.platform.scaling import schedules_of
from fairlead.spec.types import Spec

RUNTIME_FILE = "manifests/runtime.yaml"
CONTAINER = "kserve-container"
FORMAT = "vLLM"
MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER = "serving.kserve.io/autoscalerClass"
SERVICE_PORT = 80
PORT = "http1"  # the only name for plain HTTP that Knative takes
KSERVE_MOUNT = "/mnt/models"
QUEUE_PORTS = ((TCP, 8012), (TCP, 8013), (TCP, 9090))
"""Of Knative's proxy in each pod: requests in HTTP/1 and 2, and its metrics (knative.dev/docs, queue-proxy)."""


def kserve(build: Build) -> Iterator[Part]:
    """Account, runtime, and every placed model."""
    if pods.by_llm_inference_service(build):
        yield from llm_inference_service.llm_inference_services(build)
        return
    yield RUNTIME_FILE, account(build)
    yield RUNTIME_FILE, runtime(build)
    for site in sites(build):
        meta = site.metadata(annotations=mode(site))
        spec = {"predictor": predictor(site), **transformer(site)}
        yield file_of(site), kube.thing("serving.kserve.io/v1beta1", "InferenceService", meta, spec=spec)


def upstream(spec: Spec, model: str) -> Upstream:
    """The predictor's own Service, or the pool's Gateway; who may use it has been decided in our gateway."""
    if is_llm(spec):
        return inference_gateway.upstream(spec, model)
    return Upstream(service=f"{names.engine(spec, model)}-predictor", port=SERVICE_PORT)


def scaled(build: Build, model: str) -> Scaled | None:
    """The Deployment that KServe makes; Knative scales by itself."""
    spec = build.spec
    if is_llm(spec):
        return llm_inference_service.scaled(build, model)
    return None if sleeps(spec, model) else Scaled(kind="Deployment", name=f"{names.engine(spec, model)}-predictor")


def is_llm(spec: Spec) -> bool:
    """Whether the file asks for LLMInferenceServices."""
    return spec.deploy is not None and spec.deploy.kserve.kind == llm_inference_service.KIND


def sleeps(spec: Spec, model: str) -> bool:
    """Whether a request wakes it: Knative holds that request, where KEDA could only tell from those that failed."""
    if is_llm(spec):
        return False
    bounds = getattr(spec.models[model], "autoscaling", None)
    return bounds is not None and bounds.min == 0 and not schedules_of(spec, model)


def account(build: Build) -> Object:
    """The engines' ServiceAccount. For models that sleep KServe fetches the weights, with the token it finds here."""
    meta = kube.metadata(build.spec, names.engine_account(build.spec), names.ENGINE, origin="models")
    fetched = [site for site in sites(build) if sleeps(site.spec, site.served) and weights.is_hub(site.model.source)]
    secrets = [{"name": names.hub_secret(build.spec)}] if fetched else None
    return kube.some(**kube.service_account(meta), secrets=secrets)


def runtime(build: Build) -> Object:
    """What all models share. A runtime of our own: KServe's changes its vLLM with KServe.

    Its texts go through Go's templates, so none of them may hold two braces.
    """
    name = names.runtime(build.spec)
    meta = kube.metadata(build.spec, name, names.ENGINE, origin="models", namespaced=False)
    container = kube.container(
        CONTAINER,
        image(build.spec, "vllm"),
        command=["vllm", "serve"],
        args=[f"--port={names.ENGINE_PORT}", "--enable-prompt-tokens-details", "--disable-uvicorn-access-log"],
        env=[*pod.variables()],
        ports={PORT: names.ENGINE_PORT},
    )
    spec = {
        "annotations": {"prometheus.kserve.io/port": str(names.ENGINE_PORT), "prometheus.kserve.io/path": "/metrics"},
        "supportedModelFormats": [{"name": FORMAT, "version": "1", "autoSelect": False}],
        "protocolVersions": ["v1", "v2"],
        "containers": [container],
    }
    return kube.thing("serving.kserve.io/v1alpha1", "ClusterServingRuntime", meta, spec=spec)


def mode(site: Site) -> dict[str, str]:
    """The mode is said outright: it cannot be changed later, and its default is the operator's."""
    if sleeps(site.spec, site.served):
        # Knative gives up a revision that is not ready by then: the files arrive, and the engine starts
        return {MODE: "Knative", "serving.knative.dev/progress-deadline": f"{pod.progress_deadline_s(site)}s"}
    return {MODE: "Standard", AUTOSCALER: "external" if site.scales else "none"}


def predictor(site: Site) -> Object:
    """The engine's pods."""
    return asleep(site) if sleeps(site.spec, site.served) else awake(site)


def awake(site: Site) -> Object:
    """The pod that plain vLLM runs, on a Deployment that KServe makes."""
    fields = {name: value for name, value in pod.pod(site, ()).items() if name != "containers"}
    return {
        **fields,
        "labels": names.labels(site.spec, names.ENGINE, site.served),
        "minReplicas": site.placement.minimum or 1,
        "maxReplicas": site.placement.maximum,
        "timeout": int(site.spec.gateway.timeout),
        "deploymentStrategy": strategy(site),
        "model": {
            **model(site, weights.folder(site), mounts=[*pod.mounts()]),
            "lifecycle": {"preStop": {"sleep": {"seconds": CLOSE_AFTER_S}}},
        },
    }


def asleep(site: Site) -> Object:
    """Knative takes fewer fields of a pod than Kubernetes does: KServe fetches the model, and says where it stands."""
    own = [mount for mount in pod.mounts() if mount["name"] != weights.VOLUME]
    container = model(site, KSERVE_MOUNT, mounts=own)
    quiet = {**kube.container_security(), "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "serviceAccountName": names.engine_account(site.spec),
        "enableServiceLinks": False,
        **kube.placed(site.pool),
        "labels": names.labels(site.spec, names.ENGINE, site.served),
        "minReplicas": 0,
        "maxReplicas": site.placement.maximum,
        "scaleMetric": "concurrency",
        "scaleTarget": max(1, round(site.placement.ongoing)),
        "timeout": int(site.spec.gateway.timeout),
        "model": {
            **container,
            "storageUri": llm_inference_service.storage_uri(site.model.source),
            "securityContext": quiet,
        },
        "volumes": [volume for volume in pod.volumes(site) if volume["name"] != weights.VOLUME],
    }


def model(site: Site, folder: str, *, mounts: list[Object]) -> Object:
    """What this model adds to the runtime."""
    args = [folder, f"--served-model-name={site.served}", *flags(settings(site)), f"--shutdown-timeout={site.drain_s}"]
    return {
        "modelFormat": {"name": FORMAT},
        "runtime": names.runtime(site.spec),
        "args": args,
        "resources": room.resources(site),
        "volumeMounts": mounts,
        **pod.probes(site, port=names.ENGINE_PORT),
    }


def transformer(site: Site) -> dict[str, Any]:
    """The gateway once more, before this model, with the same policy: for callers who come by KServe's own URL."""
    deploy = site.spec.deploy
    if deploy is None or not deploy.kserve.transformer:
        return {}
    own = gateway.pod(site.build)
    [container] = own.pop("containers")
    mine = {**own, "containers": [{**container, "name": CONTAINER}]}
    labels = names.labels(site.spec, names.GATEWAY)
    return {"transformer": {**mine, "labels": labels, "minReplicas": 1, "maxReplicas": site.spec.gateway.replicas}}


def flows(build: Build) -> Iterator[Flow]:
    """What Knative needs for models that sleep; LLMInferenceServices need what llm-d does."""
    deploy = build.spec.deploy
    assert deploy is not None
    if is_llm(build.spec):
        yield from llmd.flows(build)
        return
    if not any(sleeps(build.spec, site.served) for site in sites(build)):
        return
    serving, ingress = Elsewhere("knative-serving"), Elsewhere(deploy.kserve.ingress_namespace)
    yield Flow("wake", Pods(names.GATEWAY), ingress, ((TCP, 80), (TCP, 8081)), "requests, by way of Knative's gateway")
    yield Flow("activator", serving, Pods(names.ENGINE), QUEUE_PORTS, "Knative holds requests and counts them")
    yield Flow("awake", ingress, Pods(names.ENGINE), QUEUE_PORTS, "requests of models that are awake")
