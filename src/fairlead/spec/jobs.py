"""Batches that run in the cluster: rows from an object store, answered once or by a schedule.

Each field is enforced by what is rendered of it (`fairlead.render.platform.jobs`, `fairlead.render.engines.ray_jobs`).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fairlead.spec.consumption import Timezone
from fairlead.spec.cron import Cron
from fairlead.spec.fields import Closed, Count, EnvironmentVariable, Label, PublicName
from fairlead.spec.problems import FieldError
from fairlead.units import Seconds

RUN = "{run}"
"""In the name of an output: what differs from run to run, and is the same for each try of one."""
PLACE = r"(s3|gs)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[A-Za-z0-9][A-Za-z0-9._=-]*)+"
HINT = "letters, digits and . _ = - between slashes: s3://rows/nightly/questions.jsonl"


def _check_place(place: str) -> str:
    if not re.fullmatch(PLACE, place, re.ASCII):
        raise FieldError(f"{place[:80]!r} is no object in s3:// or gs://", HINT)
    if not place.endswith(".jsonl"):
        raise FieldError(f"{place[-40:]!r} is not named .jsonl", "a pod reads and writes JSON Lines")
    return place


def _check_output(place: str) -> str:
    _check_place(place.replace(RUN, "run"))
    return place


Place = Annotated[str, AfterValidator(_check_place)]
Output = Annotated[str, AfterValidator(_check_output)]


class Job(Closed):
    """Rows in a file, each answered once: `fairlead batch run` in the cluster."""

    model: PublicName
    """Model or route that the rows are for; those for another one are errors."""
    input: Place
    """Rows as JSON Lines, in s3:// or gs://."""
    output: Output
    """Where the answers go; `{run}` in it is the run's own name, which a job with a schedule needs. Rows without an
    answer stand beside it in .errors.jsonl."""
    schedule: Cron | None = None
    """When: minute hour day month weekday. Default: once."""
    timezone: Timezone | None = None
    """Where the schedule is on the clock, summer time included. Default: UTC."""
    engine: Literal["gateway", "ray"] | None = None
    """gateway: over HTTP, behind all other callers. ray: on GPUs of its own, past limits, budgets and the ledger; only
    for target kuberay, and the default there."""
    concurrency: Count | None = Field(None, ge=1, le=4096)
    """Requests at once; only for engine gateway. Default: 64."""
    api_key_env: EnvironmentVariable | None = None
    """Secret with the API key, by the name that it has in the store of secrets; only for engine gateway.
    Default: FAIRLEAD_API_KEY."""
    replicas: Count | None = Field(None, ge=1, le=256)
    """Engines of its own; only for engine ray. Default: 1."""
    pool: Label | None = None
    """Pool of hardware.pools for them, with the GPUs of the model's own; only for engine ray. Default: that one."""
    deadline: Seconds = Field(86_400.0, ge=60)
    """A run that is not done by then is ended."""
