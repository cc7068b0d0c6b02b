"""Batches through the gateway: a Job, or a CronJob, that runs `fairlead batch run` in the gateway's own image.

The container is started again where it dies, and goes on from what lies in its pod; in a new pod it begins again. The
output appears at the end, whole: what is tried again after it has nothing to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part
from fairlead.render.jobs import (
    RETRIES,
    RUN_VARIABLE,
    WORK_MOUNT,
    WORK_SIZE,
    WORK_VOLUME,
    jobs_of,
    run_variable,
    words,
    work_volume,
)
from fairlead.spec.jobs import Job
from fairlead.spec.types import Spec

FILE = "manifests/jobs.yaml"
JOB_LABEL = "batch.kubernetes.io/job-name"  # on the pods of a Job: kubernetes.io, "Well-Known Labels"
MISSED_S = 3600  # a run that was missed while the cluster was away is still made within so long
CPU, MEMORY = "500m", "1Gi"  # one loop, and the ids of all rows
CONCURRENCY = 64
TMP_SIZE = "64Mi"
TMP_VOLUME = "tmp"


def jobs(build: Build) -> Iterator[Part]:
    """The account of all batches, and each of those that the gateway answers."""
    spec = build.spec
    if spec.deploy and spec.deploy.jobs:
        meta = kube.metadata(spec, names.batch(spec), names.BATCH, origin="deploy.jobs")
        yield FILE, kube.service_account(meta)
    for name, job in jobs_of(spec, build.target, "gateway"):
        yield FILE, scheduled(build, name, job) if job.schedule else once(build, name, job)


def scheduled(build: Build, name: str, job: Job) -> Object:
    """A CronJob; a run that lasts longer than it should keeps the next one away."""
    meta = kube.metadata(build.spec, names.batch_job(build.spec, name), names.BATCH, origin=f"deploy.jobs.{name}")
    return kube.thing(
        "batch/v1",
        "CronJob",
        meta,
        spec={
            "schedule": job.schedule,
            "timeZone": job.timezone or "UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": MISSED_S,
            "jobTemplate": {"spec": run(build, job)},
        },
    )


def once(build: Build, name: str, job: Job) -> Object:
    """A Job. Its pods cannot be changed any more, so that another command is another Job."""
    spec = run(build, job)
    digest = names.short_digest(json.dumps(spec, sort_keys=True))
    full = f"{names.batch_job(build.spec, name)}-{digest}"
    meta = kube.metadata(build.spec, full, names.BATCH, origin=f"deploy.jobs.{name}")
    return kube.thing("batch/v1", "Job", meta, spec=spec)


def run(build: Build, job: Job) -> Object:
    """The Job's spec."""
    return {
        "backoffLimit": RETRIES,
        "activeDeadlineSeconds": int(job.deadline),
        "template": kube.pod_template(build.spec, names.BATCH, pod(build, job)),
    }


def pod(build: Build, job: Job) -> Object:
    """The pod, where the gateways are too."""
    spec = build.spec
    return {
        "restartPolicy": "OnFailure",
        "serviceAccountName": names.batch(spec),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": names.priority(spec, names.BATCH),
        "securityContext": kube.pod_security(),
        **kube.placed(kube.general_pool(build.plan.pools)),
        "containers": [container(spec, job)],
        "volumes": [work_volume(), kube.empty_dir(TMP_VOLUME, TMP_SIZE)],
    }


def container(spec: Spec, job: Job) -> Object:
    """The command. The API key is read from its variable."""
    assert spec.deploy is not None
    return kube.container(
        names.BATCH,
        spec.deploy.images.gateway,
        command=["fairlead"],
        args=[*words(job, f"$({RUN_VARIABLE})"), f"--url={gateway_url(spec)}", f"--concurrency={concurrency(job)}"],
        env=[
            kube.env_secret(names.API_KEY, names.batch_secret(spec), job.api_key_env),
            kube.env("HOME", "/tmp"),  # noqa: S108 - the path inside the pod
            run_variable(JOB_LABEL),
        ],
        resources=kube.resources(cpu=CPU, memory=MEMORY, storage=WORK_SIZE),
        workingDir=WORK_MOUNT,
        volumeMounts=[kube.mount(WORK_VOLUME, WORK_MOUNT), kube.mount(TMP_VOLUME, "/tmp")],  # noqa: S108
    )


def concurrency(job: Job) -> int:
    """Requests at once."""
    return job.concurrency or CONCURRENCY


def gateway_url(spec: Spec) -> str:
    """The gateway's Service, from within."""
    return f"http://{names.gateway(spec)}.{names.namespace(spec)}.svc.cluster.local:{names.GATEWAY_PORT}"
