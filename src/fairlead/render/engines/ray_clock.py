"""Schedules on Ray: a RayService has no number of replicas that KEDA could set, so two CronJobs change its bounds.

They patch `serveConfigV2` alone: KubeRay leaves the cluster as it is (docs.ray.io, RayService, "in-place update"), and
no replica starts again as long as the application's arguments stay the same (Ray 2.60, serve/_private/deploy_utils.py:
get_app_code_version): the bounds stand beside them. Applying the manifests again sets the usual bounds, until the
schedule begins the next time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from fairlead.catalog.components import component
from fairlead.render import kube, names, serve_config, yaml
from fairlead.render.build import Build, Object, Part
from fairlead.render.engines.kuberay import serve
from fairlead.render.engines.site import Site, sites
from fairlead.spec.deploy import Schedule
from fairlead.spec.types import Spec

FILE = "manifests/clock.yaml"
MOUNT = "/patches"
VOLUME = "patches"
DEADLINE_S = 3600  # a job that was missed while the cluster was away is still of use for so long
RETRIES = 5


def clock(build: Build) -> Iterator[Part]:
    """Patches, CronJobs, and an account that may patch this one RayService; there is one schedule at most."""
    spec = build.spec
    schedules = spec.deploy.schedules if spec.deploy else {}
    if not schedules:
        return
    [(name, schedule)] = schedules.items()
    meta = kube.metadata(spec, names.clock(spec), names.CLOCK, origin=f"deploy.schedules.{name}")
    yield FILE, {**kube.service_account(meta), "automountServiceAccountToken": True}
    yield from ((FILE, item) for item in rights(spec, meta))
    yield FILE, kube.config_map(meta, {"start.json": patch(raised(build, schedule)), "end.json": patch(serve(build))})
    for moment, when in (("start", schedule.start), ("end", schedule.end)):
        here = kube.metadata(spec, f"{names.clock(spec)}-{moment}", names.CLOCK, origin=f"deploy.schedules.{name}")
        yield FILE, kube.thing("batch/v1", "CronJob", here, spec=cron_job(spec, moment, when, schedule.timezone))


def raised(build: Build, schedule: Schedule) -> Object:
    """The Serve configuration while the schedule lasts: the same, with other bounds for its models."""
    config = serve(build)
    [application] = config["applications"]
    chosen = [site for site in sites(build) if site.served in schedule.models]
    application["deployments"] = [bounds(site, schedule.replicas) for site in chosen]
    return config


def bounds(site: Site, least: int) -> Object:
    """At least so many replicas of a model. Ray names the deployment (llm/_internal/serve/core/server/builder.py)."""
    placed, usual = site.placement, serve_config.Replicas()
    config = {
        "min_replicas": max(placed.minimum, least),
        "max_replicas": max(placed.maximum, least),
        "target_ongoing_requests": placed.ongoing,
        "upscale_delay_s": usual.upscale_delay_s,
        "downscale_delay_s": usual.downscale_delay_s,
    }
    name = site.served.replace("/", "--").replace(".", "_")
    return {"name": f"LLMServer:{name}", "autoscaling_config": config}


def patch(config: Object) -> str:
    """A merge patch of the RayService."""
    return json.dumps({"spec": {"serveConfigV2": yaml.dump(config)}}, indent=1) + "\n"


def cron_job(spec: Spec, moment: str, when: str, timezone: str) -> Object:
    """One patch, at that time of that clock."""
    job = {"backoffLimit": RETRIES, "template": kube.pod_template(spec, names.CLOCK, pod(spec, moment))}
    return {
        "schedule": when,
        "timeZone": timezone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": DEADLINE_S,
        "jobTemplate": {"spec": job},
    }


def pod(spec: Spec, moment: str) -> Object:
    """kubectl, with the right to patch and nothing else."""
    words = ["patch", "rayservices.ray.io", names.ray(spec), "-n", names.namespace(spec), "--type", "merge"]
    return {
        "restartPolicy": "OnFailure",
        "serviceAccountName": names.clock(spec),
        "enableServiceLinks": False,
        "securityContext": kube.pod_security(),
        "containers": [
            kube.container(
                names.CLOCK,
                component("kubectl").image,
                command=["kubectl"],
                args=[*words, "--patch-file", f"{MOUNT}/{moment}.json"],
                resources=kube.resources(cpu="50m", memory="128Mi"),
                volumeMounts=[kube.mount(VOLUME, MOUNT, read_only=True)],
            )
        ],
        "volumes": [{"name": VOLUME, "configMap": {"name": names.clock(spec)}}],
    }


def rights(spec: Spec, meta: Object) -> Iterator[Object]:
    """To patch the one RayService."""
    group = "rbac.authorization.k8s.io"
    rule = {
        "apiGroups": ["ray.io"],
        "resources": ["rayservices"],
        "resourceNames": [names.ray(spec)],
        "verbs": ["get", "patch"],
    }
    yield kube.thing(f"{group}/v1", "Role", meta, rules=[rule])
    account = {"kind": "ServiceAccount", "name": names.clock(spec), "namespace": names.namespace(spec)}
    reference = {"apiGroup": group, "kind": "Role", "name": names.clock(spec)}
    yield kube.thing(f"{group}/v1", "RoleBinding", meta, roleRef=reference, subjects=[account])
