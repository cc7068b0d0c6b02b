"""Argo CD: an Application keeps the cluster as the repository has it, and takes away what is no longer rendered."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Part

FILE = "argocd/application.yaml"


def argocd(build: Build) -> Iterator[Part]:
    """The Application. It is applied once, by hand or by Argo CD's own root; all else follows from the repository."""
    wish = build.spec.delivery.argocd if build.spec.delivery else None
    if wish is None:
        return
    meta = kube.metadata(build.spec, names.namespace(build.spec), names.BASE, origin="delivery.argocd")
    finalizers = ["resources-finalizer.argocd.argoproj.io"]  # deleting it deletes what it made
    yield (
        FILE,
        kube.thing(
            "argoproj.io/v1alpha1",
            "Application",
            {**meta, "namespace": wish.namespace, "finalizers": finalizers},
            spec={
                "project": wish.project,
                "source": {
                    "repoURL": wish.repository,
                    "targetRevision": wish.revision,
                    "path": f"{wish.path.rstrip('/')}/manifests",
                },
                "destination": {
                    "server": "https://kubernetes.default.svc",
                    "namespace": names.namespace(build.spec),
                },
                "syncPolicy": {
                    "automated": {"prune": True, "selfHeal": not changed_by_the_clock(build)},
                    "syncOptions": ["ServerSideApply=true", "PruneLast=true"],
                    "retry": {"limit": 5, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"}},
                },
                "ignoreDifferences": ignored(),
            },
        ),
    )


def changed_by_the_clock(build: Build) -> bool:
    """Whether schedules patch objects of ours: set back at once, they would have no effect."""
    return build.target == "kuberay" and bool(build.spec.deploy and build.spec.deploy.schedules)


def ignored() -> list[dict[str, object]]:
    """What autoscalers write into objects of ours; set back by each sync, it would undo their work."""
    return [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
