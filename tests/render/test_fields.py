"""Every field that acts on a plan or on what is rendered from it: another value gives another plan, other files, or a
refusal. A field whose enforcement is taken away changes nothing, and fails here.
"""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fairlead.errors import UserError
from fairlead.ops.prove.registry import FIELDS
from fairlead.ops.rendering import render_file
from fairlead.plan.answer import answer
from fairlead.plan.constants import shipped
from fairlead.plan.place import service_plan
from fairlead.plan.service import ServicePlan
from fairlead.render import yaml
from fairlead.spec.load import load
from fairlead.spec.types import Spec

TODAY = datetime.date(2026, 11, 21)
SERVICE: Mapping[str, Any] = {
    "apiVersion": "fairlead/v1",
    "name": "chat",
    "environment": "production",
    "models": {
        "llama": {
            "engine": "vllm",
            "source": "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659",
            "max_model_len": 8192,
            "workload": {"rate": "2/s", "prompt": 1000, "output": 200, "prompt_p95": 2000, "output_p95": 400},
            "slo": {"ttft_p95": "3s", "tpot_p95": "120ms", "availability": 0.999},
            "autoscaling": {"min": 2, "max": 6},
        }
    },
    "hardware": {
        "cloud": "aws",
        "region": "us-east-1",
        "instances": ["g6.xlarge", "g6.2xlarge"],
        "prices": {"g6.xlarge": {"on_demand": "0.80 USD", "spot": "0.30 USD"}},
        "pools": {"l4": {"instance": "g6.2xlarge", "min": 1, "max": 12}},
    },
    "infrastructure": {"state": "chat-terraform-state"},
    "access": {"roles": {"user": {"models": ["*"]}}},
    "gateway": {"replicas": 2, "host": "0.0.0.0"},
    "limits": {"tenant": {"per": "tenant", "requests": "600/min"}},
    "store": {"postgres": {"url_env": "DATABASE_URL"}, "redis": {"url_env": "REDIS_URL"}},
    "deploy": {
        "target": "vllm",
        "images": {"gateway": "ghcr.io/example/gateway:0.3.0"},
        "ingress": {"hostname": "llm.example.com", "gateway_class": "istio", "issuer": "letsencrypt"},
        "max_gateways": 4,
        "secrets": {"store": "vault"},
        "cache": {"size": "60Gi", "storage_class": "efs"},
        "schedules": {
            "day": {
                "models": ["llama"],
                "timezone": "Europe/Berlin",
                "start": "0 7 * * 1-5",
                "end": "0 19 * * 1-5",
                "replicas": 3,
            }
        },
        "backup": {"schedule": "0 2 * * *"},
        "jobs": {
            "nightly": {
                "model": "llama",
                "input": "s3://rows/today.jsonl",
                "output": "s3://answers/{run}.jsonl",
                "schedule": "0 2 * * *",
                "engine": "gateway",
            }
        },
        "ray": {"redis": "redis.data.svc:6379"},
        "overrides": [{"kind": "Service", "name": "chat-gateway", "patch": {"metadata": {"annotations": {"a": "b"}}}}],
    },
}
MODEL = "models/llama"
POOL = "hardware/pools/l4"
ROOT = Path(__file__).parents[2]
JOB = "deploy/jobs/nightly"
ON_RAY = (
    ("deploy/images/ray", "ghcr.io/example/ray:2.60.0"),
    (f"{MODEL}/pool", "l4"),
    ("hardware/pools/nights", {"instance": "g6.2xlarge", "min": 0, "max": 4}),
    (f"{JOB}/engine", "ray"),
    (f"{JOB}/pool", "nights"),
)
SPLIT = (("deploy/disaggregate", {"llama": {"prefill": 1}}),)
ARGO = {"repository": "https://git.example.com/models.git", "path": "rendered/production"}


class Change(NamedTuple):
    """Another value at a place of `SERVICE`, where that has `given` besides; `target` is the one that shows it."""

    where: str
    value: Any
    target: str = "vllm"
    given: tuple[tuple[str, Any], ...] = ()


CHANGES: Mapping[str, Change] = {
    "Spec.hardware": Change("hardware", None),
    "Spec.infrastructure": Change("infrastructure", None),
    "Spec.deploy": Change("deploy", None),
    "Workload.rate": Change(f"{MODEL}/workload/rate", "20/s"),
    "Workload.prompt": Change(f"{MODEL}/workload/prompt", 1500),
    "Workload.output": Change(f"{MODEL}/workload/output", 380),
    "Workload.prompt_p95": Change(f"{MODEL}/workload/prompt_p95", 6000),
    "Workload.output_p95": Change(f"{MODEL}/workload/output_p95", 900),
    "Workload.prefix_share": Change(f"{MODEL}/workload/prefix_share", 0.8),
    "Slo.ttft_p95": Change(f"{MODEL}/slo/ttft_p95", "1500ms"),
    "Slo.tpot_p95": Change(f"{MODEL}/slo/tpot_p95", "1ms"),
    "Slo.availability": Change(f"{MODEL}/slo/availability", 0.9),
    "Autoscaling.min": Change(f"{MODEL}/autoscaling/min", 3),
    "Autoscaling.max": Change(f"{MODEL}/autoscaling/max", 8),
    "Hardware.cloud": Change("hardware/cloud", "gcp"),
    "Hardware.region": Change("hardware/region", "us-west-2"),
    "Hardware.instances": Change("hardware/instances", ["g6.xlarge"]),
    "Hardware.pools": Change("hardware/pools", {}),
    "Hardware.spot": Change("hardware/spot", 1.0),
    "Hardware.headroom": Change("hardware/headroom", 5.0),
    "Hardware.spare": Change("hardware/spare", 3),
    "Hardware.prices": Change("hardware/prices", {}),
    "HourPrices.on_demand": Change("hardware/prices/g6.xlarge/on_demand", "0.10 USD"),
    "HourPrices.spot": Change("hardware/prices/g6.xlarge/spot", "0.01 USD"),
    "NodePool.instance": Change(f"{POOL}/instance", "g6.xlarge"),
    "NodePool.spot": Change(f"{POOL}/spot", True),
    "NodePool.min": Change(f"{POOL}/min", 3),
    "NodePool.max": Change(f"{POOL}/max", 20),
    "Infrastructure.cluster": Change("infrastructure/cluster", "models"),
    "Infrastructure.state": Change("infrastructure/state", "another-state"),
    "Infrastructure.project": Change("infrastructure/project", "not-on-aws"),
    "Infrastructure.subscription": Change("infrastructure/subscription", "00000000-0000-4000-8000-000000000000"),
    "Infrastructure.zones": Change("infrastructure/zones", ["us-east-1a"]),
    "Infrastructure.api_cidrs": Change("infrastructure/api_cidrs", ["192.0.2.0/24"]),
    "Infrastructure.admins": Change("infrastructure/admins", ["arn:aws:iam::123456789012:role/ops"]),
    "Deploy.target": Change("deploy/target", "kserve", ""),
    "Deploy.namespace": Change("deploy/namespace", "llm"),
    "Deploy.images": Change("deploy/images", {"gateway": "ghcr.io/example/gateway:0.4.0"}),
    "Deploy.ingress": Change("deploy/ingress", None),
    "Deploy.max_gateways": Change("deploy/max_gateways", 5),
    "Deploy.secrets": Change("deploy/secrets", None),
    "Deploy.cache": Change("deploy/cache", None),
    "Deploy.schedules": Change("deploy/schedules", {}),
    "Deploy.backup": Change("deploy/backup", None),
    "Deploy.reach": Change("deploy/reach", {"monitoring": "watchers"}),
    "Deploy.operators": Change("deploy/operators", ["oncall"]),
    "Deploy.overrides": Change("deploy/overrides", []),
    "Deploy.ray": Change("deploy/ray", {"redis": "valkey.data.svc:6379"}, "kuberay"),
    "Deploy.kserve": Change("deploy/kserve", {"transformer": True}, "kserve"),
    "Images.gateway": Change("deploy/images/gateway", "ghcr.io/example/gateway:0.4.0"),
    "Images.vllm": Change("deploy/images/vllm", "ghcr.io/example/vllm:0.33.0"),
    "Images.ray": Change("deploy/images/ray", "ghcr.io/example/ray:2.60.0", "kuberay"),
    "Ingress.hostname": Change("deploy/ingress/hostname", "chat.example.com"),
    "Ingress.gateway_class": Change("deploy/ingress/gateway_class", "envoy-gateway"),
    "Ingress.issuer": Change("deploy/ingress/issuer", "another"),
    "Ingress.namespace": Change("deploy/ingress/namespace", "edge"),
    "Ingress.networks": Change("deploy/ingress/networks", ["10.129.0.0/23"]),
    "Secrets.store": Change("deploy/secrets/store", "another"),
    "Secrets.kind": Change("deploy/secrets/kind", "SecretStore"),
    "Secrets.prefix": Change("deploy/secrets/prefix", "team"),
    "Secrets.refresh": Change("deploy/secrets/refresh", "10m"),
    "Cache.size": Change("deploy/cache/size", "100Gi"),
    "Cache.storage_class": Change("deploy/cache/storage_class", "another"),
    "Cache.access": Change("deploy/cache/access", "ReadWriteOnce"),
    "Schedule.models": Change("deploy/schedules/day/models", ["nobody"]),
    "Schedule.start": Change("deploy/schedules/day/start", "0 8 * * 1-5"),
    "Schedule.end": Change("deploy/schedules/day/end", "0 20 * * 1-5"),
    "Schedule.timezone": Change("deploy/schedules/day/timezone", "UTC"),
    "Schedule.replicas": Change("deploy/schedules/day/replicas", 4),
    "Backup.schedule": Change("deploy/backup/schedule", "0 3 * * *"),
    "Backup.keep": Change("deploy/backup/keep", "7d"),
    "Backup.namespace": Change("deploy/backup/namespace", "backups"),
    "Backup.location": Change("deploy/backup/location", "far"),
    "Deploy.jobs": Change("deploy/jobs", {}),
    "Job.model": Change(f"{JOB}/model", "nobody"),
    "Job.input": Change(f"{JOB}/input", "s3://rows/tomorrow.jsonl"),
    "Job.output": Change(f"{JOB}/output", "s3://others/{run}.jsonl"),
    "Job.schedule": Change(f"{JOB}/schedule", "0 3 * * *"),
    "Job.timezone": Change(f"{JOB}/timezone", "Europe/Berlin"),
    "Job.engine": Change(f"{JOB}/engine", "ray"),
    "Job.concurrency": Change(f"{JOB}/concurrency", 8),
    "Job.api_key_env": Change(f"{JOB}/api_key_env", "NIGHTLY_KEY"),
    "Job.replicas": Change(f"{JOB}/replicas", 2, "kuberay", ON_RAY),
    "Job.pool": Change(f"{JOB}/pool", "nowhere", "kuberay", ON_RAY),
    "Job.deadline": Change(f"{JOB}/deadline", "1h"),
    "Reach.monitoring": Change("deploy/reach/monitoring", "watchers"),
    "Reach.stores": Change("deploy/reach/stores", ["10.1.0.0/16"]),
    "Reach.postgres_port": Change("deploy/reach/postgres_port", 6432),
    "Reach.redis_port": Change("deploy/reach/redis_port", 6380),
    "Override.kind": Change("deploy/overrides/0/kind", "Deployment"),
    "Override.name": Change("deploy/overrides/0/name", "nobody"),
    "Override.patch": Change("deploy/overrides/0/patch", {"metadata": {"annotations": {"a": "c"}}}),
    "RayCluster.redis": Change("deploy/ray/redis", "valkey.data.svc:6379", "kuberay"),
    "RayCluster.gateway_class": Change("deploy/ray/gateway_class", "istio", "kuberay"),
    "RayCluster.operator_namespace": Change("deploy/ray/operator_namespace", "ray", "kuberay"),
    "RayCluster.surge": Change("deploy/ray/surge", 50, "kuberay", (("deploy/ray/gateway_class", "istio"),)),
    "Deploy.llmd": Change("deploy/llmd", {"gateway_class": "kgateway"}, "llm-d"),
    "LlmD.gateway_class": Change("deploy/llmd/gateway_class", "kgateway", "llm-d"),
    "Deploy.disaggregate": Change("deploy/disaggregate", {"llama": {"prefill": 1}}, "llm-d"),
    "Disaggregation.prefill": Change("deploy/disaggregate/llama/prefill", 2, "llm-d", SPLIT),
    "Disaggregation.min_prompt": Change("deploy/disaggregate/llama/min_prompt", 64, "llm-d", SPLIT),
    "Images.triton": Change("deploy/images/triton", "ghcr.io/example/triton:26.10", "triton"),
    "Spec.delivery": Change("delivery", {"chart": True}),
    "Delivery.pipelines": Change("delivery/pipelines", ["github"]),
    "Delivery.chart": Change("delivery/chart", True),
    "Delivery.argocd": Change("delivery/argocd", ARGO),
    **{
        f"ArgoCd.{name}": Change(f"delivery/argocd/{name}", value, "vllm", (("delivery/argocd", ARGO),))
        for name, value in {
            "repository": "https://git.example.com/other.git",
            "path": "other",
            "revision": "v2",
            "namespace": "cd",
            "project": "llm",
        }.items()
    },
    "KServe.kind": Change("deploy/kserve/kind", "LLMInferenceService", "kserve"),
    "KServe.transformer": Change("deploy/kserve/transformer", True, "kserve"),
    "KServe.ingress_namespace": Change(
        *("deploy/kserve/ingress_namespace", "edge", "kserve"),
        ((f"{MODEL}/autoscaling/min", 0), ("deploy/schedules", {}), (f"{MODEL}/slo/availability", None)),
    ),
}


@pytest.mark.parametrize("field", CHANGES)
def test_another_value_has_another_effect(field: str, tmp_path: Path) -> None:
    change = CHANGES[field]
    before = service(change.given)
    after = service((*change.given, (change.where, change.value)))
    plain = effect(before, change.target, tmp_path)
    assert plain.startswith("["), f"refused as it is: {plain}"
    assert effect(after, change.target, tmp_path) != plain


def test_every_such_field_is_tried() -> None:
    here = f"test:{Path(__file__).relative_to(ROOT)}"
    assert {field for field, place in FIELDS.items() if place == here} == set(CHANGES)


def service(changes: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """`SERVICE` with other values."""
    made = copy.deepcopy(dict(SERVICE))
    for where, value in changes:
        put(made, where, copy.deepcopy(value))
    return made


def effect(service: Mapping[str, Any], target: str, folder: Path) -> str:
    """What is rendered for a target and what is answered to a plan, or why neither is."""
    file = folder / "fairlead.yaml"
    text = yaml.dump_all([dict(service)])
    file.write_text(text)
    try:
        return repr(sorted(render_file(file, None, target or None, planned).texts.items())) + told(
            json.dumps([service["models"], service["hardware"], service["gateway"]]), file
        )
    except UserError as error:
        return str(error).replace(str(folder), "")


PLANS: dict[str, ServicePlan] = {}
ANSWERS: dict[str, str] = {}


def planned(spec: Spec) -> ServicePlan:
    """The plan, made once for all that has the same models and hardware."""
    key = repr((spec.models, spec.hardware, spec.gateway.replicas))
    if key not in PLANS:
        PLANS[key] = service_plan(spec, shipped(), TODAY)
    return PLANS[key]


def told(sized_by: str, file: Path) -> str:
    """The answer of `fairlead plan`, made once for all that is sized by the same."""
    if sized_by not in ANSWERS:
        ANSWERS[sized_by] = repr(answer(load(file), shipped(), TODAY))
    return ANSWERS[sized_by]


def put(whole: dict[str, Any], where: str, value: Any) -> None:
    """Set a value; None takes it away. What lies on the way is made."""
    parts: Any = whole
    *way, last = (int(step) if step.isdigit() else step for step in where.split("/"))
    for step in way:
        if isinstance(parts, dict):
            parts.setdefault(step, {})
        parts = parts[step]
    if value is None:
        del parts[last]
    else:
        parts[last] = value
