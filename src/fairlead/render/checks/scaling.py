"""Numbers of replicas: one who sets them, bounds that hold, ends that let requests finish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from zoneinfo import available_timezones

from fairlead.render import names
from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.checks.routing import selected
from fairlead.render.files import Document
from fairlead.spec.problems import nearest

HAS_SCALE = frozenset(("Deployment", "StatefulSet", "ReplicaSet", "LeaderWorkerSet"))
MADE_BY_KSERVE = {"-predictor": "InferenceService", "-kserve": "LLMInferenceService"}
"""What it adds to the name of a service for the name of its Deployment."""
AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


def targets(rendering: Rendering) -> Iterator[Fault]:
    """An autoscaler's target is there, has a number of replicas to set, and nobody else sets it."""
    seen: Counter[tuple[str, str]] = Counter()
    for document in rendering.of_kind(*AUTOSCALERS):
        target = dig(document.object, "spec", "scaleTargetRef") or {}
        kind, name = target.get("kind", "Deployment"), target.get("name", "")
        seen[kind, name] += 1
        found = rendering.find(kind, name) or (made_by_kserve(rendering, name) if kind == "Deployment" else None)
        if kind not in HAS_SCALE:
            yield Fault(
                document, f"scales a {kind}, which has no scale subresource", "scale what it makes, or patch it"
            )
        elif found is None:
            known = [each.object["metadata"]["name"] for each in rendering.of_kind(kind)]
            yield Fault(document, f"there is no {kind} {name!r} to scale", nearest(name, known, otherwise="there are"))
        elif "replicas" in found.object["spec"]:
            yield Fault(found, f"sets replicas, and {document.title} sets them too", "leave replicas out")
        if seen[kind, name] > 1:
            yield Fault(document, f"a second autoscaler of {kind} {name!r}", "one sets what the other undoes: keep one")


def made_by_kserve(rendering: Rendering, deployment: str) -> Document | None:
    """The service that KServe makes this Deployment of."""
    for suffix, kind in MADE_BY_KSERVE.items():
        found = rendering.find(kind, deployment.removesuffix(suffix)) if deployment.endswith(suffix) else None
        if found is not None:
            return found
    return None


def schedules(rendering: Rendering) -> Iterator[Fault]:
    """A schedule of the file has something that acts on it: a trigger of KEDA for each model, or a CronJob for all."""
    spec = rendering.build.spec
    for name, schedule in (spec.deploy.schedules if spec.deploy else {}).items():
        times = (schedule.start, schedule.end, schedule.timezone)
        if all(_has_job(rendering, when, schedule.timezone) for when in times[:2]):
            continue
        for model in schedule.models:
            if times not in _cron_triggers(rendering, model):
                message = f"the schedule {name!r} moves no replica of {model!r} in the target {rendering.build.target}"
                yield Fault(
                    None, message, "a model that sleeps has no minimum: give it autoscaling.min, or no schedule"
                )


def _has_job(rendering: Rendering, when: str, timezone: str) -> bool:
    jobs = [
        document.object["spec"]
        for document in rendering.of_kind("CronJob")
        if dig(document.object, "metadata", "labels", names.COMPONENT) == names.CLOCK
    ]
    return any(job.get("schedule") == when and job.get("timeZone") == timezone for job in jobs)


def _cron_triggers(rendering: Rendering, model: str) -> list[tuple[str, str, str]]:
    return [
        (trigger["metadata"]["start"], trigger["metadata"]["end"], trigger["metadata"]["timezone"])
        for document in rendering.of_kind("ScaledObject")
        if dig(document.object, "metadata", "labels", names.MODEL) == names.slug(model)
        for trigger in listed(document.object, "spec", "triggers")
        if trigger.get("type") == "cron"
    ]


def bounds(rendering: Rendering) -> Iterator[Fault]:
    """Minimum below maximum, and no schedule that asks for more than there may be."""
    for document in rendering.of_kind(*AUTOSCALERS):
        spec = document.object["spec"]
        least = spec.get("minReplicaCount", spec.get("minReplicas", 1))
        most = spec.get("maxReplicaCount", spec.get("maxReplicas", least))
        if least > most:
            yield Fault(document, f"at least {least} and at most {most} replicas", "raise the maximum")
        for trigger in listed(spec, "triggers"):
            if trigger.get("type") == "cron":
                wanted, zone = (
                    int(dig(trigger, "metadata", "desiredReplicas") or 0),
                    dig(trigger, "metadata", "timezone"),
                )
                if wanted > most:
                    yield Fault(document, f"a schedule wants {wanted} replicas of at most {most}", "raise the maximum")
                if zone not in available_timezones():
                    yield Fault(document, f"there is no timezone {zone!r}", "for example Europe/Berlin")


def disruption(rendering: Rendering) -> Iterator[Fault]:
    """A disruption budget is for pods that are there, and lets at least one of them go: else no node can be drained."""
    for document in rendering.of_kind("PodDisruptionBudget"):
        spec = document.object["spec"]
        chosen = selected(rendering, dig(spec, "selector", "matchLabels") or {})
        if not chosen:
            yield Fault(document, "is for no pods", "its selector has to be labels of the pods")
            continue
        pods = sum(workload.minimum for workload in chosen)
        kept, gone = spec.get("minAvailable"), spec.get("maxUnavailable")
        if gone in (0, "0%") or kept == "100%" or (isinstance(kept, int) and kept >= pods):
            yield Fault(document, f"lets none of {pods} pods go: no node of theirs could be drained", "let one go")


def selectors(rendering: Rendering) -> Iterator[Fault]:
    """A workload's selector matches its own pods, else it makes new ones for ever."""
    for workload in rendering.workloads:
        wanted = dig(workload.document.object, "spec", "selector", "matchLabels")
        if wanted is not None and not wanted.items() <= workload.labels.items():
            yield Fault(workload.document, "its selector does not match its own pods", "use the labels of the template")


def grace(rendering: Rendering) -> Iterator[Fault]:
    """A pod has time to end: its pause before SIGTERM and its drain are over before it is killed."""
    drain = rendering.build.gateway["drain_timeout_s"]
    for workload in rendering.workloads:
        allowed = workload.pod.get("terminationGracePeriodSeconds", 30)
        for container in workload.containers:
            pause = dig(container, "lifecycle", "preStop", "sleep", "seconds") or 0
            needed = pause + (drain if "fairlead.gateway" in listed(container, "command") else 0)
            if needed >= allowed:
                message = f"{container['name']}: needs {needed:g}s to end and is killed after {allowed}s"
                yield Fault(workload.document, message, "raise terminationGracePeriodSeconds")
