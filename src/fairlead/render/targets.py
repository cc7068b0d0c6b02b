"""The targets that can be rendered, by name; each is a tuple of functions, what all of them need comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fairlead.plan.service import ServicePlan
from fairlead.render import names
from fairlead.render.build import Build, Part, Renderer
from fairlead.render.cluster import Scaled, Upstream, cluster_gateway, rendered_models
from fairlead.render.delivery.argocd import argocd
from fairlead.render.delivery.chart import chart
from fairlead.render.delivery.pipelines import pipelines
from fairlead.render.engines import inference_gateway, kserve, kuberay, llmd, triton
from fairlead.render.engines.account import account
from fairlead.render.engines.ray_clock import clock
from fairlead.render.engines.ray_flows import ray_flows
from fairlead.render.engines.ray_jobs import ray_jobs
from fairlead.render.engines.vllm import vllm
from fairlead.render.files import Files, extended, files
from fairlead.render.flows import Flow, Flows, platform_flows
from fairlead.render.infrastructure.terraform import terraform
from fairlead.render.monitoring import monitoring
from fairlead.render.overrides import overridden
from fairlead.render.pages import pages
from fairlead.render.platform.backup import backup
from fairlead.render.platform.base import base
from fairlead.render.platform.gateway import gateway
from fairlead.render.platform.ingress import ingress
from fairlead.render.platform.jobs import jobs
from fairlead.render.platform.kustomize import kustomization
from fairlead.render.platform.network import network
from fairlead.render.platform.rbac import rbac
from fairlead.render.platform.scaling import engine_disruption, engine_scaling, gateway_scaling, gateways
from fairlead.render.platform.secrets import secrets
from fairlead.render.platform.storage import storage
from fairlead.render.pods import by_llm_inference_service
from fairlead.spec.types import Spec

PLATFORM: tuple[Renderer, ...] = (
    *(base, rbac, gateway, gateway_scaling, ingress, secrets, storage, backup, jobs),
    monitoring,
    *(terraform, pipelines, argocd),
)
"""What every target needs around its engines."""
FINISHERS: tuple[Callable[[Build, Files], Iterator[Part]], ...] = (kustomization, chart)
"""What is made of the files of all renderers, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`upstream` says where a model's engines answer; `renderers` make them.

    `flows` are the connections that it needs beyond those of every target; `scaled` names what KEDA scales for a model,
    None where its engines have an autoscaler of their own.
    """

    summary: str
    upstream: Callable[[Spec, str], Upstream]
    renderers: tuple[Renderer, ...] = ()
    flows: Flows | None = None
    scaled: Callable[[Build, str], Scaled | None] | None = None


def plain_service(spec: Spec, model: str) -> Upstream:
    """A Service of the model's own name, on the engines' port."""
    return Upstream(service=names.engine(spec, model))


def deployment(build: Build, model: str) -> Scaled:
    """A Deployment of the model's own name."""
    return Scaled(kind="Deployment", name=names.engine(build.spec, model))


TARGETS: Mapping[str, Target] = {
    "kserve": Target(
        summary="an InferenceService of KServe for each model",
        upstream=kserve.upstream,
        renderers=(kserve.kserve,),
        flows=kserve.flows,
        scaled=kserve.scaled,
    ),
    "kuberay": Target(
        summary="one RayService of KubeRay for all models",
        upstream=kuberay.upstream,
        renderers=(account, kuberay.kuberay, clock, ray_jobs),
        flows=ray_flows,
    ),
    "llm-d": Target(
        summary="a pool of engines for each model, behind llm-d's endpoint picker",
        upstream=inference_gateway.upstream,
        renderers=(account, llmd.llmd),
        flows=llmd.flows,
        scaled=llmd.scaled,
    ),
    "triton": Target(
        summary="a Deployment of Triton with vLLM for each model",
        upstream=triton.upstream,
        renderers=(account, triton.triton),
        scaled=deployment,
    ),
    "vllm": Target(
        summary="a Deployment of vLLM for each model",
        upstream=plain_service,
        renderers=(account, vllm),
        scaled=deployment,
    ),
}


def build(spec: Spec, plan: ServicePlan, target: str) -> Build:
    """What the renderers of a target look at. The spec is one that `refusals` has nothing against."""
    upstreams = {model: TARGETS[target].upstream(spec, model) for model in rendered_models(spec)}
    compiled = cluster_gateway(spec, upstreams, plan.placements, replicas=gateways(spec)[1])
    made = Build(spec=spec, plan=plan, gateway=compiled, target=target)
    return llmd.settled(made) if target == "llm-d" or by_llm_inference_service(made) else made


def rendered(build: Build) -> Files:
    """Everything that a target consists of, with the overrides of the spec."""
    assert build.spec.deploy is not None
    made = overridden(files(parts(build)), build.spec.deploy)
    for finisher in (*FINISHERS, described):
        made = extended(made, finisher(build, made))
    return made


def described(build: Build, files: Files) -> Iterator[Part]:
    """What the simulators say of it."""
    return pages(build, files, flows(build))


def parts(build: Build) -> Iterator[Part]:
    """What the renderers give, before anything is made of it."""
    target = TARGETS[build.target]
    for renderer in (*PLATFORM, *target.renderers):
        yield from renderer(build)
    if target.scaled is not None:
        yield from engine_scaling(build, target.scaled)
    yield from engine_disruption(build, by_model=target.scaled is not None)
    yield from network(build, flows(build))


def flows(build: Build) -> list[Flow]:
    """Every connection that the service needs."""
    own = TARGETS[build.target].flows
    return [*platform_flows(build), *(own(build) if own else ())]
