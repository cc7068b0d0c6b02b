"""KServe's other kind: an LLMInferenceService a model, behind the same pool, picker and route as on llm-d.

KServe lays the object over a preset of its own (kserve-config-llm-template), field by field. So all that a preset says
is said here too: the command, the scheme of the probes, the kind of handler that runs before the end. It makes neither
pool nor scheduler nor route where it is pointed to some (`refs`), and fetches no weights where that is switched off.
Sources: KServe 0.20, pkg/controller/v1alpha2/llmisvc (config_merge.go, workload_single_node.go, scheduler.go,
workload_storage.go), its validating webhook, config/llmisvcconfig.
"""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names, pods
from fairlead.render.build import Build, Object, Part
from fairlead.render.cluster import Scaled
from fairlead.render.engines import account, inference_gateway, llmd, pod
from fairlead.render.engines.site import CLOSE_AFTER_S, Site, file_of, sites
from fairlead.render.engines.weights import is_hub

API = "serving.kserve.io/v1alpha2"
KIND = "LLMInferenceService"
CONTAINER = "main"  # the one that a preset fills up
MADE = "-kserve"
"""KServe adds it to the service's name for the Deployment."""
SIDECAR, SIDECAR_COMMAND = "llm-d-routing-sidecar", "/app/pd-sidecar"
"""In KServe's preset for decoding: its name, so that ours takes its place; and where llm-d's image has it."""
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def llm_inference_services(build: Build) -> Iterator[Part]:
    """Account, Gateway, and every placed model with its pool, picker and route."""
    yield from account.account(build)
    yield llmd.GATEWAY_FILE, inference_gateway.gateway(build)
    for site in sites(build):
        yield file_of(site), service(site)
        yield from ((file_of(site), item) for item in llmd.routed(site, llmd.disaggregation(site)))


def service(site: Site) -> Object:
    """The engines of one model. Where replicas are not said KServe leaves the Deployment's to who scales it."""
    apart = llmd.disaggregation(site)
    spec = kube.some(
        model={"uri": storage_uri(site.model.source), "name": site.served},
        storageInitializer={"enabled": False},
        replicas=site.fixed_replicas,
        parallelism=parallelism(site),
        labels=pods.selector(site.build, names.ENGINE, site.served),
        template=template(site, llmd.decode(site), sidecar()) if apart else template(site, pod.server(site)),
        router=router(site),
        prefill=prefill(site, llmd.prefill_replicas(apart)) if apart else None,
    )
    return kube.thing(API, KIND, site.metadata(), spec=spec)


def storage_uri(source: str) -> str:
    """A source as KServe writes it: a revision of the hub stands after a colon."""
    return source.replace("@", ":") if is_hub(source) else source


def parallelism(site: Site) -> Object:
    """For KServe to know; the engine is told by its own command line."""
    return {"tensor": site.placement.deployment.tp}


def prefill(site: Site, replicas: int) -> Object:
    """Pods that only read prompts."""
    return {
        "replicas": replicas,
        "parallelism": parallelism(site),
        "labels": pods.selector(site.build, names.ENGINE, site.served),
        "template": template(site, llmd.prefill(site)),
    }


def template(site: Site, engine: Object, *init: Object) -> Object:
    """The pod that plain vLLM runs."""
    return pod.pod(site, [over_preset(engine)], init=init)


def sidecar() -> Object:
    """llm-d's, in place of the preset's: that one asks Kubernetes' API for a pool of another group than ours."""
    return {**llmd.sidecar(), "name": SIDECAR, "command": [SIDECAR_COMMAND]}


def over_preset(engine: Object) -> Object:
    """A container of which nothing is left to the preset's: two handlers for one end would be refused."""
    sleep = {"exec": {"command": ["/bin/sleep", str(CLOSE_AFTER_S)]}}
    probes = {name: {**engine[name], "httpGet": {**engine[name]["httpGet"], "scheme": "HTTP"}} for name in PROBES}
    return {**engine, "name": CONTAINER, "lifecycle": {"preStop": sleep}, **probes}


def router(site: Site) -> Object:
    """What there is already: the Gateway, the route, and the pool with its picker."""
    gateway = {"name": inference_gateway.name(site.spec), "namespace": names.namespace(site.spec)}
    return {
        "gateway": {"refs": [gateway]},
        "route": {"http": {"refs": [{"name": site.name}]}},
        "scheduler": {"pool": {"ref": {"name": site.name}}},
    }


def scaled(build: Build, model: str) -> Scaled:
    """The Deployment that KServe makes."""
    return Scaled(kind="Deployment", name=f"{names.engine(build.spec, model)}{MADE}")
