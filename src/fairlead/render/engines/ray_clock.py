"""Schedules on Ray: a RayService has no number of replicas that KEDA could set, so two CronJobs change its bounds.

They patch `serveConfigV2` alone: Serve takes new bounds of an autoscaler without a restart, and KubeRay leaves the
cluster as it is (docs.ray.io, RayService, "in-place update"). Applying the manifests again sets the usual bounds, until
the schedule begins the next time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from fairlead.catalog.components import component
from fairlead.errors import Problem, UserError
from fairlead.plan.service import Placement
from fairlead.render import kube, names, yaml
from fairlead.render.build import Build, Object, Part
from fairlead.render.engines.kuberay import serve
from fairlead.spec.deploy import Schedule
from fairlead.spec.types import Spec

FILE = "manifests/clock.yaml"
MOUNT = "/patches"
VOLUME = "patches"
DEADLINE_S = 3600  # a job that was missed while the cluster was away is still of use for so long
RETRIES = 5


def clock(build: Build) -> Iterator[Part]:
    """Patches, CronJobs, and an account that may patch this one RayService. Raises UserError for two schedules."""
    spec = build.spec
    schedules = spec.deploy.schedules if spec.deploy else {}
    if not schedules:
        return
    if len(schedules) > 1:
        message = "on Ray all models share one Serve configuration: two schedules would undo each other"
        raise UserError(problems=[Problem(message, subject="deploy.schedules", hint="leave one, for all its models")])
    [(name, schedule)] = schedules.items()
    meta = kube.metadata(spec, names.clock(spec), names.CLOCK, origin=f"deploy.schedules.{name}")
    yield FILE, {**kube.service_account(meta), "automountServiceAccountToken": True}
    yield from ((FILE, item) for item in rights(spec, meta))
    yield FILE, kube.config_map(meta, {"start.json": patch(raised(build, schedule)), "end.json": patch(build)})
    for moment, when in (("start", schedule.start), ("end", schedule.end)):
        here = kube.metadata(spec, f"{names.clock(spec)}-{moment}", names.CLOCK, origin=f"deploy.schedules.{name}")
        yield FILE, kube.thing("batch/v1", "CronJob", here, spec=cron_job(spec, moment, when, schedule.timezone))


def raised(build: Build, schedule: Schedule) -> Build:
    """The same, with so many replicas at least of the models that the schedule names."""

    def at_least(each: Placement) -> Placement:
        least = max(each.minimum, schedule.replicas) if each.model in schedule.models else each.minimum
        return replace(each, minimum=least, maximum=max(each.maximum, least))

    return replace(build, plan=replace(build.plan, placements=tuple(map(at_least, build.plan.placements))))


def patch(build: Build) -> str:
    """A merge patch of the RayService."""
    return json.dumps({"spec": {"serveConfigV2": yaml.dump(serve(build))}}, indent=1) + "\n"


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
