"""KubeRay: one RayService, all models in one Serve application, a worker group for each pool.

Sources: KubeRay 1.7 (ray-operator/apis/ray/v1, controllers/ray/rayservice_controller.go, utils/validation.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.catalog.components import component
from fairlead.render import kube, names, serve_config, yaml
from fairlead.render.build import Build, Object, Part
from fairlead.render.cluster import Upstream
from fairlead.render.engines import weights
from fairlead.render.engines.ray_pods import head_group, routers, serving, worker_groups
from fairlead.render.engines.settings import settings
from fairlead.render.engines.site import Site, sites
from fairlead.spec.engines import RayCluster
from fairlead.spec.types import Spec

FILE = "manifests/rayservice.yaml"
APPLICATION = "llm"
GATEWAY_PORT = 80
GATEWAY_SERVICES: Mapping[str, str] = {"istio": "{}-istio", "kgateway": "{}", "cilium": "cilium-gateway-{}"}
"""The Service that an implementation makes for a Gateway of this name; others choose names that nobody can know."""
ISTIOD_LABEL = ("app", "istiod")
STEP_PERCENT, STEP_S = 5, 60
IDLE_S = 300


def kuberay(build: Build) -> Iterator[Part]:
    """The RayService, and the head's own ServiceAccount."""
    account = kube.metadata(build.spec, names.ray_account(build.spec), names.RAY_HEAD, origin="deploy.ray")
    yield FILE, kube.service_account(account)
    meta = kube.metadata(build.spec, names.ray(build.spec), names.ENGINE, origin="models")
    yield FILE, kube.thing("ray.io/v1", "RayService", meta, spec=ray_service(build))


def upstream(spec: Spec, model: str) -> Upstream:
    """One Service for all models. While a cluster is renewed by steps, its Gateway alone knows who gets which share."""
    del model
    name = names.ray(spec)
    steps = by_steps(spec)
    if steps is None:
        return Upstream(service=f"{name}-serve-svc", health_path=serve_config.HEALTH_PATH)
    service = GATEWAY_SERVICES[steps].format(f"{name}-gateway")
    return Upstream(service=service, port=GATEWAY_PORT, health_path=serve_config.HEALTH_PATH)


def ray_of(spec: Spec) -> RayCluster:
    """What the file says about Ray."""
    assert spec.deploy is not None
    return spec.deploy.ray


def by_steps(spec: Spec) -> str | None:
    """The GatewayClass, if the cluster is renewed by steps: with some GPUs more, and not with all of them twice."""
    ray = ray_of(spec)
    return ray.gateway_class if ray.gateway_class in GATEWAY_SERVICES else None


def ray_service(build: Build) -> Object:
    """The RayService's spec. An old cluster stays until its last request has been answered."""
    return {
        "upgradeStrategy": upgrade(build.spec),
        "rayClusterDeletionDelaySeconds": max(site.grace_s for site in sites(build)),
        "excludeHeadPodFromServeSvc": True,
        "serveConfigV2": yaml.dump(serve(build)),
        "rayClusterConfig": ray_cluster(build),
    }


def upgrade(spec: Spec) -> Object:
    """How a new cluster takes over from the old one."""
    ray, steps = ray_of(spec), by_steps(spec)
    if steps is None:
        return {"type": "NewCluster"}
    options = {
        "gatewayClassName": steps,
        "maxSurgePercent": ray.surge,
        "stepSizePercent": STEP_PERCENT,
        "intervalSeconds": STEP_S,
    }
    return {"type": "NewClusterWithIncrementalUpgrade", "clusterUpgradeOptions": options}


def serve(build: Build) -> Object:
    """The Serve configuration, by the builder that `fairlead up` starts Ray with."""
    http = serve_config.Http(host="0.0.0.0", port=names.ENGINE_PORT)  # noqa: S104 - in a pod
    models = [served_model(site) for site in sites(build)]
    return serve_config.serve_config(models, app=APPLICATION, http=http, ingress_replicas=routers(build.spec))


def served_model(site: Site) -> serve_config.ServedModel:
    """One model. Each of its workers asks for a crumb of its pool's own resource, which only that pool's nodes have."""
    placed = site.placement
    return serve_config.ServedModel(
        name=site.served,
        source=weights.folder(site),
        engine=settings(site),
        replicas=serve_config.Replicas(
            minimum=placed.minimum, maximum=placed.maximum, target_ongoing_requests=placed.ongoing
        ),
        resources={placed.pool: serve_config.PLACED},
    )


def ray_cluster(build: Build) -> Object:
    """The RayCluster's spec. Whoever has not got the token, which the operator makes, cannot submit code to it."""
    ray = ray_of(build.spec)
    return kube.some(
        rayVersion=component("ray").version,
        authOptions={"mode": "token"},
        enableInTreeAutoscaling=True,
        autoscalerOptions=autoscaler(),
        gcsFaultToleranceOptions=fault_tolerance(build.spec, ray.redis) if ray.redis else None,
        headGroupSpec=head_group(build, serving(build.spec)),
        workerGroupSpecs=[*worker_groups(build)],
    )


def autoscaler() -> Object:
    """The autoscaler, in a container beside the head."""
    return {
        "version": "v2",
        "idleTimeoutSeconds": IDLE_S,
        "resources": kube.resources(cpu="500m", memory="1Gi"),
        "securityContext": kube.container_security(read_only=False),
    }


def fault_tolerance(spec: Spec, redis: str) -> Object:
    """What the head knows outlives it: engines go on answering while a new one starts."""
    password = {"secretKeyRef": {"name": names.ray_secret(spec), "key": names.RAY_REDIS_PASSWORD}}
    return {"backend": "redis", "redisAddress": redis, "redisPassword": {"valueFrom": password}}
