"""Who may do what in the cluster: pods nothing at all, people who keep the service running what that takes."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part

FILE = "manifests/rbac.yaml"
API = "rbac.authorization.k8s.io"
LOOK = ["get", "list", "watch"]
RULES: tuple[tuple[str, tuple[str, ...], list[str]], ...] = (
    ("", ("pods", "pods/log", "services", "configmaps", "events", "persistentvolumeclaims"), LOOK),
    ("", ("pods/portforward",), ["create"]),
    ("", ("pods",), ["delete"]),
    ("apps", ("deployments", "replicasets", "statefulsets"), LOOK),
    ("apps", ("deployments",), ["patch"]),
    ("batch", ("cronjobs", "jobs"), LOOK),
    ("autoscaling", ("horizontalpodautoscalers",), LOOK),
    ("keda.sh", ("scaledobjects",), [*LOOK, "patch"]),
    ("ray.io", ("rayservices", "rayclusters", "rayjobs", "raycronjobs"), [*LOOK, "patch"]),
    ("serving.kserve.io", ("inferenceservices", "llminferenceservices"), [*LOOK, "patch"]),
    ("gateway.networking.k8s.io", ("httproutes",), LOOK),
    ("networking.k8s.io", ("networkpolicies",), LOOK),
)
"""API group, resources, verbs. No Secrets: who may read them may be anybody."""


def rbac(build: Build) -> Iterator[Part]:
    """A Role for the groups that the file names. The accounts of pods stand beside them, and have none."""
    spec = build.spec
    groups = spec.deploy.operators if spec.deploy else ()
    if groups:
        meta = kube.metadata(spec, names.operator_role(spec), names.BASE, origin="deploy.operators")
        rules = [{"apiGroups": [group], "resources": list(kinds), "verbs": verbs} for group, kinds, verbs in RULES]
        yield FILE, kube.thing(f"{API}/v1", "Role", meta, rules=rules)
        reference = {"apiGroup": API, "kind": "Role", "name": names.operator_role(spec)}
        yield FILE, kube.thing(f"{API}/v1", "RoleBinding", meta, roleRef=reference, subjects=list(map(subject, groups)))


def subject(group: str) -> Object:
    """A group of the cluster's identity provider."""
    return {"apiGroup": API, "kind": "Group", "name": group}
