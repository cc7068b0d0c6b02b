"""The pods of a Ray cluster: a head without work, routers, and workers that are whole nodes of their pools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
GRACE_S = 60
TMP_SIZE = "10Gi"  # Ray's logs, and what it spills
GROUP = "ray.io/group"
"""The operator's own label for the pods of a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Whose pods a cluster's are: components and accounts of head and workers, and who makes room for them.

    `serves`: requests come at any time. So the autoscaler beside the head changes the number of workers, for which it
    asks the API server (the operator gives the head's account the right to), and a worker's end waits for its requests.
    """

    head: str
    worker: str
    head_account: str
    worker_account: str
    priority: str
    serves: bool


def serving(spec: Spec) -> Crew:
    """Those of the RayService."""
    return Crew(
        head=names.RAY_HEAD,
        worker=names.ENGINE,
        head_account=names.ray_account(spec),
        worker_account=names.engine_account(spec),
        priority=names.priority(spec, names.ENGINE),
        serves=True,
    )


def head_group(build: Build, crew: Crew, volumes: Sequence[Object] = (), **fields: Any) -> Object:
    """The head, on a node without GPUs. It has no CPU to give away, so that no replica ever runs on it."""
    pool = kube.general_pool(build.plan.pools)
    params = {"num-cpus": "0", "dashboard-host": "0.0.0.0", **object_store(HEAD)}  # noqa: S104 - in a pod
    container = ray_container(build, "ray-head", HEAD, **fields)
    return {"rayStartParams": params, "template": template(build, crew, pool, container, volumes=volumes)}


def worker_groups(build: Build) -> Iterator[Object]:
    """One group for each pool: routers where there are no GPUs, engines where there are."""
    crew, general = serving(build.spec), kube.general_pool(build.plan.pools)
    yield router_group(build, crew, general)
    for pool in build.plan.pools:
        here = [site for site in sites(build) if site.pool.name == pool.name]
        if here:
            least = min(nodes(here, pool), pool.maximum)
            yield {**engine_group(build, crew, pool, here), "minReplicas": least, "maxReplicas": pool.maximum}


def nodes(here: Sequence[Site], pool: Pool) -> int:
    """Nodes of a pool that the fewest replicas of its models are on."""
    return math.ceil(sum(site.placement.minimum * site.placement.gpus for site in here) / pool.instance.gpus)


def router_group(build: Build, crew: Crew, pool: Pool) -> Object:
    """Where the router can run while the engines' nodes come and go."""
    count = routers(build.spec)
    pods = template(build, crew, pool, ray_container(build, "ray-worker", ROUTER))
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


def engine_group(build: Build, crew: Crew, pool: Pool, here: Sequence[Site]) -> Object:
    """A worker is a whole node, so that Ray may pack replicas onto it as it likes. Ray ties them to it by its name."""
    room, gpus = allocatable(pool.instance), pool.instance.gpus
    container = ray_container(
        build,
        "ray-worker",
        room,
        gpus=gpus,
        volumeMounts=[tmp_mount(), kube.mount(weights.VOLUME, names.MODEL_MOUNT, read_only=True)],
        lifecycle=drain(here[0].drain_s) if crew.serves else None,
    )
    return {
        "groupName": pool.name,
        "resources": {"CPU": str(max(1, math.floor(room.cores))), "GPU": str(gpus), pool.name: "1"},
        "rayStartParams": object_store(room),
        "template": template(build, crew, pool, container, here=here),
    }


def drain(seconds: int) -> Object:
    """Before a worker's end: its requests may finish."""
    return {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"sleep {seconds}; ray stop"]}}}


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
    build: Build,
    crew: Crew,
    pool: Pool,
    container: Object,
    *,
    here: Sequence[Site] = (),
    volumes: Sequence[Object] = (),
) -> Object:
    """A pod, with the models of its pool on a volume before it starts. Ray, not the kubelet, replaces a dead one."""
    spec, is_head = build.spec, container["name"] == "ray-head"
    component = crew.head if is_head else crew.worker
    pod = kube.some(
        restartPolicy="Never",
        serviceAccountName=crew.head_account if is_head else crew.worker_account,
        automountServiceAccountToken=is_head and crew.serves,
        priorityClassName=crew.priority,
        enableServiceLinks=False,
        securityContext=kube.pod_security(USER),
        **kube.placed(pool),
        topologySpreadConstraints=kube.spread({**names.selector(spec, component), GROUP: pool.name}),
        terminationGracePeriodSeconds=max((site.grace_s for site in here if crew.serves), default=GRACE_S),
        initContainers=[weights.fetcher(site) for site in here] or None,
        containers=[container],
        volumes=[kube.empty_dir(TMP_VOLUME, TMP_SIZE), *weights.shared_volume(here), *volumes],
    )
    return kube.pod_template(spec, component, pod)
