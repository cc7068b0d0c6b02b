"""`kubectl apply -k`: one Kustomization over all manifests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fairlead.render.build import Build, Object, Part
from fairlead.render.files import MANIFESTS, Files

FILE = f"{MANIFESTS}kustomization.yaml"


def kustomization(build: Build, files: Files) -> Iterator[Part]:
    """The list of the manifests' files."""
    yield FILE, listing(sorted({document.path.removeprefix(MANIFESTS) for document in files.manifests}))


def listing(resources: Sequence[str], **fields: Any) -> Object:
    """A Kustomization of files or folders."""
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return {**head, "resources": list(resources), **fields}
