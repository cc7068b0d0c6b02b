"""What a batch could not do, or what of it nothing would act on, refused before anything is rendered."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import names
from fairlead.render.build import Build
from fairlead.render.engines.ray_jobs import planned_site
from fairlead.render.jobs import RAY_TARGET, engine_of
from fairlead.spec.jobs import RUN, Job
from fairlead.spec.problems import Finding, Path, nearest

LONGEST = 41  # a RayJob's name has 47 characters at most, and RayCronJob adds 6 to its own (KubeRay, utils/constant.go)
SCHEMES = {"aws": "s3", "gcp": "gs"}
"""Of a cloud's own object store, for which its pods have an identity. On Azure none is told its storage account."""
OF_AN_ENGINE = {"gateway": ("concurrency", "api_key_env"), "ray": ("replicas", "pool")}


def job_refusals(build: Build) -> Iterator[Finding]:
    """Everything that keeps the jobs of this build's target from doing what the file says."""
    deploy = build.spec.deploy
    for name, job in deploy.jobs.items() if deploy else ():
        path: Path = ("deploy", "jobs", name)
        yield from _is_named(build, name, path)
        yield from _runs(job, path)
        yield from _reaches(build, job, path)
        yield from _fields(job, path)
        yield from _on_ray(build, job, path) if engine_of(job, build.target) == "ray" else _by_gateway(build, job, path)


def _is_named(build: Build, name: str, path: Path) -> Iterator[Finding]:
    full = names.batch_job(build.spec, name)
    if len(full) > LONGEST:
        message = f"it would be called {full}, of at most {LONGEST} characters"
        yield Finding(path, message, "a shorter name", at_key=True)


def _runs(job: Job, path: Path) -> Iterator[Finding]:
    if job.schedule and RUN not in job.output:
        message = "the second run would find the output of the first, and do nothing"
        yield Finding((*path, "output"), message, f"put {RUN} into its name, which differs from run to run")
    if job.timezone and not job.schedule:
        yield Finding((*path, "timezone"), "there is no schedule for it", "add schedule: 0 2 * * *, or leave it out")


def _reaches(build: Build, job: Job, path: Path) -> Iterator[Finding]:
    cloud = build.plan.cloud.lower()
    for field, place in (("input", job.input), ("output", job.output)):
        if place.partition(":")[0] != SCHEMES.get(cloud):
            hint = f"a bucket in {SCHEMES[cloud]}://" if cloud in SCHEMES else "jobs run on AWS and Google Cloud"
            yield Finding((*path, field), f"pods on {cloud} have no identity for it", hint)


def _fields(job: Job, path: Path) -> Iterator[Finding]:
    """What only the other engine would act on. Where the target decides, each has its own."""
    for other, fields in OF_AN_ENGINE.items():
        for field in fields if job.engine not in (None, other) else ():
            if getattr(job, field) is not None:
                message = f"these rows are answered by engine {job.engine}, for which this says nothing"
                yield Finding((*path, field), message, f"engine: {other}, or leave it out")


def _by_gateway(build: Build, job: Job, path: Path) -> Iterator[Finding]:
    public = {*build.spec.models, *build.spec.routes}
    if job.model not in public:
        yield _no_model(job, path, public)


def _no_model(job: Job, path: Path, known: set[str]) -> Finding:
    message = f"nothing answers to {job.model!r} there"
    return Finding((*path, "model"), message, nearest(job.model, known, otherwise="names"))


def _on_ray(build: Build, job: Job, path: Path) -> Iterator[Finding]:
    assert build.spec.deploy is not None
    if build.target != RAY_TARGET:
        message = f"target {build.target} has no Ray"
        yield Finding((*path, "engine"), message, f"render for {RAY_TARGET}, or engine: gateway")
        return
    if build.spec.deploy.images.ray is None:
        message = "the image of Ray's makers has no Fairlead in it, which reads and writes the rows"
        hint = "build delivery/images/ray.Dockerfile and name it in deploy.images.ray, or engine: gateway"
        yield Finding(path, message, hint, at_key=True)
    site = planned_site(build, job)
    if site is None:
        placed = {each.model for each in build.plan.placements}
        yield _no_model(job, path, placed | {name for name, to in build.spec.routes.items() if to.model in placed})
        return
    pools = {pool.name: pool for pool in build.plan.pools}
    pool = pools.get(job.pool or site.pool.name)
    if pool is None:
        yield Finding((*path, "pool"), f"there is no pool {job.pool!r}", nearest(job.pool or "", pools))
    elif (pool.instance.gpu, pool.instance.gpus) != (site.pool.instance.gpu, site.pool.instance.gpus):
        mine, planned = pool.instance, site.pool.instance
        message = f"{job.model} is planned for {planned.gpus} x {planned.gpu} on a node, this pool has "
        message += f"{mine.gpus} x {mine.gpu}" if mine.gpus else "no GPUs"
        yield Finding((*path, "pool"), message, f"an instance like {planned.name}")
