"""What the user may say, and nothing else: frozen, closed, and no field that nothing enforces.

`spec/enforced.py` names for each field the function that acts on it; a test walks both. Times are seconds and
sizes are bytes once loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag
from pydantic.types import Strict

from fairlead.spec.batches import Batches
from fairlead.spec.consumption import Budget, Fairness, Idempotency, Price, RateLimit
from fairlead.spec.delivery import Delivery
from fairlead.spec.deploy import Deploy
from fairlead.spec.fields import (
    Closed,
    Count,
    EnvironmentVariable,
    Host,
    HttpPath,
    KeySetUrl,
    Label,
    ModelName,
    Port,
    PublicName,
    Share,
    Source,
    Text,
    Url,
)
from fairlead.spec.infrastructure import Infrastructure
from fairlead.spec.monitoring import Monitoring
from fairlead.spec.planning import Hardware, Planned
from fairlead.spec.ray import Cpus, Ray, RayScaling
from fairlead.spec.store import Store
from fairlead.units import Bytes, Seconds

Environment = Literal["laptop", "staging", "production"]
Operation = Literal["chat", "completions", "embeddings", "responses"]
ADMIN_OPERATIONS = ("admin:keys", "admin:status", "admin:usage")
"""What is asked of the gateway itself and of no model."""
ALL_ADMIN = "admin:*"  # in a role: every admin operation
BATCH = "batch"
"""The Batch API: asked of the gateway itself too. Its rows need the operations that they ask for besides."""
GATEWAY_OPERATIONS = (BATCH, *ADMIN_OPERATIONS)
RoleOperation = Literal[
    "chat",
    "completions",
    "embeddings",
    "responses",
    "batch",
    "admin:keys",
    "admin:status",
    "admin:usage",
    "admin:*",
]
LOCAL_OPERATIONS: tuple[Operation, ...] = ("chat", "completions")
"""What the embedded engine speaks, and what a role may do unless it says otherwise."""
Operations = Annotated[tuple[Operation, ...], Field(min_length=1)]

EVERYTHING = "*"  # in a role: all public names


class LocalModel(Closed):
    """A model whose engine is started here."""

    source: Source
    """Where the weights are: demo:v1, demo:v2, ./folder, ./file.gguf, hf://org/name@revision, s3://, gs:// or az://."""
    replicas: Count = Field(1, ge=1, le=256)
    """Engine processes behind this name. Default: what a plan makes of the workload, where there is one; else 2 in
    production and 1 elsewhere."""
    max_model_len: Count | None = Field(None, ge=16)
    """Longest prompt and answer together, in tokens. Default: what the model was trained for."""
    max_num_seqs: Count = Field(32, ge=1, le=4096)
    """Requests running at once in a replica."""


class OpenVinoModel(LocalModel):
    """A model on this machine's CPU, in the embedded engine."""

    engine: Literal["openvino"] = "openvino"
    """The embedded CPU engine."""
    max_queue: Count = Field(64, ge=0, le=100_000)
    """Requests waiting in a replica; one more is answered with 429 and Retry-After."""
    kv_cache: Bytes = Field(256 * 2**20, ge=2**20)
    """Memory for the KV cache of a replica."""
    operations: Annotated[tuple[Literal["chat", "completions"], ...], Field(min_length=1)] = ("chat", "completions")
    """What callers may ask of it."""


class VllmModel(Planned, LocalModel):
    """A model in a vLLM server that is started and watched here."""

    engine: Literal["vllm"]
    """A vLLM server, on GPUs or with the CPU build."""
    python: Text | None = None
    """The Python interpreter that has vLLM installed. Default: the one that runs Fairlead."""
    device: Literal["gpu", "cpu"] = "gpu"
    """What vLLM computes on."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of weights and activations."""
    quantization: Literal["awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors", "modelopt"] | None = None
    """How the weights are quantised. Default: what the model's own configuration says."""
    tensor_parallel_size: Count = Field(1, ge=1, le=64)
    """GPUs that share each layer."""
    gpu_memory_utilization: Annotated[float, Strict(), Field(gt=0, le=1)] = 0.9
    """Share of a GPU's memory that vLLM may take; only with device gpu."""
    kv_cache: Bytes = Field(2**30, ge=2**30, multiple_of=2**30)
    """Memory for the KV cache of a replica, in whole gibibytes; only with device cpu."""
    start_timeout: Seconds = Field(600.0, gt=0)
    """Time that a start may take until the server is healthy."""
    prompt_tokens: Literal["estimated", "exact"] = "estimated"
    """How limits count a prompt before a call: by its bytes, or exactly, by asking the server's /tokenize."""
    operations: Operations = LOCAL_OPERATIONS
    """What callers may ask of it."""


class RayModel(LocalModel):
    """A model that Ray Serve runs with vLLM, on the nodes of the cluster of `ray`."""

    engine: Literal["ray"]
    """Ray Serve with vLLM: for more than one machine."""
    scaling: RayScaling | None = None
    """From `replicas` to how many Ray scales it by its load. Default: there are `replicas`."""
    device: Literal["gpu", "cpu"] = "gpu"
    """What vLLM computes on."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Number format of weights and activations."""
    quantization: Literal["awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors", "modelopt"] | None = None
    """How the weights are quantised. Default: what the model's own configuration says."""
    tensor_parallel_size: Count = Field(1, ge=1, le=64)
    """GPUs of one node that share each layer."""
    gpu_memory_utilization: Annotated[float, Strict(), Field(gt=0, le=1)] = 0.9
    """Share of a GPU's memory that vLLM may take; only with device gpu."""
    kv_cache: Bytes = Field(2**30, ge=2**30, multiple_of=2**30)
    """Memory for the KV cache of a replica, in whole gibibytes; only with device cpu."""
    cpus: Cpus = 1.0
    """CPUs that a replica asks the cluster for, for each of its tensor_parallel_size workers."""
    start_timeout: Seconds = Field(600.0, gt=0)
    """Time that a start of the cluster and its models may take until all are healthy."""
    operations: Annotated[tuple[Literal["chat", "completions", "embeddings"], ...], Field(min_length=1)] = (
        "chat",
        "completions",
    )
    """What callers may ask of it; Ray Serve has no /v1/responses."""


class RemoteModel(Closed):
    """A model behind an OpenAI-compatible URL: a vLLM pod, a Ray Serve application, another gateway."""

    engine: Literal["remote"]
    """Somebody else's server."""
    urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    """Base URLs, one for each replica; /v1/chat/completions and the like are added."""
    model: Text | None = None
    """The model's name over there. Default: the name here."""
    api_key_env: EnvironmentVariable | None = None
    """Name of the environment variable that holds the key for it. The key itself never stands in this file."""
    health_path: HttpPath = "/health"
    """Path that answers 200 when the server is healthy."""
    prompt_tokens: Literal["estimated", "exact"] = "estimated"
    """How limits count a prompt before a call: by its bytes, or exactly, by asking the server's /tokenize."""
    operations: Operations = LOCAL_OPERATIONS
    """What callers may ask of it."""


AnyModel = OpenVinoModel | VllmModel | RayModel | RemoteModel
ENGINES: Mapping[str, type[AnyModel]] = {
    "openvino": OpenVinoModel,
    "vllm": VllmModel,
    "ray": RayModel,
    "remote": RemoteModel,
}
DEFAULT_ENGINE = "openvino"


def engine_of(model: Any) -> str:
    """The engine that a model, or its text in the file, names; the embedded one where it names none."""
    named = model.get("engine", DEFAULT_ENGINE) if isinstance(model, Mapping) else getattr(model, "engine", None)
    return named if isinstance(named, str) else str(named or DEFAULT_ENGINE)


Model = Annotated[
    Annotated[OpenVinoModel, Tag("openvino")]
    | Annotated[VllmModel, Tag("vllm")]
    | Annotated[RayModel, Tag("ray")]
    | Annotated[RemoteModel, Tag("remote")],
    Discriminator(engine_of),
]


class Route(Closed):
    """A further public name for a model."""

    model: ModelName
    """The model that answers."""
    timeout: Seconds | None = Field(None, gt=0)
    """Deadline of a request by this name. Default: gateway.timeout."""


class Keys(Closed):
    """How long API keys live."""

    max_age: Seconds = Field(90 * 86_400.0, gt=0)
    """A key expires at this age. Default: 365d on a laptop, else 90d."""
    rotation_overlap: Seconds = Field(86_400.0, ge=0)
    """How long the old key still works after a rotation."""


JwtAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]


class Jwt(Closed):
    """Tokens of an OpenID Connect issuer, taken beside API keys; each names its tenant and its role."""

    issuer: Text
    """The token's `iss`, to the letter."""
    audience: Text
    """What the token's `aud` is, or has among others."""
    jwks_url: KeySetUrl
    """Where the issuer's key set is: https, or http on the loopback address."""
    algorithms: Annotated[tuple[JwtAlgorithm, ...], Field(min_length=1)] = ("RS256", "ES256", "EdDSA")
    """Signatures that are taken; all of them asymmetric, since a key set is public."""
    tenant_claim: Text = "tenant"
    """The claim that names the tenant; a dotted path leads into objects."""
    role_claim: Text = "role"
    """The claim that names the role, or lists several: the first that is a role of this file counts."""
    leeway: Seconds = Field(30.0, ge=0, le=300)
    """How far the issuer's clock may be from ours."""
    stale_for: Seconds = Field(86_400.0, ge=60)
    """How long the last key set serves while a new one cannot be fetched; then tokens are answered with 503."""


class Role(Closed):
    """What the keys of a role may use; everything else is denied."""

    models: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Models and routes by public name; "*" is all of them."""
    operations: Annotated[tuple[RoleOperation, ...], Field(min_length=1)] = LOCAL_OPERATIONS
    """What it may ask of them; of the gateway itself: batch, admin:keys, admin:status, admin:usage or admin:*."""


class Access(Closed):
    """Who may do what."""

    keys: Keys = Keys()
    """How long API keys live."""
    jwt: Jwt | None = None
    """Tokens of an issuer, taken beside API keys. Default: none are."""
    roles: Annotated[Mapping[Label, Role], Field(min_length=1)]
    """Roles by name. A laptop without any gets `user`, which may use every model; else they must be written."""


class Retry(Closed):
    """Another try on another replica, only before the first byte of an answer."""

    attempts: Count = Field(2, ge=1, le=10)
    """Tries of one request in all; 1 is no retry."""
    budget: Share = 0.1
    """Retries as a share of all requests, so that retries cannot become an outage of their own."""


class Limits(Closed):
    """What a connection may cost before anybody knows who calls."""

    max_connections: Count = Field(10_000, ge=1, le=1_000_000)
    """Connections open at once; further ones are closed."""
    max_header: Bytes = Field(16 * 2**10, ge=2**10, le=2**20)
    """Size of a request's line and headers; more is answered with 431."""
    max_body: Bytes = Field(4 * 2**20, ge=2**10, le=2**30)
    """Size of a request's body; more is answered with 413."""
    header_timeout: Seconds = Field(10.0, gt=0)
    """Time for a request's headers to arrive."""
    body_timeout: Seconds = Field(30.0, gt=0)
    """Time for a request's body to arrive."""
    idle_timeout: Seconds = Field(75.0, gt=0)
    """A connection that is silent between requests for this long is closed."""


class Tls(Closed):
    """TLS 1.2 or newer on the callers' port: certificate files, or a local authority of our own."""

    certificate: Text | None = None
    """File with the certificate and its chain, PEM; relative to this file. A changed file is taken up at once."""
    key: Text | None = None
    """File with the certificate's private key, PEM."""
    client_ca: Text | None = None
    """File with the authorities whose client certificates are asked for: with it a caller must show one."""
    self_signed: Annotated[bool, Strict()] = False
    """Make a local authority and a certificate by it, kept beside the service's state."""


class Gateway(Closed):
    """The server in front of the models."""

    host: Host = "127.0.0.1"
    """Address that callers reach."""
    port: Port = 8080
    """Port that callers reach."""
    replicas: Count = Field(1, ge=1, le=64)
    """Gateway processes behind that port, which `up` starts. Shared limits go by this number."""
    tls: Tls | None = None
    """TLS on the callers' port. Default: plain HTTP."""
    admin_host: Host = "127.0.0.1"
    """Address of /metrics, /healthz, /readyz and /status."""
    admin_port: Port = 9090
    """Port of /metrics, /healthz, /readyz and /status; a further replica takes the next one."""
    timeout: Seconds = Field(600.0, gt=0)
    """Deadline of a request whose route has none of its own."""
    drain_timeout: Seconds = Field(30.0, ge=0)
    """How long a stopping gateway lets running requests finish. Default: 10s on a laptop, else 30s."""
    retry: Retry = Retry()
    """Another try on another replica."""
    idempotency: Idempotency = Idempotency()
    """Answers kept for requests with an Idempotency-Key."""
    limits: Limits = Limits()
    """What a connection may cost."""


class Spec(Closed):
    """A service: its models, their public names, who may use them, and the gateway in front."""

    apiVersion: Literal["fairlead/v1"]
    """Version of this format: fairlead/v1."""
    name: Label
    """Name of the service, a DNS label."""
    environment: Environment = "laptop"
    """Profile of defaults and rules: laptop, staging or production."""
    models: Annotated[Mapping[ModelName, Model], Field(min_length=1)]
    """Models by public name. Each is also a route of its own name."""
    routes: Mapping[PublicName, Route] = Field(default_factory=dict)
    """Further public names."""
    access: Access
    """Who may do what."""
    limits: Mapping[Label, RateLimit] = Field(default_factory=dict)
    """How much callers may use; every limit that applies to a request has to agree."""
    prices: Mapping[ModelName, Price] = Field(default_factory=dict)
    """What a million tokens cost, by model."""
    budgets: Mapping[Label, Budget] = Field(default_factory=dict)
    """How much money callers may use; every budget that applies to a request has to agree."""
    fairness: Fairness | None = None
    """Who is next when the engines are full. Default: engines queue in the order of arrival."""
    batches: Batches | None = None
    """OpenAI's Files and Batch API. Default: there is none."""
    store: Store | None = None
    """What the replicas of the service share. Default: a folder beside this file, for a single gateway's limits."""
    hardware: Hardware | None = None
    """Where it runs, and on what. Default: on this machine; a plan then only says what that needs."""
    ray: Ray | None = None
    """The Ray cluster of the models with engine ray. Default: `up` starts one on this machine."""
    gateway: Gateway = Gateway()
    """The server in front."""
    monitoring: Monitoring | None = None
    """How the service is watched in a cluster. Default: no monitoring is rendered."""
    deploy: Deploy | None = None
    """Where and how `fairlead render` puts the service into a cluster. Default: it is for this machine."""
    delivery: Delivery | None = None
    """How what is rendered gets into clusters. Default: you apply it."""
    infrastructure: Infrastructure | None = None
    """The cluster that Terraform makes. Default: there is one already."""
