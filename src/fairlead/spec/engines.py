"""What the engine targets want to know beyond the models themselves."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.types import Strict

from fairlead.spec.fields import Closed, Count, Label
from fairlead.spec.problems import FieldError


def _check_host_port(text: str) -> str:
    found = re.fullmatch(r"(?P<host>[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?):(?P<port>[1-9][0-9]{0,4})", text)
    if found is None or int(found["port"]) > 65_535:
        raise FieldError(f"{text[:60]!r} is no address of a server", "host:port, for example redis.data.svc:6379")
    return text


HostPort = Annotated[str, AfterValidator(_check_host_port)]


class RayCluster(Closed):
    """A Ray cluster that lives through the loss of its head, and is renewed step by step."""

    redis: HostPort | None = None
    """Redis or Valkey that keeps what the head knows, host:port; its password is the secret RAY_REDIS_PASSWORD.
    Needed in production."""
    gateway_class: Label | None = None
    """GatewayClass for renewals by steps; without it, or with one whose Services are not known by name, a renewal
    needs all GPUs twice."""
    operator_namespace: Label = "kuberay-system"
    """Namespace of the KubeRay operator, which has to reach the head."""
    surge: Annotated[int, Field(ge=1, le=100)] = 25
    """Percent of the cluster that a renewal may have beside the old one."""


class KServe(Closed):
    """How models stand on KServe."""

    kind: Literal["InferenceService", "LLMInferenceService"] = "InferenceService"
    """What a model is; an LLMInferenceService has an inference pool and llm-d's endpoint picker before it."""
    transformer: Annotated[bool, Strict()] = False
    """Put the gateway before each InferenceService as well, for callers who come by KServe's own URL."""
    ingress_namespace: Label = "istio-system"
    """Namespace of the proxies that Knative receives requests by; only for models that scale to zero."""


class LlmD(Closed):
    """How llm-d is reached."""

    gateway_class: Literal["istio", "kgateway"] = "istio"
    """GatewayClass that can ask an endpoint picker, and whose Services are known by name."""


class Disaggregation(Closed):
    """Prefill and decode of a model in pods of their own, on target llm-d."""

    prefill: Count = Field(ge=0, le=256)
    """Replicas that read prompts, on top of the model's own, which write answers; 0: none, whatever the plan says."""
    min_prompt: Count = Field(512, ge=1)
    """Tokens of a prompt that no cache knows, from which on it is worth the way."""
