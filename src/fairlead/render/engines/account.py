"""The ServiceAccount of the engines: the models' bucket is open to it, and nothing in the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Part

FILE = "manifests/engines.yaml"


def account(build: Build) -> Iterator[Part]:
    """One for all engines."""
    meta = kube.metadata(build.spec, names.engine_account(build.spec), names.ENGINE, origin="models")
    yield FILE, kube.service_account(meta)
