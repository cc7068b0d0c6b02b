"""llm-d: engines in a pool, a picker that knows their queues and caches, and prefill apart from decode where asked for.

A replica on one node is a Deployment's pod; one on several nodes is a group of a LeaderWorkerSet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from fairlead.catalog.components import component
from fairlead.plan.service import Placement
from fairlead.render import kube, names, yaml
from fairlead.render.build import Build, Object, Part
from fairlead.render.cluster import Scaled
from fairlead.render.engines import inference_gateway, picker, pod, room
from fairlead.render.engines.multi_host import leader_worker_set
from fairlead.render.engines.objectives import objectives
from fairlead.render.engines.site import Site, file_of, sites
from fairlead.render.engines.vllm import strategy
from fairlead.render.flows import TCP, Elsewhere, Flow, Pods, api_server, dns, weights
from fairlead.spec.engines import Disaggregation

GATEWAY_FILE = "manifests/inference-gateway.yaml"
MODEL_LABEL, ROLE_LABEL, SERVING_LABEL = "llm-d.ai/model", "llm-d.ai/role", "llm-d.ai/inference-serving"
BEHIND_PORT = 8200
"""Of a decode engine, whose own port belongs to the sidecar that has prompts read elsewhere first."""
TRANSFER_PORT = 5600  # where NIXL says what it has; VLLM_NIXL_SIDE_CHANNEL_PORT
SIDECAR_CORES, SIDECAR_GIB = 0.5, 0.5


def llmd(build: Build) -> Iterator[Part]:
    """The Gateway, and every placed model."""
    yield GATEWAY_FILE, inference_gateway.gateway(build)
    for site in sites(build):
        yield from ((file_of(site), item) for item in model(site))
        yield f"charts/llm-d-router/{names.slug(site.served)}.values.yaml", yaml.dump(values(site))


def values(site: Site) -> dict[str, Any]:
    """For those who have llm-d's chart make pool and picker."""
    return picker.chart_values(site, disaggregation(site))


def model(site: Site) -> Iterator[Object]:
    """Engines, pool, picker and route of one model."""
    apart = disaggregation(site)
    yield from engines(site, apart)
    yield from routed(site, apart)


def routed(site: Site, apart: Disaggregation | None) -> Iterator[Object]:
    """What requests come by, whoever makes the engines."""
    yield pool(site, apart)
    yield from objectives(site, site.name, inference_gateway.POOL_GROUP)
    yield from picker.picker(site, apart)
    yield from inference_gateway.trust(site, picker.name(site))
    yield inference_gateway.route(site, site.name)


def disaggregation(site: Site) -> Disaggregation | None:
    """Whether prefill has pods of its own: where the file says so; where it says nothing, if the plan finds it pays."""
    written = site.spec.deploy.disaggregate.get(site.served) if site.spec.deploy else None
    if written is not None:
        return written if written.prefill else None
    apart = site.placement.apart
    return Disaggregation(prefill=apart.prefill) if apart and site.hosts == 1 else None


def settled(build: Build) -> Build:
    """With the replicas that a plan wants apart. The bounds stay those of both kinds; prefill does not scale."""
    placements = tuple(settled_placement(Site(build, each)) for each in build.plan.placements)
    return replace(build, plan=replace(build.plan, placements=placements))


def settled_placement(site: Site) -> Placement:
    """Of decode, where the plan's split is used."""
    placed, deploy = site.placement, site.spec.deploy
    written = deploy.disaggregate.get(site.served) if deploy else None
    if written is not None or disaggregation(site) is None or placed.apart is None:
        return replace(placed, apart=None)
    prefill, decode = placed.apart.prefill, placed.apart.decode
    return replace(
        placed,
        deployment=replace(placed.deployment, replicas=decode),
        minimum=max(1, placed.minimum - prefill) if site.scales else decode,
        maximum=max(1, placed.maximum - prefill) if site.scales else decode,
    )


def scaled(build: Build, model: str) -> Scaled:
    """What writes answers scales with the requests; what reads prompts is as many as the file says."""
    [site] = [site for site in sites(build) if site.served == model]
    if site.hosts > 1:
        return Scaled(kind="LeaderWorkerSet", name=site.name, api_version="leaderworkerset.x-k8s.io/v1")
    return Scaled(kind="Deployment", name=site.name)


def engines(site: Site, apart: Disaggregation | None) -> Iterator[Object]:
    """The pods that serve a model."""
    if site.hosts > 1:
        yield leader_worker_set(site, role_labels(site, "both"))
    elif apart is None:
        yield deployment(site, site.name, "both", [pod.server(site)], replicas=site.fixed_replicas)
    else:
        yield deployment(site, site.name, "decode", [decode(site)], replicas=site.fixed_replicas, init=[sidecar()])
        name, containers = f"{site.name}-prefill", [prefill(site)]
        yield deployment(site, name, "prefill", containers, replicas=prefill_replicas(apart))


def prefill_replicas(apart: Disaggregation) -> int:
    """Pods that read prompts."""
    return apart.prefill


def deployment(
    site: Site, name: str, role: str, containers: Sequence[Object], *, replicas: int | None, init: Sequence[Object] = ()
) -> Object:
    """Pods of one role, found by it and by the labels of their model."""
    labels = role_labels(site, role)
    template = kube.pod_template(site.spec, names.ENGINE, pod.pod(site, containers, init=init), model=site.served)
    template["metadata"]["labels"] |= labels
    spec = kube.some(
        replicas=replicas,
        selector={"matchLabels": {**site.selector, ROLE_LABEL: role}},
        strategy=strategy(site),
        progressDeadlineSeconds=pod.progress_deadline_s(site),
        template=template,
    )
    return kube.thing("apps/v1", "Deployment", site.metadata(name), spec=spec)


def role_labels(site: Site, role: str) -> dict[str, str]:
    """What pickers sort pods by."""
    return {MODEL_LABEL: names.slug(site.served), ROLE_LABEL: role, SERVING_LABEL: "true"}


def prefill(site: Site) -> Object:
    """Reads prompts, and keeps what it made until decode has fetched it. No answer waits for its iterations."""
    planned = site.placement.deployment
    tokens, _ = planned.engine.batch_limits(planned.gpu)
    whole = replace(planned, tokens=max(tokens, planned.tokens))
    site = replace(site, placement=replace(site.placement, deployment=whole))
    return pod.server(site, more=[transfer("kv_producer")], env=[*transfer_variables()])


def decode(site: Site) -> Object:
    """Writes answers, behind its sidecar."""
    more = [transfer("kv_both")]
    resources = room.resources(site, cores=SIDECAR_CORES, memory_bytes=SIDECAR_GIB * 2**30)
    return pod.server(site, port=BEHIND_PORT, more=more, env=[*transfer_variables()], resources=resources)


def transfer(role: str) -> str:
    """How the KV cache goes from prefill to decode."""
    return f'--kv-transfer-config={{"kv_connector":"NixlConnector","kv_role":"{role}"}}'


def transfer_variables() -> Iterator[Object]:
    """Where others find this pod's cache."""
    yield picker.field("VLLM_NIXL_SIDE_CHANNEL_HOST", "status.podIP")
    yield kube.env("VLLM_NIXL_SIDE_CHANNEL_PORT", str(TRANSFER_PORT))


def sidecar() -> Object:
    """Takes a request first, has its prompt read where the picker said, and hands it to the engine beside it."""
    return kube.container(
        "routing-proxy",
        component("llm-d-sidecar").image,
        args=[
            f"--port={names.ENGINE_PORT}",
            f"--model-server-port={BEHIND_PORT}",
            "--kv-connector=nixlv2",
            "--secure-proxy=false",
        ],
        ports={"sidecar": names.ENGINE_PORT},
        resources=kube.resources(cpu=f"{int(1000 * SIDECAR_CORES)}m", memory=f"{int(1024 * SIDECAR_GIB)}Mi"),
        restartPolicy="Always",
    )


def pool(site: Site, apart: Disaggregation | None) -> Object:
    """Every pod of the model. A request that a prefill pod alone would get is refused when no picker is there."""
    reference = {
        "name": picker.name(site),
        "port": {"number": inference_gateway.PICKER_PORT},
        "failureMode": "FailClose" if apart else "FailOpen",
    }
    spec = {
        "targetPorts": [{"number": names.ENGINE_PORT}],
        "selector": {"matchLabels": dict(site.selector)},
        "endpointPickerRef": reference,
    }
    return kube.thing(f"{inference_gateway.POOL_GROUP}/v1", "InferencePool", site.metadata(), spec=spec)


def flows(build: Build) -> Iterator[Flow]:
    """Beyond what every target needs."""
    deploy = build.spec.deploy
    assert deploy is not None
    chooser, engine = Pods(names.PICKER), Pods(names.ENGINE)
    yield from inference_gateway.flows(build.spec)
    yield Flow("picker-engines", chooser, engine, ((TCP, names.ENGINE_PORT),), "queues and caches of the engines")
    monitoring = Elsewhere(deploy.reach.monitoring)
    yield Flow("scrape-picker", monitoring, chooser, ((TCP, picker.METRICS_PORT),), "metrics of the pickers")
    yield from dns(names.PICKER)
    yield from api_server(chooser, "pickers watch their pool and its pods")
    if any(disaggregation(site) for site in sites(build)):
        why = "KV caches go from prefill to decode, at ports that NIXL chooses"
        yield Flow("kv-cache", engine, engine, (), why)
        yield Flow("scrape-decode", monitoring, engine, ((TCP, BEHIND_PORT),), "metrics of engines behind a sidecar")
    if any(site.hosts > 1 for site in sites(build)):
        yield from multi_host_flows(build)


def multi_host_flows(build: Build) -> Iterator[Flow]:
    """Between the nodes of one replica."""
    leader, worker = Pods(names.ENGINE), Pods(names.WORKER)
    why = "the workers of a replica, at ports that they choose"
    for one, other in ((leader, worker), (worker, leader), (worker, worker)):
        yield Flow(f"{one.component}-to-{other.component}", one, other, (), why)
    yield from dns(names.WORKER)
    yield from weights(build, names.WORKER)
