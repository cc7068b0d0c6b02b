"""`kubectl apply -k`: one Kustomization over all manifests."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render.build import Build, Part
from fairlead.render.files import MANIFESTS, Files

FILE = f"{MANIFESTS}kustomization.yaml"


def kustomization(build: Build, files: Files) -> Iterator[Part]:
    """The list of the manifests' files."""
    listed = sorted({document.path.removeprefix(MANIFESTS) for document in files.manifests})
    yield FILE, {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": listed}
