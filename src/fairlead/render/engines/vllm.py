"""Plain vLLM: a Deployment and a Service for each model."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part
from fairlead.render.engines.pod import pod, progress_deadline_s, server
from fairlead.render.engines.site import Site, file_of, sites


def vllm(build: Build) -> Iterator[Part]:
    """Every placed model."""
    for site in sites(build):
        yield file_of(site), kube.thing("apps/v1", "Deployment", site.metadata(), spec=deployment(site))
        yield file_of(site), kube.service(site.metadata(), site.selector, {names.HTTP: names.ENGINE_PORT})


def deployment(site: Site) -> Object:
    """The Deployment's spec."""
    return kube.some(
        replicas=site.fixed_replicas,
        selector={"matchLabels": dict(site.selector)},
        strategy=strategy(site),
        progressDeadlineSeconds=progress_deadline_s(site),
        template=kube.pod_template(site.spec, names.ENGINE, pod(site, [server(site)]), model=site.served),
    )


def strategy(site: Site) -> Object:
    """A new pod first where the pool has GPUs for one more at its fullest; else an old one has to go before."""
    steps = {"maxSurge": 1, "maxUnavailable": 0} if has_spare_gpus(site) else {"maxSurge": 0, "maxUnavailable": 1}
    return {"type": "RollingUpdate", "rollingUpdate": steps}


def has_spare_gpus(site: Site) -> bool:
    """Whether one replica fits beside all that the pool may ever hold."""
    taken = sum(each.gpus * each.maximum for each in site.build.plan.placements if each.pool == site.pool.name)
    return taken + site.placement.gpus <= site.pool.maximum * site.pool.instance.gpus
