"""A replica that needs several nodes: a leader that answers, and workers that only compute.

Sources: LeaderWorkerSet v1 (its webhook sets LWS_LEADER_ADDRESS, LWS_GROUP_SIZE, LWS_WORKER_INDEX), vLLM 0.30
docs/serving/parallelism_scaling (`--nnodes`, `--node-rank`, `--master-addr`, `--headless`).
"""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.render import kube, names
from fairlead.render.build import Object
from fairlead.render.engines import pod
from fairlead.render.engines.site import Site

GROUP = ("--nnodes=$(LWS_GROUP_SIZE)", "--node-rank=$(LWS_WORKER_INDEX)", "--master-addr=$(LWS_LEADER_ADDRESS)")


def leader_worker_set(site: Site, labels: Mapping[str, str]) -> Object:
    """One group a replica; all of it starts again when one of its pods does. Only leaders are in the pool."""
    leader = kube.pod_template(
        site.spec, names.ENGINE, pod.pod(site, [pod.server(site, more=GROUP)]), model=site.served
    )
    leader["metadata"]["labels"] |= labels
    spec = {
        "replicas": site.fixed_replicas or site.placement.minimum,
        "startupPolicy": "LeaderCreated",
        "leaderWorkerTemplate": {
            "size": site.hosts,
            "restartPolicy": "RecreateGroupOnPodRestart",
            "leaderTemplate": leader,
            "workerTemplate": worker(site),
        },
    }
    return kube.thing("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", site.metadata(), spec=spec)


def worker(site: Site) -> Object:
    """It has no port and no probes: nobody asks it, and its leader notices when it is gone."""
    container = pod.server(site, more=(*GROUP, "--headless"))
    quiet = {"ports", "startupProbe", "livenessProbe", "readinessProbe"}
    kept = {name: value for name, value in container.items() if name not in quiet}
    return kube.pod_template(site.spec, names.WORKER, pod.pod(site, [kept]), model=site.served)
