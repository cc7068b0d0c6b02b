"""What a service is sized by: how much is asked of a model, how fast it has to be, and which hardware there may be.

Each is enforced by the plan (`fairlead.plan.place`), and the plan by the manifests that are rendered from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.types import Strict

from fairlead.spec.consumption import PositiveRate, PriceText
from fairlead.spec.fields import Closed, Count, Label, Share, Text
from fairlead.spec.problems import FieldError
from fairlead.units import Money, Seconds

Cloud = Literal["aws", "gcp", "azure"]
Tokens = Annotated[int, Strict(), Field(ge=1, le=10_000_000)]
Availability = Annotated[float, Strict(), Field(ge=0.5, lt=1, allow_inf_nan=False)]
QuantizationName = Literal["awq", "gptq", "fp8", "bitsandbytes"]


def _check_dollars(price: Money) -> Money:
    if price.currency != "USD":
        raise FieldError("must be in USD, as the catalog's prices are", f"for example {price.amount:f} USD")
    return price


HourPrice = Annotated[PriceText, AfterValidator(_check_dollars)]


class Workload(Closed):
    """What is asked of a model at its busiest."""

    rate: PositiveRate
    """Requests at the busiest time, for example 5/s or 300/min."""
    prompt: Tokens
    """Tokens of a prompt, in the mean."""
    output: Tokens
    """Tokens of an answer, in the mean."""
    prompt_p95: Tokens | None = None
    """Tokens that 95 % of the prompts stay below. Default: all are alike."""
    output_p95: Tokens | None = None
    """Tokens that 95 % of the answers stay below. Default: all are alike."""
    prefix_share: Share = 0.0
    """Share of a prompt that the engine finds in its prefix cache: a system prompt that all have, for example."""


class Slo(Closed):
    """What callers are promised of a model."""

    ttft_p95: Seconds | None = Field(None, gt=0)
    """95 % of the requests have their first token by then. Default in a plan: 2s."""
    tpot_p95: Seconds | None = Field(None, gt=0)
    """95 % of the answers come with at most this time between tokens. Default in a plan: 100ms."""
    availability: Availability | None = None
    """Share of the requests that are answered, for example 0.999. From 0.99 on a plan has two replicas or more."""


class Autoscaling(Closed):
    """Between how many replicas a model scales with its load."""

    min: Count = Field(1, ge=0, le=1024)
    """At least so many; 0 lets a model sleep where the target can wake it up."""
    max: Count = Field(ge=1, le=1024)
    """At most so many."""


class Planned(Closed):
    """What a plan needs to know of a model that runs on GPUs."""

    shape: Text | None = None
    """The catalog's name of the architecture, or the path of a config.json. Default: found by the source's name."""
    pool: Label | None = None
    """The pool of hardware.pools that it runs on. Default: the plan chooses the cheapest that keeps the SLO."""
    workload: Workload | None = None
    """What is asked of it. With it the plan says how many replicas there are, unless `replicas` is written."""
    slo: Slo | None = None
    """What callers are promised."""
    autoscaling: Autoscaling | None = None
    """How far it scales. Default: the number of replicas is fixed."""
    may_quantize: tuple[QuantizationName, ...] = ()
    """Quantisations that a plan may choose where they are cheaper; whether the answers stay good is yours to judge."""


class NodePool(Closed):
    """Equal nodes."""

    instance: Text
    """The cloud's name of the machine, for example g6.xlarge."""
    spot: Annotated[bool, Strict()] = False
    """Nodes that cost less, and that the cloud may take away at any time."""
    min: Count = Field(0, ge=0, le=1000)
    """At least so many nodes."""
    max: Count = Field(10, ge=1, le=1000)
    """At most so many nodes; a plan that needs more is refused."""


class HourPrices(Closed):
    """What an hour of an instance costs you, where that differs from the catalog."""

    on_demand: HourPrice
    """The full price of an hour, for example 0.80 USD."""
    spot: HourPrice | None = None
    """The spot price of an hour. Default: the catalog's."""


class Hardware(Closed):
    """Where the service runs, and on what."""

    cloud: Cloud
    """The cloud: aws, gcp or azure."""
    region: Text
    """The cloud's name of the region, for example us-east-1."""
    instances: tuple[Text, ...] = ()
    """Instances that a plan may choose from. Default: all of the cloud that the catalog knows."""
    pools: Mapping[Label, NodePool] = Field(default_factory=dict)
    """Pools of nodes by name. Where some have GPUs, models stand on these; a plan adds one without GPUs if need be."""
    spot: Share = 0.0
    """Largest share of all replicas that a plan may put on spot nodes; a model runs on one pool as a whole."""
    headroom: Annotated[float, Strict(), Field(ge=0, le=10, allow_inf_nan=False)] = 0.2
    """How much more than the stated rate the replicas can take: 0.2 is a fifth."""
    spare: Count = Field(1, ge=0, le=100)
    """Further replicas of each model, so that one may be lost."""
    prices: Mapping[Text, HourPrices] = Field(default_factory=dict)
    """Your prices, by instance."""
