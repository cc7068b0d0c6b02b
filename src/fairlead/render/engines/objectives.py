"""Who goes first where a pool of engines is full: two InferenceObjectives a pool, one for each class of requests.

The gateway names one of them with each request, in the header that the endpoint picker reads (`gateway/tables.py`).
Roles share an engine by weight, and a weight is no priority: only those that wait (`fairness.batch_roles`, rows of
batches, `x-fairlead-priority: batch`) are told apart from the others.
Sources: llm-d-router 0.10, apix/v1alpha2 and pkg/epp/flowcontrol/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.render import kube
from fairlead.render.build import Object
from fairlead.render.engines.site import Site

API = "llm-d.ai/v1alpha2"
PRIORITIES: Mapping[str, int] = {"interactive": 1, "batch": -1}
"""Between the two stands 0: what a picker takes for a request that names none, which no request of ours is."""


def named(pool: str) -> dict[str, str]:
    """A pool's objectives, by the class of a request."""
    return {kind: f"{pool}-{kind}" for kind in PRIORITIES}


def objectives(site: Site, pool: str, group: str) -> Iterator[Object]:
    """What the picker looks the names up in."""
    for kind, name in named(pool).items():
        spec = {"priority": PRIORITIES[kind], "poolRef": {"group": group, "kind": "InferencePool", "name": pool}}
        yield kube.thing(API, "InferenceObjective", site.metadata(name), spec=spec)


def flow_control(site: Site) -> Object:
    """Of the picker's configuration: without it a priority is nothing but a reason to refuse a request when full.

    A request waits in the picker as long as the gateway would wait for it; what the picker has by itself is a minute.
    """
    return {
        "featureGates": ["flowControl"],
        "flowControl": {"defaultRequestTTL": f"{int(site.spec.gateway.timeout)}s"},
    }
