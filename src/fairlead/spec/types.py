"""What the user may say, and nothing else: frozen, closed, and no field that nothing enforces.

`spec/enforced.py` names for each field the function that acts on it; a test walks both. Times are seconds and
sizes are bytes once loaded.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag
from pydantic.types import Strict

from fairlead.spec.problems import FieldError
from fairlead.spec.source import check_source
from fairlead.units import Bytes, Seconds

Environment = Literal["laptop", "staging", "production"]
Operation = Literal["chat", "completions", "embeddings", "responses"]
LOCAL_OPERATIONS: tuple[Operation, ...] = ("chat", "completions")
"""What the embedded engine speaks, and what a role may do unless it says otherwise."""


def _named(pattern: str, what: str, hint: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise FieldError(f"{text[:60]!r} is no {what}", hint)
        return text

    return AfterValidator(check)


def _check_host(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host, re.ASCII | re.IGNORECASE):
            message, hint = f"{host[:60]!r} is no host", "an address or a name, for example 127.0.0.1"
            raise FieldError(message, hint) from None
    return host


def _check_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name, re.ASCII):
        # not shown: who mistakes this field writes the key itself into it
        message = "this is not the name of an environment variable"
        raise FieldError(message, "the variable that holds the key, never the key itself, for example FAR_API_KEY")
    return name


def _check_url(url: str) -> str:
    """The URL that /v1 is added to for each call; /v1 itself, which people copy along, is taken off."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    is_base = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not is_base or "@" in parts.netloc or not re.fullmatch(r"[^?#\s]+", url) or ".." in parts.path:
        hint = "scheme, host, port and perhaps a path, for example http://127.0.0.1:9000; no key, no query"
        may_hold_secret = "@" in url or "?" in url  # then it is not shown
        raise FieldError("this is no base URL of a server" if may_hold_secret else f"{url[:60]!r} is no base URL", hint)
    _check_host(parts.hostname or "")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


Count = Annotated[int, Strict()]
Share = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Port = Annotated[int, Strict(), Field(ge=1, le=65_535)]
Host = Annotated[str, AfterValidator(_check_host)]
Url = Annotated[str, AfterValidator(_check_url)]
Source = Annotated[str, AfterValidator(check_source)]
Operations = Annotated[tuple[Operation, ...], Field(min_length=1)]
Label = Annotated[
    str,
    _named(
        r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
        "DNS label",
        "small letters, digits and dashes, at most 63, a letter or digit at both ends",
    ),
]
# A model's name also names its processes and log files, so it has no slash; a route's may (org/name).
ModelName = Annotated[
    str, _named(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "name for a model", "letters, digits, dots, dashes, at most 63")
]
PublicName = Annotated[
    str,
    _named(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", "public name", "letters, digits and . _ : / -, at most 128"),
]
EnvironmentVariable = Annotated[str, AfterValidator(_check_variable)]
HttpPath = Annotated[
    str, _named(r"/[A-Za-z0-9._~/-]{0,200}", "path", "starts with a slash and has no query, for example /health")
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


EVERYTHING = "*"  # in a role: all public names


class Closed(BaseModel):
    """The base of every part: a value that does not change and takes no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LocalModel(Closed):
    """A model whose engine is started here."""

    source: Source
    """Where the weights are: demo:v1, demo:v2, ./folder, ./file.gguf, hf://org/name@revision, s3://, gs:// or az://."""
    replicas: Count = Field(1, ge=1, le=256)
    """Engine processes behind this name. Default: 2 in production, else 1."""
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


class VllmModel(LocalModel):
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
    operations: Operations = LOCAL_OPERATIONS
    """What callers may ask of it."""


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
    operations: Operations = LOCAL_OPERATIONS
    """What callers may ask of it."""


AnyModel = OpenVinoModel | VllmModel | RemoteModel
ENGINES: Mapping[str, type[AnyModel]] = {"openvino": OpenVinoModel, "vllm": VllmModel, "remote": RemoteModel}
DEFAULT_ENGINE = "openvino"


def engine_of(model: Any) -> str:
    """The engine that a model, or its text in the file, names; the embedded one where it names none."""
    named = model.get("engine", DEFAULT_ENGINE) if isinstance(model, Mapping) else getattr(model, "engine", None)
    return named if isinstance(named, str) else str(named or DEFAULT_ENGINE)


Model = Annotated[
    Annotated[OpenVinoModel, Tag("openvino")]
    | Annotated[VllmModel, Tag("vllm")]
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


class Role(Closed):
    """What the keys of a role may use; everything else is denied."""

    models: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Models and routes by public name; "*" is all of them."""
    operations: Operations = LOCAL_OPERATIONS
    """What it may ask of them."""


class Access(Closed):
    """Who may do what."""

    keys: Keys = Keys()
    """How long API keys live."""
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


class Gateway(Closed):
    """The server in front of the models."""

    host: Host = "127.0.0.1"
    """Address that callers reach."""
    port: Port = 8080
    """Port that callers reach."""
    admin_host: Host = "127.0.0.1"
    """Address of /metrics, /healthz, /readyz and /status."""
    admin_port: Port = 9090
    """Port of /metrics, /healthz, /readyz and /status."""
    timeout: Seconds = Field(600.0, gt=0)
    """Deadline of a request whose route has none of its own."""
    drain_timeout: Seconds = Field(30.0, ge=0)
    """How long a stopping gateway lets running requests finish. Default: 10s on a laptop, else 30s."""
    retry: Retry = Retry()
    """Another try on another replica."""
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
    gateway: Gateway = Gateway()
    """The server in front."""
