"""A model on its pool: what every engine target looks at, and the values that its files must agree on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fairlead.catalog.accelerators import GIB
from fairlead.plan.memory import weight_bytes
from fairlead.plan.service import Placement, Pool
from fairlead.render import kube, names, pods
from fairlead.render.build import Build, Object
from fairlead.render.platform.scaling import schedules_of
from fairlead.spec.types import Spec, VllmModel

CLOSE_AFTER_S = 5
"""A pod still gets requests for so long after its end was decided: until every proxy has heard of it."""
SPARE_S = 15
"""After the last request: what an engine needs to let go of its GPUs."""
SPOT_NOTICE_S: Mapping[str, int] = {"aws": 120, "gcp": 30, "azure": 30}
"""How long before it takes a spot node away a cloud says so (their documentation of spot instances, 2026-11-20)."""
STARTUP_MARGIN = 2.0
"""A start may take twice what is expected: a probe that gives up too early starts the same load again, for ever."""
PROBE_EVERY_S = 10


@dataclass(frozen=True, slots=True)
class Site:
    """One model of the spec with its placement."""

    build: Build
    placement: Placement

    @property
    def spec(self) -> Spec:
        """The whole spec."""
        return self.build.spec

    @property
    def model(self) -> VllmModel:
        """The model as the spec has it; only those of vLLM are placed."""
        model = self.spec.models[self.placement.model]
        assert isinstance(model, VllmModel)
        return model

    @property
    def served(self) -> str:
        """The name that callers say, and the engine answers to."""
        return self.placement.model

    @property
    def name(self) -> str:
        """Of its objects."""
        return names.engine(self.spec, self.placement.model)

    @property
    def pool(self) -> Pool:
        """The nodes that it is on."""
        return self.build.plan.pool_of(self.placement)

    @property
    def origin(self) -> str:
        """The part of the spec that its objects are made of."""
        return f"models.{self.placement.model}"

    @property
    def hosts(self) -> int:
        """Nodes that one replica needs."""
        return math.ceil(self.placement.gpus / self.pool.instance.gpus)

    @property
    def gpus_a_host(self) -> int:
        """GPUs of one replica on one node."""
        return self.placement.gpus // self.hosts

    @property
    def scales(self) -> bool:
        """Whether something else decides how many replicas there are."""
        return self.placement.minimum != self.placement.maximum or bool(schedules_of(self.spec, self.served))

    @property
    def fixed_replicas(self) -> int | None:
        """The number of replicas where nothing else decides it: an autoscaler is not undone by a rendering."""
        return None if self.scales else self.placement.maximum

    @property
    def drain_s(self) -> int:
        """How long running requests may go on when a pod ends; on a spot node not longer than the cloud lets it."""
        wanted = math.ceil(self.spec.gateway.drain_timeout)
        if not self.pool.spot:
            return wanted
        return max(1, min(wanted, SPOT_NOTICE_S[self.build.plan.cloud.lower()] - CLOSE_AFTER_S - SPARE_S))

    @property
    def grace_s(self) -> int:
        """`terminationGracePeriodSeconds`: routes closed, requests finished, GPUs free."""
        return CLOSE_AFTER_S + self.drain_s + SPARE_S

    @property
    def startup_probes(self) -> int:
        """Probes, one every `PROBE_EVERY_S`, that may fail before a start counts as failed."""
        return math.ceil(max(STARTUP_MARGIN * self.placement.startup_s, self.model.start_timeout) / PROBE_EVERY_S)

    @property
    def weights_gib(self) -> int:
        """Disk that the model's files take, with a tenth to spare, in GiB."""
        on_disk = weight_bytes(self.placement.deployment) * self.placement.gpus
        return math.ceil(1.1 * on_disk / GIB) + 1

    @property
    def selector(self) -> Mapping[str, str]:
        """The labels that its pods are found by."""
        return pods.selector(self.build, names.ENGINE, self.placement.model)

    def metadata(self, name: str = "", annotations: Mapping[str, str] | None = None) -> Object:
        """Of an object of this model."""
        return kube.metadata(
            self.spec, name or self.name, names.ENGINE, origin=self.origin, model=self.served, annotations=annotations
        )


def sites(build: Build) -> Iterator[Site]:
    """Every placed model, by name."""
    yield from (Site(build, each) for each in sorted(build.plan.placements, key=lambda each: each.model))


def file_of(site: Site) -> str:
    """The file of a model's objects."""
    return f"manifests/engine-{names.slug(site.served)}.yaml"
