"""What becomes pods, whatever its kind: one table from kinds to where their pod templates and replica bounds stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.render.build import Object
from fairlead.render.files import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Equal pods of an object: between `minimum` and `maximum` of them. `at` is where their spec stands in it."""

    document: Document
    at: str
    labels: Mapping[str, str]
    pod: Object
    minimum: int
    maximum: int

    @property
    def title(self) -> str:
        """`Deployment/chat-gateway`; where an object has several kinds of pods, also where theirs stand in it."""
        return self.document.title if self.at == "spec.template.spec" else f"{self.document.title} {self.at}"

    @property
    def namespace(self) -> str:
        """Where its pods are."""
        return str(self.document.object["metadata"].get("namespace", "default"))

    @property
    def containers(self) -> list[Object]:
        """The containers that run side by side."""
        return list(self.pod.get("containers", ()))


LLM_LABELS = {
    "app.kubernetes.io/component": "llminferenceservice-workload",
    "app.kubernetes.io/part-of": "llminferenceservice",
    "kserve.io/component": "workload",
}
"""What KServe puts on the pods of an LLMInferenceService (KServe 0.20, workload_single_node.go)."""
Found = Iterator[tuple[str, Object, int, int]]  # at, template with metadata and spec, minimum, maximum


def workloads(documents: Iterable[Document]) -> Iterator[Workload]:
    """Every workload, its bounds those of the autoscaler that is rendered for it."""
    every = list(documents)
    scaled = dict(_scaled(every))
    for document in every:
        item = document.object
        reader = READERS.get(item.get("kind", ""))
        for at, template, least, most in reader(item) if reader else ():
            bounds = scaled.get(scaled_as(item, at), (least, most))
            labels = template.get("metadata", {}).get("labels") or {}
            pod = template.get("spec") or {}
            yield Workload(document=document, at=at, labels=labels, pod=pod, minimum=bounds[0], maximum=bounds[1])


def scaled_as(item: Object, at: str) -> tuple[str, str]:
    """Kind and name of what an autoscaler of these pods names; KServe makes a Deployment of an LLMInferenceService."""
    kind, name = item["kind"], item["metadata"]["name"]
    return ("Deployment", f"{name}-kserve") if (kind, at) == ("LLMInferenceService", "spec.template") else (kind, name)


def _template(item: Object) -> Found:
    replicas = item["spec"].get("replicas", 1)
    yield "spec.template.spec", item["spec"]["template"], replicas, replicas


def _job(item: Object) -> Found:
    yield "spec.template.spec", item["spec"]["template"], 0, item["spec"].get("parallelism", 1)


def _cron_job(item: Object) -> Found:
    job = item["spec"]["jobTemplate"]["spec"]
    yield "spec.jobTemplate.spec.template.spec", job["template"], 0, job.get("parallelism", 1)


def _ray(*path: str, lasting: bool = True) -> Callable[[Object], Found]:
    """Head and workers, of which there are none at times unless it is `lasting`; the operator adds its own labels."""

    def read(item: Object) -> Found:
        cluster: Any = item["spec"]
        for step in path:
            cluster = cluster.get(step) or {}
        at = ".".join(("spec", *path))
        head = cluster.get("headGroupSpec")
        if head:
            yield f"{at}.headGroupSpec.template.spec", head["template"], int(lasting), 1
        for index, group in enumerate(cluster.get("workerGroupSpecs") or ()):
            hosts = group.get("numOfHosts", 1)
            least = group.get("minReplicas", group.get("replicas", 0))
            most = group.get("maxReplicas", group.get("replicas", least))
            bounds = (least * hosts * lasting, most * hosts)
            yield f"{at}.workerGroupSpecs[{index}].template.spec", group["template"], *bounds

    return read


def _leader_worker(item: Object) -> Found:
    groups, parts = item["spec"].get("replicas", 1), item["spec"]["leaderWorkerTemplate"]
    leader, size = parts.get("leaderTemplate"), parts.get("size", 1)
    at = "spec.leaderWorkerTemplate"
    if leader:
        yield f"{at}.leaderTemplate.spec", leader, groups, groups
    workers = (size - 1 if leader else size) * groups
    yield f"{at}.workerTemplate.spec", parts["workerTemplate"], workers, workers


def _inference_service(item: Object) -> Found:
    """Predictor and transformer: a pod's spec with more fields; the model's container stands in `model`."""
    for part in ("predictor", "transformer"):
        spec = item["spec"].get(part)
        if spec:
            model = [{"name": "kserve-container", **spec["model"]}] if "model" in spec else []
            pod = {**spec, "containers": [*model, *spec.get("containers", ())]}
            labels = {**item["metadata"].get("labels", {}), **spec.get("labels", {})}
            least = spec.get("minReplicas", 1)
            yield f"spec.{part}", {"metadata": {"labels": labels}, "spec": pod}, least, spec.get("maxReplicas", least)


def _llm_inference_service(item: Object) -> Found:
    """Decode pods, the workers of a replica that spans nodes, and prefill pods: KServe's labels, and `labels`."""
    spec, own = item["spec"], {**LLM_LABELS, "app.kubernetes.io/name": item["metadata"]["name"]}
    for at, part in (("spec", spec), ("spec.prefill", spec.get("prefill") or {})):
        replicas = part.get("replicas", 1)
        bounds = part.get("scaling") or {}
        least, most = bounds.get("minReplicas", replicas), bounds.get("maxReplicas", replicas)
        for name in ("template", "worker"):
            if part.get(name):
                labels = {**own, **part.get("labels", {})}
                yield f"{at}.{name}", {"metadata": {"labels": labels}, "spec": part[name]}, least, most


READERS: Mapping[str, Callable[[Object], Found]] = {
    "Deployment": _template,
    "StatefulSet": _template,
    "Job": _job,
    "CronJob": _cron_job,
    "RayCluster": _ray(),
    "RayService": _ray("rayClusterConfig"),
    "RayJob": _ray("rayClusterSpec", lasting=False),
    "RayCronJob": _ray("jobTemplate", "rayClusterSpec", lasting=False),
    "LeaderWorkerSet": _leader_worker,
    "InferenceService": _inference_service,
    "LLMInferenceService": _llm_inference_service,
}


def _scaled(documents: Iterable[Document]) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    """What autoscalers make of the number of replicas, by the kind and name of what they scale."""
    for document in documents:
        spec = document.object.get("spec") or {}
        target = spec.get("scaleTargetRef") or {}
        if document.object.get("kind") == "HorizontalPodAutoscaler":
            yield (target["kind"], target["name"]), (spec.get("minReplicas", 1), spec["maxReplicas"])
        elif document.object.get("kind") == "ScaledObject":
            bounds = spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100)
            yield (target.get("kind", "Deployment"), target["name"]), bounds
