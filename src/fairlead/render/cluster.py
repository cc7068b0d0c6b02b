"""`gateway.json` as it stands in a cluster: it listens on every address; its upstreams are the target's Services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.plan.service import Placement
from fairlead.render import names
from fairlead.render.gateway import gateway_config
from fairlead.spec.types import RemoteModel, Spec

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - in a pod; who may connect is the NetworkPolicies' matter


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The Service that a model's engines answer behind.

    `path` stands before /v1; `served` is the model's name over there, "" where it is the public one. `objectives`: the
    InferenceObjectives of its pool, where an endpoint picker is asked, by the class of a request.
    """

    service: str
    port: int = names.ENGINE_PORT
    path: str = ""
    health_path: str = "/health"
    served: str = ""
    objectives: Mapping[str, str] | None = None

    def url(self, namespace: str) -> str:
        """The base URL that /v1 is added to. The whole name of the Service: it needs no search path to be found."""
        return f"http://{self.service}.{namespace}.svc.cluster.local:{self.port}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """The object whose number of replicas an autoscaler sets: one that has a scale subresource."""

    kind: str
    name: str
    api_version: str = "apps/v1"


def cluster_gateway(
    spec: Spec, upstreams: Mapping[str, Upstream], placements: Iterable[Placement], *, replicas: int
) -> dict[str, Any]:
    """The configuration for `replicas` gateways at most: each takes its share of the limits while Redis is away.

    What an engine takes at once, and how many engines there may be, is the plan's.
    """
    planned = {placement.model: placement for placement in placements}
    namespace = names.namespace(spec)
    urls = {model: (upstream.url(namespace),) for model, upstream in upstreams.items()}
    config = gateway_config(spec, state_dir=names.STATE_MOUNT, upstreams=urls)
    models = {
        name: {**model, **_reached(upstreams[name]), **_taken(planned[name])} if name in upstreams else model
        for name, model in config["models"].items()
    }
    return {
        **config,
        "listen": {"host": EVERY_ADDRESS, "port": names.GATEWAY_PORT},
        "admin": {"host": EVERY_ADDRESS, "port": names.ADMIN_PORT},
        "replicas": replicas,
        "models": models,
        "tls": None,  # ends at the listener of the Gateway, where the certificate is
    }


def rendered_models(spec: Spec) -> dict[str, Any]:
    """The models whose engines are rendered; the others are somebody else's."""
    return {name: model for name, model in spec.models.items() if not isinstance(model, RemoteModel)}


def _taken(placement: Placement) -> dict[str, int]:
    """How much the engines behind a Service take."""
    return {
        "max_model_len": placement.max_model_len,
        "max_num_seqs": placement.max_num_seqs,
        "engines": placement.maximum,
    }


def _reached(upstream: Upstream) -> dict[str, Any]:
    served = {"upstream_model": upstream.served} if upstream.served else {}
    objectives = {"objectives": dict(upstream.objectives)} if upstream.objectives else {}
    return {"health_path": upstream.health_path, **served, **objectives}
