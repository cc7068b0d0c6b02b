"""Every name that two objects must agree on, made in one place: what is not spelled twice cannot be spelled wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from fairlead.spec.types import Spec

MANAGED_BY = "fairlead"
POOL = "fairlead.dev/pool"
"""Label of a pool's nodes, and key of their taint; its value is the pool's name."""
GPU_TAINT = "nvidia.com/gpu"
"""Key of the taint on every node with GPUs; GKE and the GPU operator set it, with this value."""
GPU_TAINT_VALUE = "present"
GPU_RESOURCE = "nvidia.com/gpu"
ORIGIN = "fairlead.dev/from"
"""Annotation: the part of the spec that an object was made of."""
OVERRIDDEN = "fairlead.dev/overridden"
"""Annotation: the override that an object was patched by last."""
WHY = "fairlead.dev/why"
"""Annotation: what an object is for, where its kind has no field for it."""

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"
MANAGER = "app.kubernetes.io/managed-by"
MODEL = "fairlead.dev/model"
"""Label of the pods of a model's engines; its value is `slug(model)`."""

BASE = "base"  # components
GATEWAY = "gateway"
ENGINE = "engine"
RAY_HEAD = "ray-head"
PICKER = "picker"
WORKER = "engine-worker"
CLOCK = "clock"
BATCH = "batch"
BATCH_HEAD = "batch-head"
BATCH_ENGINE = "batch-engine"

API_PATH, ADMIN_PATH = "/v1", "/admin"
"""What the gateway answers on its public port; all of it wants a key."""
GATEWAY_PORT = 8080
ADMIN_PORT = 9090
ENGINE_PORT = 8000
HTTP = "http"  # names of ports
METRICS = "metrics"

CONFIG_FILE = "gateway.json"
CONFIG_MOUNT = "/etc/fairlead"
STATE_MOUNT = "/var/lib/fairlead"
MODEL_MOUNT = "/models"
SHM_MOUNT = "/dev/shm"  # noqa: S108 - where engines share tensors, not a place for our files

API_KEY = "FAIRLEAD_API_KEY"
HF_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable, and of the key in its Secret
RAY_REDIS_PASSWORD = "RAY_REDIS_PASSWORD"  # noqa: S105 - likewise
LONGEST_SLUG = 30


def short_digest(text: str) -> str:
    """Eight characters that change when `text` does."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def namespace(spec: Spec) -> str:
    """The namespace of all that is rendered."""
    return (spec.deploy.namespace if spec.deploy else None) or spec.name


def slug(model: str) -> str:
    """A part of DNS labels for a model's public name; `refusals` sees to it that no two models share one."""
    short = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    if len(short) <= LONGEST_SLUG:
        return short
    return f"{short[: LONGEST_SLUG - 7].strip('-')}-{hashlib.sha256(model.encode()).hexdigest()[:6]}"


def selector(spec: Spec, component: str, model: str = "") -> dict[str, str]:
    """The labels that pods are found by; they never change while the object lives."""
    found = {NAME: MANAGED_BY, INSTANCE: spec.name, COMPONENT: component}
    return found | ({MODEL: slug(model)} if model else {})


def labels(spec: Spec, component: str, model: str = "") -> dict[str, str]:
    """All labels of an object; those of `selector` are among them."""
    return {**selector(spec, component, model), PART_OF: spec.name, MANAGER: MANAGED_BY}


def gateway(spec: Spec) -> str:
    """The gateway's Deployment, Service, ServiceAccount, HPA, PDB."""
    return f"{spec.name}-gateway"


def gateway_config(spec: Spec) -> str:
    """The ConfigMap with `gateway.json`."""
    return f"{spec.name}-gateway-config"


def gateway_secret(spec: Spec) -> str:
    """The Secret whose keys are the variables that the gateway reads."""
    return f"{spec.name}-gateway-secrets"


def hub_secret(spec: Spec) -> str:
    """The Secret with the model hub's token, under the key `HF_TOKEN`."""
    return f"{spec.name}-hub-token"


def ingress(spec: Spec) -> str:
    """The Gateway that callers come in by."""
    return spec.name


def certificate(spec: Spec) -> str:
    """The Certificate, and the Secret that it is kept in."""
    return f"{spec.name}-tls"


def model_cache(spec: Spec) -> str:
    """The claim of the volume that keeps models."""
    return f"{spec.name}-models"


def priority(spec: Spec, component: str) -> str:
    """The PriorityClass of a component's pods."""
    return f"{spec.name}-{component}"


def secret_prefix(spec: Spec) -> str:
    """Before the names of our secrets in the cloud's store; the cluster may read those that begin so."""
    return (spec.deploy.secrets.prefix if spec.deploy and spec.deploy.secrets else None) or spec.name


def engine(spec: Spec, model: str) -> str:
    """What serves a model: its Deployment, Service, InferenceService and the like."""
    return f"{spec.name}-{slug(model)}"


def ray(spec: Spec) -> str:
    """The RayService of all models."""
    return f"{spec.name}-ray"


def runtime(spec: Spec) -> str:
    """KServe's runtime for the models; it belongs to the whole cluster, so that its name holds the namespace's."""
    return f"{namespace(spec)}-{spec.name}-vllm"


def ray_secret(spec: Spec) -> str:
    """The Secret with the password of Ray's Redis, under the key `RAY_REDIS_PASSWORD`."""
    return f"{spec.name}-ray-secrets"


def ray_account(spec: Spec) -> str:
    """The ServiceAccount of Ray's head, to which the operator gives the right to change the cluster's size."""
    return f"{spec.name}-ray"


def engines(spec: Spec) -> str:
    """What is about all engines together."""
    return f"{spec.name}-engines"


def engine_account(spec: Spec) -> str:
    """The ServiceAccount of the engines: it may read the models' bucket, and nothing in the cluster."""
    return f"{spec.name}-engine"


def operator_role(spec: Spec) -> str:
    """The Role of those who keep the service running."""
    return f"{spec.name}-operator"


def clock(spec: Spec) -> str:
    """What changes the bounds of replicas by a schedule."""
    return f"{spec.name}-clock"


def batch(spec: Spec) -> str:
    """The ServiceAccount of batches, which may read and write the buckets of their rows, and nothing in the cluster."""
    return f"{spec.name}-batch"


def batch_secret(spec: Spec) -> str:
    """The Secret with the API keys of batches."""
    return f"{spec.name}-batch-secrets"


def batch_job(spec: Spec, job: str) -> str:
    """What runs a batch; where it runs once a digest is added."""
    return f"{spec.name}-batch-{job}"


def pool_selector(pool: str) -> Mapping[str, str]:
    """What a pod's `nodeSelector` says to be on a pool's nodes."""
    return {POOL: pool}
