"""Batches on the Ray cluster of a service that runs here: who joins it, and what its models are called."""

from __future__ import annotations

import msgspec

from fairlead.batch.ray_engine import RayDataEngine
from fairlead.engine.ray.commands import Joined
from fairlead.errors import UserError
from fairlead.ops.client import running
from fairlead.ops.layout import Layout
from fairlead.ops.ray import CLUSTER, HEAD, ray_models
from fairlead.spec.load import load
from fairlead.spec.types import Spec


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
