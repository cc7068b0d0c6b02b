"""Batches on Ray: on the cluster of a service that runs here, or on one that is there for this batch alone.

The second is a job's in Kubernetes: the operator has started its nodes and runs the command on its head; the models of
the rendered file are deployed first, by the configuration that RayService would get.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from fairlead.batch.ray_engine import RayDataEngine
from fairlead.engine.ray.commands import Joined
from fairlead.engine.ray.dashboard import Dashboard
from fairlead.engine.ray.keeper import explained
from fairlead.engine.ray.view import HOPELESS, UP, view
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops.client import running
from fairlead.ops.layout import Layout
from fairlead.ops.ray import CLUSTER, HEAD, ray_models
from fairlead.spec.load import load
from fairlead.spec.types import Spec

POLL_S = 2.0
JOINED = Joined("python", "auto", {})  # on a node of the cluster, whose own Python and address these are


class OwnCluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of `render/engines/ray_jobs.py`: what to deploy, and within how many seconds it has to be up.

    `models`: the name that rows say -> the name of the model on Ray. `token_env` names the variable with its token.
    """

    dashboard: str
    token_env: str
    app: str
    models: dict[str, str]
    start_timeout_s: float
    config: dict[str, Any]


def ray_data(layout: Layout) -> RayDataEngine:
    """The engine. Raises UserError where the service does not run, or has started no cluster."""
    run = running(layout)
    if HEAD not in {service.name for service in run.services}:
        hint = "without `ray.address` and with a model of engine ray `up` starts one; --engine http needs none"
        raise UserError("this service has started no Ray cluster", where=str(layout.file), hint=hint)
    spec = load(layout.file, run.overlay, engine=run.engine)
    cluster = msgspec.json.decode((layout.ray / CLUSTER).read_bytes(), type=Joined)
    return RayDataEngine(layout.ray, cluster, spec.name, public_names(spec))


def public_names(spec: Spec) -> dict[str, str]:
    """What callers may say -> the model on Ray that answers."""
    on_ray = set(ray_models(spec))
    routes = {name: route.model for name, route in spec.routes.items() if route.model in on_ray}
    return {**routes, **{name: name for name in on_ray}}


def on_own_cluster(file: Path, environ: Mapping[str, str]) -> RayDataEngine:
    """The engine, as soon as the file's models are up. Raises UserError where they do not come up."""
    try:
        own = msgspec.json.decode(file.read_bytes(), type=OwnCluster)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(file)) from error
    except msgspec.MsgspecError as error:
        raise UserError(f"is no file of a Ray cluster: {error}", where=str(file), hint="render it again") from error
    try:
        with Dashboard(own.dashboard, environ.get(own.token_env, "")) as dashboard:
            deploy(own, dashboard)
    except httpx.HTTPError as error:
        message = f"{own.dashboard} does not answer: {error or type(error).__name__}"
        raise UserError(message, exit_code=EXIT_FAILED) from error
    return RayDataEngine(Path.cwd(), JOINED, own.app, own.models)


def deploy(own: OwnCluster, dashboard: Dashboard) -> None:
    """Make the cluster serve the models, and wait until it does. Raises UserError."""
    said, ends = "too late", time.monotonic() + own.start_timeout_s
    dashboard.deploy(own.config)
    while time.monotonic() < ends:
        try:
            seen = view(own.app, (), dashboard.serve(), 0)
        except httpx.HTTPError as error:
            said = f"{own.dashboard} does not answer: {error or type(error).__name__}"
        else:
            if seen.state == UP:
                return
            said = explained(seen) or said
            if seen.state == HOPELESS:
                break
        time.sleep(POLL_S)
    raise UserError(f"Ray has not started {', '.join(own.models)}: {said}", exit_code=EXIT_FAILED)
