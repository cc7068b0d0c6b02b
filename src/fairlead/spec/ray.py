"""What the user says about Ray: the cluster, and how far a model scales on it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.types import Strict

from fairlead.spec.fields import Closed, Count, EnvironmentVariable, Text, Url
from fairlead.units import Seconds

Cpus = Annotated[float, Strict(), Field(gt=0, le=1024, allow_inf_nan=False)]


class RayScaling(Closed):
    """Ray Serve's autoscaling of a model: from `replicas` on up to `max`."""

    max: Count = Field(ge=2, le=1024)
    """At most so many replicas."""
    target_ongoing_requests: Annotated[float, Strict(), Field(gt=0, le=100_000, allow_inf_nan=False)]
    """Requests, running and queued, that a replica should have; Ray adds and takes away replicas by it."""
    upscale_delay: Seconds = Field(30.0, ge=0)
    """For so long there have to be too many before a replica is added."""
    downscale_delay: Seconds = Field(600.0, ge=0)
    """For so long there have to be too few before a replica is taken away."""


class Ray(Closed):
    """The Ray cluster of models with engine ray, and of all with `up --engine ray`: one that `up` starts here, or one
    that runs already."""

    address: Url | None = None
    """URL of the dashboard of a cluster that runs already. Default: `up` starts a cluster on this machine."""
    serve_url: Url | None = None
    """URL of Ray Serve's proxy in that cluster; the gateway calls it."""
    token_env: EnvironmentVariable | None = None
    """Name of the environment variable with that cluster's token. Default: it asks for none."""
    python: Text | None = None
    """The Python interpreter with ray[serve] and vLLM. Default: the one that runs Fairlead."""
    nodes: Count = Field(1, ge=1, le=8)
    """Ray nodes to start on this machine; with more than one, the death of a node can be tried."""
    cpus: Cpus | None = None
    """CPUs that each node offers. Default: as many as the machine has."""
