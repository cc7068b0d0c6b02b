"""The targets that can be rendered, by name; each is a tuple of functions, what all of them need comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from fairlead.plan.service import ServicePlan
from fairlead.render import names
from fairlead.render.build import Build, Part, Renderer
from fairlead.render.cluster import Upstream, cluster_gateway, rendered_models
from fairlead.render.engines.vllm import vllm
from fairlead.render.files import Files, extended, files
from fairlead.render.platform.gateway import gateway
from fairlead.render.platform.kustomize import kustomization
from fairlead.spec.types import Spec

PLATFORM: tuple[Renderer, ...] = (gateway,)
"""What every target needs around its engines."""
FINISHERS: tuple[Callable[[Build, Files], Iterator[Part]], ...] = (kustomization,)
"""What is made of the files of all renderers, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`upstream` says where a model's engines answer; `renderers` make them."""

    summary: str
    upstream: Callable[[Spec, str], Upstream]
    renderers: tuple[Renderer, ...] = ()


def plain_service(spec: Spec, model: str) -> Upstream:
    """A Service of the model's own name, on the engines' port."""
    return Upstream(service=names.engine(spec, model))


TARGETS: Mapping[str, Target] = {
    "vllm": Target(summary="a Deployment of vLLM for each model", upstream=plain_service, renderers=(vllm,)),
}


def build(spec: Spec, plan: ServicePlan, target: str) -> Build:
    """What the renderers of a target look at. The spec is one that `refusals` has nothing against."""
    upstreams = {model: TARGETS[target].upstream(spec, model) for model in rendered_models(spec)}
    compiled = cluster_gateway(spec, upstreams, replicas=spec.gateway.replicas)
    return Build(spec=spec, plan=plan, gateway=compiled, target=target)


def rendered(build: Build) -> Files:
    """Everything that a target consists of."""
    renderers = (*PLATFORM, *TARGETS[build.target].renderers)
    made = files(chain.from_iterable(renderer(build) for renderer in renderers))
    for finisher in FINISHERS:
        made = extended(made, finisher(build, made))
    return made
