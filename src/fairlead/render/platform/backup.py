"""Backups of the namespace: objects and volumes, but not what grows again by itself."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Part

FILE = "manifests/backup.yaml"
NOT_BACKED_UP = ("pods", "replicasets.apps", "endpoints", "endpointslices.discovery.k8s.io", "events")


def backup(build: Build) -> Iterator[Part]:
    """A Schedule of Velero, where the file asks for one. Keys and usage are in PostgreSQL, which has its own."""
    spec = build.spec
    wish = spec.deploy.backup if spec.deploy else None
    if wish is None:
        return
    template = {
        "includedNamespaces": [names.namespace(spec)],
        "excludedResources": list(NOT_BACKED_UP),
        "snapshotVolumes": True,
        "storageLocation": wish.location,
        "ttl": f"{int(wish.keep) // 3600}h{int(wish.keep) % 3600 // 60}m0s",
    }
    meta = kube.metadata(spec, names.namespace(spec), names.BASE, origin="deploy.backup")
    yield (
        FILE,
        kube.thing(
            "velero.io/v1",
            "Schedule",
            {**meta, "namespace": wish.namespace},
            spec={"schedule": wish.schedule, "useOwnerReferencesInBackup": False, "template": template},
        ),
    )
