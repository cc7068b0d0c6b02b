"""The volume that keeps models between the starts of engines."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Part
from fairlead.units import format_bytes

FILE = "manifests/storage.yaml"


def storage(build: Build) -> Iterator[Part]:
    """A claim, where the file asks for one."""
    spec = build.spec
    cache = spec.deploy.cache if spec.deploy else None
    if cache is None:
        return
    claim = kube.some(
        accessModes=[cache.access],
        storageClassName=cache.storage_class,
        resources={"requests": {"storage": format_bytes(cache.size)}},
    )
    meta = kube.metadata(spec, names.model_cache(spec), names.ENGINE, origin="deploy.cache")
    yield FILE, kube.thing("v1", "PersistentVolumeClaim", meta, spec=claim)
