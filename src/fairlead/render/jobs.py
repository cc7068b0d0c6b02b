"""What a batch of the file comes to on a target: who answers its rows, and its command line, the same for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fairlead.render import kube
from fairlead.render.build import Object
from fairlead.spec.jobs import RUN, Job
from fairlead.spec.types import Spec

Engine = Literal["gateway", "ray"]
RUN_VARIABLE = "RUN"
WORK_VOLUME, WORK_MOUNT = "work", "/work"
WORK_SIZE = "20Gi"  # the rows, and the answers until they are whole
RETRIES = 2
RAY_TARGET = "kuberay"


def engine_of(job: Job, target: str) -> Engine:
    """Who answers its rows."""
    return job.engine or ("ray" if target == RAY_TARGET else "gateway")


def jobs_of(spec: Spec, target: str, engine: Engine) -> Iterator[tuple[str, Job]]:
    """The jobs, by name, whose rows that engine answers."""
    jobs = spec.deploy.jobs if spec.deploy else {}
    return ((name, job) for name, job in sorted(jobs.items()) if engine_of(job, target) == engine)


def words(job: Job, run: str) -> list[str]:
    """`fairlead batch run` after its name; `run` is how the command learns the run's name."""
    return ["batch", "run", job.input, job.output.replace(RUN, run), f"--model={job.model}", "--unattended"]


def run_variable(label: str) -> Object:
    """The run's name, out of a label that its controller puts on the pod."""
    return {"name": RUN_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}


def work_volume() -> Object:
    """What a run that died in its container goes on from."""
    return kube.empty_dir(WORK_VOLUME, WORK_SIZE)
