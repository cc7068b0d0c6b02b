"""Batches on Ray: a RayJob, or a RayCronJob, whose cluster is there for one run and runs `fairlead batch run` itself.

The head's pod runs the command; it deploys the model with the configuration that the RayService's builder makes, and
gives it the rows by Ray Data. Facts of KubeRay 1.7: in HTTPMode the operator submits the command, with the cluster's
token, and no further pod does; a try after a failed one gets a cluster of its own, named like the RayJob with six more
characters (controllers/ray/rayjob_controller.go, utils/util.go); RayCronJob stands behind a feature gate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from fairlead.catalog.components import component
from fairlead.render import jobs as batches
from fairlead.render import kube, names, serve_config
from fairlead.render.build import Build, Object, Part
from fairlead.render.engines.kuberay import APPLICATION, served_model
from fairlead.render.engines.ray_pods import HEAD_PORTS, QUIET, Crew, engine_group, head_group, nodes, tmp_mount
from fairlead.render.engines.site import PROBE_EVERY_S, Site, sites
from fairlead.spec.jobs import Job
from fairlead.spec.types import Spec

FILE = "manifests/rayjobs.yaml"
COMMAND = "/opt/fairlead/bin/fairlead"  # in the image of delivery/images/ray.Dockerfile, beside Ray's own Python
CLUSTER_LABEL = "ray.io/cluster"  # on the pods of a cluster
CLUSTER_FILE = "cluster.json"
CONFIG_VOLUME = "cluster"
TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - the variable that KubeRay gives the token to pods in
KEPT_S = 300  # the cluster's logs, after the end


def ray_jobs(build: Build) -> Iterator[Part]:
    """What to deploy in a ConfigMap, and the job."""
    spec = build.spec
    for name, job in batches.jobs_of(spec, build.target, "ray"):
        full, origin = names.batch_job(spec, name), f"deploy.jobs.{name}"
        meta = kube.metadata(spec, full, names.BATCH, origin=origin)
        yield FILE, kube.config_map(meta, {CLUSTER_FILE: json.dumps(cluster_file(build, job), indent=1) + "\n"})
        made = ray_job(build, job, full)
        if job.schedule:
            when = {"schedule": job.schedule, "timeZone": job.timezone or "UTC"}
            yield FILE, kube.thing("ray.io/v1", "RayCronJob", meta, spec={**when, "jobTemplate": made})
        else:
            yield FILE, kube.thing("ray.io/v1", "RayJob", {**meta, "name": f"{full}-{digest(job)}"}, spec=made)


def digest(job: Job) -> str:
    """What has run does not run again because an image has changed: only another job is another one."""
    return names.short_digest(job.model_dump_json())[:5]


def ray_job(build: Build, job: Job, config: str) -> Object:
    """The RayJob's spec; `config` names the ConfigMap."""
    return {
        "entrypoint": entrypoint(job),
        "submissionMode": "HTTPMode",
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": KEPT_S,
        "activeDeadlineSeconds": int(job.deadline),
        "backoffLimit": batches.RETRIES,
        "rayClusterSpec": ray_cluster(build, job, config),
    }


def entrypoint(job: Job) -> str:
    """A line for the head's shell. The run's name is the RayJob's: its cluster's without what was added."""
    words = batches.words(job, f"${{{batches.RUN_VARIABLE}%-*}}")
    own = f"--engine=ray --cluster={names.CONFIG_MOUNT}/{CLUSTER_FILE}"
    return f"cd {batches.WORK_MOUNT} && {COMMAND} {' '.join(words)} {own}"


def ray_cluster(build: Build, job: Job, config: str) -> Object:
    """A cluster of a fixed size: a head that runs the command, and nodes with GPUs."""
    spec, site = build.spec, site_of(build, job)
    crew = batch_crew(spec)
    head = head_group(
        build,
        crew,
        [batches.work_volume(), {"name": CONFIG_VOLUME, "configMap": {"name": config}}],
        env=[*(kube.env(*each) for each in QUIET.items()), batches.run_variable(CLUSTER_LABEL)],
        volumeMounts=[
            tmp_mount(),
            kube.mount(batches.WORK_VOLUME, batches.WORK_MOUNT),
            kube.mount(CONFIG_VOLUME, names.CONFIG_MOUNT, read_only=True),
        ],
    )
    count = nodes([site], site.pool)
    bounds = {"replicas": count, "minReplicas": count, "maxReplicas": count}
    return {
        "rayVersion": component("ray").version,
        "authOptions": {"mode": "token"},
        "headGroupSpec": head,
        "workerGroupSpecs": [{**engine_group(build, crew, site.pool, [site]), **bounds}],
    }


def batch_crew(spec: Spec) -> Crew:
    """Rows are read and written by the head; engines read weights, as all engines do."""
    return Crew(
        head=names.BATCH_HEAD,
        worker=names.BATCH_ENGINE,
        head_account=names.batch(spec),
        worker_account=names.engine_account(spec),
        priority=names.priority(spec, names.BATCH),
        serves=False,
    )


def cluster_file(build: Build, job: Job) -> Object:
    """What `fairlead batch run --cluster` reads (ops/ray_batch.py: OwnCluster)."""
    site = site_of(build, job)
    return {
        "dashboard": f"http://127.0.0.1:{HEAD_PORTS['dashboard']}",
        "token_env": TOKEN,
        "app": APPLICATION,
        "models": {job.model: site.served},
        "start_timeout_s": float(site.startup_probes * PROBE_EVERY_S),
        "config": serve(site),
    }


def serve(site: Site) -> Object:
    """The Serve configuration; its router, which nobody asks, is on the head."""
    http = serve_config.Http(host="127.0.0.1", port=names.ENGINE_PORT, proxies="HeadOnly")
    return serve_config.serve_config(
        [served_model(site)], app=APPLICATION, http=http, ingress_resources=serve_config.HEAD
    )


def site_of(build: Build, job: Job) -> Site:
    """The job's model as the plan has it, on the job's own nodes."""
    site = planned_site(build, job)
    assert site is not None  # job_refusals
    count = job.replicas or 1
    return Site(build, replace(site.placement, pool=job.pool or site.pool.name, minimum=count, maximum=count))


def job_sites(build: Build) -> Iterator[Site]:
    """Every model that stands on a job's own nodes where the target is Ray: a cluster is made for all targets."""
    jobs = batches.jobs_of(build.spec, batches.RAY_TARGET, "ray")
    return (site_of(build, job) for _, job in jobs if planned_site(build, job))


def planned_site(build: Build, job: Job) -> Site | None:
    """Where the plan has the job's model; None where it has none."""
    route = build.spec.routes.get(job.model)
    model = route.model if route else job.model
    return next((site for site in sites(build) if site.served == model), None)
