"""What all else stands on: the namespace, restricted to pods without privileges, and the classes of priority."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part

FILE = "manifests/base.yaml"
PRIORITIES: Mapping[str, tuple[int, str]] = {
    names.GATEWAY: (1_000_000, "Without the gateway nothing answers."),
    names.ENGINE: (500_000, "Engines of requests that somebody waits for."),
    names.BATCH: (1_000, "Batches, for which nobody waits: they take no other pod's place."),
}
"""A class's value, and why. Above zero: pods without a class make room; below a billion: those are the system's."""


def base(build: Build) -> Iterator[Part]:
    """The namespace and the classes of priority."""
    yield FILE, namespace(build)
    jobs = build.spec.deploy.jobs if build.spec.deploy else {}
    for component, (value, why) in PRIORITIES.items():
        if component == names.BATCH and not jobs:
            continue
        yield FILE, priority_class(build, component, value, why)


def namespace(build: Build) -> Object:
    """Pods that do not keep the restricted profile are refused by the API server itself."""
    spec = build.spec
    meta = kube.metadata(spec, names.namespace(spec), names.BASE, origin="deploy", namespaced=False)
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return kube.thing("v1", "Namespace", {**meta, "labels": {**meta["labels"], **levels}})


def priority_class(build: Build, component: str, value: int, why: str) -> Object:
    """Who goes first where there is no room for all."""
    spec = build.spec
    meta = kube.metadata(spec, names.priority(spec, component), component, origin="deploy", namespaced=False)
    return kube.thing(
        "scheduling.k8s.io/v1",
        "PriorityClass",
        meta,
        value=value,
        globalDefault=False,
        preemptionPolicy="Never" if component == names.BATCH else "PreemptLowerPriority",
        description=why,
    )
