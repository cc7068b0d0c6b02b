"""How the service stands in a cluster: where, under which name, from which images, with which secrets and stores."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from fairlead.spec.consumption import Timezone
from fairlead.spec.cron import Cron
from fairlead.spec.engines import Disaggregation, KServe, LlmD, RayCluster
from fairlead.spec.fields import Closed, Count, Label, ModelName, Port, Text
from fairlead.spec.jobs import Job
from fairlead.spec.problems import FieldError
from fairlead.units import Bytes, Seconds

PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")  # RFC 1918


def _check_image(image: str) -> str:
    """A tag that moves is no version: what was tested is not what runs after the next restart."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._:/-]*?(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?", image):
        raise FieldError(f"{image[:60]!r} is no image", "registry/name:version, or registry/name@sha256:...")
    last = image.rpartition("/")[2]
    if "@" not in last and (":" not in last or last.endswith(":latest")):
        raise FieldError(f"{image[:60]!r} does not say which version", "give it a tag other than latest, or a digest")
    return image


def _check_hostname(name: str) -> str:
    part = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(name) > 253 or not re.fullmatch(rf"{part}(\.{part})+", name):
        raise FieldError(f"{name[:60]!r} is no host name", "small letters, digits, dashes, dots: llm.example.com")
    return name


def _check_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise FieldError(
            f"{text[:60]!r} is no network", "an address and the length of its prefix: 10.0.0.0/16"
        ) from None


Image = Annotated[str, AfterValidator(_check_image)]
Hostname = Annotated[str, AfterValidator(_check_hostname)]
Network = Annotated[str, AfterValidator(_check_network)]
Access = Literal["ReadWriteOnce", "ReadWriteMany"]


class Images(Closed):
    """The images that run, each with its version."""

    gateway: Image
    """The image of the gateway, built from the rendered Dockerfile."""
    vllm: Image | None = None
    """The image of vLLM on targets vllm, llm-d and kserve. Default: vLLM's own, of the version in the catalog."""
    ray: Image | None = None
    """The image of Ray's head and workers. Default: Ray's own for LLMs, of the version in the catalog."""
    triton: Image | None = None
    """The image of Triton with vLLM in it. Default: NVIDIA's own, of the version in the catalog."""


class Ingress(Closed):
    """How callers outside the cluster reach the gateway: a listener of the Gateway API, with TLS."""

    hostname: Hostname
    """Name that callers use, and that the certificate is for."""
    gateway_class: Label
    """GatewayClass of the cluster: istio, envoy-gateway, gke-l7-global-external-managed and the like."""
    issuer: Label
    """ClusterIssuer of cert-manager that signs the certificate."""
    namespace: Label = "ingress"
    """Namespace of the Gateway and of its proxies: the only one that callers may come from. It has to exist."""
    networks: tuple[Network, ...] = ()
    """Networks that load balancers outside the cluster call from, such as GKE's proxy-only subnet."""


class Secrets(Closed):
    """Where the values of secrets are: External Secrets copies them; no rendered file holds any."""

    store: Label
    """Name of the SecretStore or ClusterSecretStore."""
    kind: Literal["ClusterSecretStore", "SecretStore"] = "ClusterSecretStore"
    """Its kind."""
    prefix: Label | None = None
    """What the secrets' names over there begin with. Default: the name of the service."""
    refresh: Seconds = Field(3600.0, ge=60)
    """How often they are copied again."""


class Cache(Closed):
    """A volume that keeps models between the starts of engines. Without it each pod fetches its own copy."""

    size: Bytes = Field(ge=2**30)
    """Size of the volume: all models together."""
    storage_class: Label | None = None
    """StorageClass of the volume. Default: the cluster's."""
    access: Access = "ReadWriteMany"
    """ReadWriteOnce serves a single pod; several need a file system such as EFS, Filestore or Azure Files."""


class Schedule(Closed):
    """More replicas at certain times, such as working hours; at all others the autoscaler's own bounds hold."""

    models: Annotated[tuple[ModelName, ...], Field(min_length=1)]
    """Models that it is for."""
    start: Cron
    """When it begins: minute hour day month weekday."""
    end: Cron
    """When it ends."""
    timezone: Timezone
    """Where start and end are on the clock, summer time included."""
    replicas: Count = Field(ge=1, le=256)
    """Replicas at least, from start to end."""


class Backup(Closed):
    """Backups of the namespace by Velero: objects and volumes."""

    schedule: Cron
    """When, in UTC: minute hour day month weekday."""
    keep: Seconds = Field(30 * 86_400.0, ge=3600)
    """How long a backup is kept."""
    namespace: Label = "velero"
    """Namespace that Velero watches for schedules."""
    location: Label = "default"
    """BackupStorageLocation that backups go to."""


class Reach(Closed):
    """What lies outside the namespace and has to be reached; everything else is closed by NetworkPolicies."""

    monitoring: Label = "monitoring"
    """Namespace of Prometheus, which scrapes every pod."""
    stores: Annotated[tuple[Network, ...], Field(min_length=1)] = PRIVATE_NETWORKS
    """Networks that PostgreSQL and Redis are in."""
    postgres_port: Port = 5432
    """Port of PostgreSQL."""
    redis_port: Port = 6379
    """Port of Redis."""


class Override(Closed):
    """A JSON merge patch (RFC 7386) on one rendered object, applied last; the result is checked like all the rest."""

    kind: Text
    """Kind of the object."""
    name: Text
    """Its name."""
    patch: Mapping[str, Any]
    """What differs: mappings merge, lists and values replace, null deletes."""


class Deploy(Closed):
    """Where and how `fairlead render` puts the service into a cluster."""

    target: Label | None = None
    """What to render for where `-t` does not say it; `fairlead render --list` lists them."""
    namespace: Label | None = None
    """Namespace of all that is rendered. Default: the name of the service."""
    images: Images
    """The images that run."""
    ingress: Ingress | None = None
    """How callers outside the cluster come in. Default: not at all."""
    max_gateways: Count | None = Field(None, ge=1, le=64)
    """Gateways at most, by load, gateway.replicas at least. Default: always gateway.replicas."""
    secrets: Secrets | None = None
    """Where secrets come from. Needed as soon as there are any."""
    cache: Cache | None = None
    """A volume for models. Default: each pod fetches its own."""
    schedules: Mapping[Label, Schedule] = Field(default_factory=dict)
    """More replicas at certain times."""
    jobs: Mapping[Label, Job] = Field(default_factory=dict)
    """Batches, run once or by a schedule."""
    backup: Backup | None = None
    """Backups of the namespace. Default: none."""
    reach: Reach = Reach()
    """What lies outside and has to be reached."""
    operators: tuple[Text, ...] = ()
    """Groups of the identity provider that may look into the namespace and restart what runs there; no secrets."""
    overrides: tuple[Override, ...] = ()
    """Patches on what is rendered, where no field says it."""
    ray: RayCluster = RayCluster()
    """What a Ray cluster needs besides; only for target kuberay."""
    kserve: KServe = KServe()
    """How models stand on KServe; only for target kserve."""
    llmd: LlmD = LlmD()
    """How llm-d is reached; only for target llm-d."""
    disaggregate: Mapping[ModelName, Disaggregation] = Field(default_factory=dict)
    """Models whose prompts are read by pods of their own; only for target llm-d and for LLMInferenceServices.
    Default: where the plan finds that it pays."""
