"""The pods of a Ray cluster: a head without work, routers, and workers that are whole nodes of their pools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairlead.catalog.accelerators import GIB
from fairlead.catalog.allocatable import Room, allocatable
from fairlead.plan.service import Pool
from fairlead.render import kube, names
from fairlead.render.build import Build, Object
from fairlead.render.engines import weights
from fairlead.render.engines.images import image
from fairlead.render.engines.pod import TMP_VOLUME
from fairlead.render.engines.site import Site, sites
from fairlead.spec.types import Spec

USER = 1000  # `ray` of Ray's images
HEAD = Room(2.0, 8.0 * GIB)
ROUTER = Room(1.0, 4.0 * GIB)
ROUTERS: Mapping[str, int] = {"production": 2}
OBJECT_STORE_PART, OBJECT_STORE_MOST = 0.1, 2 * GIB
"""Engines put nothing there, and it counts as memory of the pod; Ray's own default is a third of it."""
METRICS_PORT = 8080
HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": 8000, names.METRICS: METRICS_PORT}
WORKER_PORTS = {"serve": names.ENGINE_PORT, names.METRICS: METRICS_PORT}
TMP_SIZE = "10Gi"  # Ray's logs, and what it spills
GROUP = "ray.io/group"
"""The operator's own label for the pods of a group."""


def head_group(build: Build) -> Object:
    """The head, on a node without GPUs. It has no CPU to give away, so that no replica ever runs on it."""
    pool = kube.general_pool(build.plan.pools)
    params = {"num-cpus": "0", "dashboard-host": "0.0.0.0", **object_store(HEAD)}  # noqa: S104 - in a pod
    container = ray_container(build, "ray-head", HEAD)
    # the autoscaler beside the head changes the number of workers; the operator gives its account the right to
    return {"rayStartParams": params, "template": template(build, pool, container, component=names.RAY_HEAD)}


def worker_groups(build: Build) -> Iterator[Object]:
    """One group for each pool: routers where there are no GPUs, engines where there are."""
    general = kube.general_pool(build.plan.pools)
    yield router_group(build, general)
    for pool in build.plan.pools:
        here = [site for site in sites(build) if site.pool.name == pool.name]
        if here:
            yield engine_group(build, pool, here)


def router_group(build: Build, pool: Pool) -> Object:
    """Where the router can run while the engines' nodes come and go."""
    count = routers(build.spec)
    pods = template(build, pool, ray_container(build, "ray-worker", ROUTER))
    return {
        "groupName": pool.name,
        "minReplicas": count,
        "maxReplicas": count,
        "rayStartParams": object_store(ROUTER),
        "template": pods,
    }


def routers(spec: Spec) -> int:
    """Replicas of the router."""
    return ROUTERS.get(spec.environment, 1)


def engine_group(build: Build, pool: Pool, here: Sequence[Site]) -> Object:
    """A worker is a whole node, so that Ray may pack replicas onto it as it likes. Ray ties them to it by its name."""
    room, gpus = allocatable(pool.instance), pool.instance.gpus
    least = math.ceil(sum(site.placement.minimum * site.placement.gpus for site in here) / gpus)
    container = ray_container(
        build,
        "ray-worker",
        room,
        gpus=gpus,
        volumeMounts=[tmp_mount(), kube.mount(weights.VOLUME, names.MODEL_MOUNT, read_only=True)],
        lifecycle={"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {here[0].drain_s}; ray stop"]}}},
    )
    return {
        "groupName": pool.name,
        "minReplicas": min(least, pool.maximum),
        "maxReplicas": pool.maximum,
        "resources": {"CPU": str(max(1, math.floor(room.cores))), "GPU": str(gpus), pool.name: "1"},
        "rayStartParams": object_store(room),
        "template": template(build, pool, container, here=here),
    }


def object_store(room: Room) -> dict[str, str]:
    """Its size in bytes, as `ray start` takes it."""
    return {"object-store-memory": str(math.floor(min(OBJECT_STORE_MOST, OBJECT_STORE_PART * room.memory_bytes)))}


def ray_container(build: Build, name: str, room: Room, *, gpus: int = 0, **fields: Any) -> Object:
    """A container of Ray's image. The operator adds its command, its probes and /dev/shm."""
    memory = f"{math.floor(room.memory_bytes / 2**20)}Mi"
    return kube.container(
        name,
        image(build.spec, "ray"),
        ports=HEAD_PORTS if name == "ray-head" else WORKER_PORTS,
        **{
            "env": [kube.env(variable, value) for variable, value in QUIET.items()],
            "resources": kube.resources(cpu=f"{math.floor(1000 * room.cores)}m", memory=memory, gpus=gpus),
            "securityContext": kube.container_security(read_only=False),
            "volumeMounts": [tmp_mount()],
            **fields,
        },
    )


QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Nothing phones anywhere."""


def tmp_mount() -> Object:
    """Ray writes its session to /tmp/ray."""
    return kube.mount(TMP_VOLUME, "/tmp")  # noqa: S108 - the path inside the pod


def template(
    build: Build, pool: Pool, container: Object, *, component: str = names.ENGINE, here: Sequence[Site] = ()
) -> Object:
    """A pod, with the models of its pool on a volume before it starts. Ray, not the kubelet, replaces a dead one."""
    spec = build.spec
    pod = kube.some(
        restartPolicy="Never",
        serviceAccountName=names.engine_account(spec) if component == names.ENGINE else names.ray_account(spec),
        automountServiceAccountToken=component != names.ENGINE,
        priorityClassName=names.priority(spec, names.ENGINE),
        enableServiceLinks=False,
        securityContext=kube.pod_security(USER),
        **kube.placed(pool),
        topologySpreadConstraints=kube.spread({**names.selector(spec, component), GROUP: pool.name}),
        terminationGracePeriodSeconds=max((site.grace_s for site in here), default=60),
        initContainers=[weights.fetcher(site) for site in here] or None,
        containers=[container],
        volumes=[kube.empty_dir(TMP_VOLUME, TMP_SIZE), *weights.shared_volume(here)],
    )
    return kube.pod_template(spec, component, pod)
