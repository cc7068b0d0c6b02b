"""Which image runs: the spec's, or the one of the version in the catalog."""

from __future__ import annotations

from fairlead.catalog.components import component
from fairlead.spec.types import Spec


def image(spec: Spec, name: str) -> str:
    """The image of vllm, ray or triton."""
    assert spec.deploy is not None
    own = {"vllm": spec.deploy.images.vllm, "ray": spec.deploy.images.ray, "triton": spec.deploy.images.triton}
    return own[name] or component(name).image
