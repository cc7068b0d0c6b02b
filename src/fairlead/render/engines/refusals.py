"""What a target's engines cannot do, refused before anything is rendered: nothing that the file says is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from fairlead.catalog.components import component
from fairlead.render.build import Build
from fairlead.render.engines.job_refusals import job_refusals
from fairlead.render.engines.kserve import sleeps
from fairlead.render.engines.site import Site, sites
from fairlead.render.pods import by_llm_inference_service
from fairlead.spec.problems import Finding, nearest

IMAGES: Mapping[str, str] = {"kuberay": "ray", "triton": "triton"}
"""The component whose image runs the engines of a target; vllm on the others."""
ONE_NODE = ("kserve", "triton", "vllm")
REMOTE = ("hf://", "s3://", "gs://", "az://")


def engine_refusals(build: Build) -> list[Finding]:
    """Everything that keeps the engines of this build's target from doing what the file says."""
    found = [finding for check in _OF_THE_SERVICE for finding in check(build)]
    return found + [finding for site in sites(build) for check in _OF_A_MODEL for finding in check(site)]


def _disaggregated_on_llmd(build: Build) -> Iterator[Finding]:
    deploy = build.spec.deploy
    placed = [site.served for site in sites(build)]
    for model, asked in deploy.disaggregate.items() if deploy else ():
        path = ("deploy", "disaggregate", model)
        if model not in placed:
            hint = nearest(model, placed, otherwise="models")
            yield Finding(path, f"no model {model!r} is deployed", hint, at_key=True)
        elif asked.prefill and build.target != "llm-d" and not by_llm_inference_service(build):
            message = f"target {build.target} does not read prompts in pods of their own"
            hint = "render for llm-d, or for KServe's LLMInferenceService, or leave it to an overlay"
            yield Finding(path, message, hint, at_key=True)


def _no_transformer_before_a_pool(build: Build) -> Iterator[Finding]:
    if by_llm_inference_service(build) and build.spec.deploy and build.spec.deploy.kserve.transformer:
        message = "an LLMInferenceService has no transformer"
        yield Finding(("deploy", "kserve", "transformer"), message, "kind: InferenceService, or leave it out")


def _ray_survives_its_head(build: Build) -> Iterator[Finding]:
    deploy = build.spec.deploy
    if deploy and build.target == "kuberay" and build.spec.environment == "production" and not deploy.ray.redis:
        message = "when Ray's head is renewed it forgets the engines that run, and starts all of them again"
        yield Finding(("deploy",), message, "add ray: {redis: HOST:6379}")


def _ray_has_one_clock(build: Build) -> Iterator[Finding]:
    deploy = build.spec.deploy
    if deploy is None or build.target != "kuberay":
        return
    for name in sorted(deploy.schedules)[1:]:
        message = "on Ray one schedule would end another: each gives the application its whole configuration"
        yield Finding(("deploy", "schedules", name), message, "one schedule for all of its models", at_key=True)


def _gpu_has_an_image(site: Site) -> Iterator[Finding]:
    gpu, name = site.placement.deployment.gpu, IMAGES.get(site.build.target, "vllm")
    path = ("models", site.served)
    if gpu.vendor != "NVIDIA":
        yield Finding(path, f"the images that are rendered run on NVIDIA's GPUs, not on {gpu.name}", at_key=True)
    elif gpu.capability < component(name).capability:
        least = component(name).capability
        message = f"{name} {component(name).version} has no kernels for {gpu.name}: compute capability {gpu.capability}"
        yield Finding(path, message, f"a GPU of compute capability {least} or later", at_key=True)


def _source_is_within_reach(site: Site) -> Iterator[Finding]:
    source, path = site.model.source, ("models", site.served, "source")
    if not source.startswith(REMOTE):
        yield Finding(path, "a pod has no such folder", "hf://, s3://, gs:// or az://")


def _one_node_is_enough(site: Site) -> Iterator[Finding]:
    path, gpus, instance = ("models", site.served), site.placement.gpus, site.pool.instance
    if site.hosts > 1 and site.build.target in ONE_NODE:
        message = f"a replica takes {gpus} GPUs and {instance.name} has {instance.gpus}"
        hint = f"render for kuberay or llm-d: {site.build.target} starts an engine on one node"
        yield Finding(path, message, hint, at_key=True)
    if gpus % site.hosts:
        message = f"{gpus} GPUs are no equal part of {site.hosts} nodes of {instance.gpus}"
        yield Finding(path, message, "another tensor_parallel_size, or another instance", at_key=True)
    apart = site.spec.deploy.disaggregate if site.spec.deploy else {}
    if site.hosts > 1 and site.served in apart:
        message = "prefill apart from decode is for replicas on one node"
        yield Finding(("deploy", "disaggregate", site.served), message, "larger machines, or leave it out", at_key=True)


def _kserve_fetches_it(site: Site) -> Iterator[Finding]:
    asleep = site.build.target == "kserve" and sleeps(site.spec, site.served)
    if asleep and site.model.source.startswith("az://"):
        message = "KServe fetches the weights of a model that sleeps, and wants an account's URL for Azure's"
        yield Finding(("models", site.served, "source"), message, "autoscaling.min of 1, or weights from elsewhere")


_OF_THE_SERVICE: tuple[Callable[[Build], Iterator[Finding]], ...] = (
    _disaggregated_on_llmd,
    _no_transformer_before_a_pool,
    _ray_survives_its_head,
    _ray_has_one_clock,
    job_refusals,
)
_OF_A_MODEL: tuple[Callable[[Site], Iterator[Finding]], ...] = (
    _gpu_has_an_image,
    _source_is_within_reach,
    _one_node_is_enough,
    _kserve_fetches_it,
)
