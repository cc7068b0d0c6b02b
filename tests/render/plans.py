"""A small service and its plan, made by hand from the catalog's rows."""

from __future__ import annotations

import datetime
from pathlib import Path

from fairlead.catalog.instances import Instance, instance
from fairlead.plan.deployment import deployment
from fairlead.plan.service import Placement, Pool, ServicePlan
from fairlead.render.build import Build
from fairlead.render.targets import build
from fairlead.spec.load import resolve
from fairlead.spec.types import Spec
from fairlead.spec.yaml import Document, parse

SERVICE = """
apiVersion: fairlead/v1
name: chat
environment: production
models:
  llama-8b:
    engine: vllm
    source: hf://meta-llama/Llama-3.1-8B-Instruct@main
    max_model_len: 8192
  Qwen2.5-0.5B:
    engine: vllm
    source: hf://Qwen/Qwen2.5-0.5B-Instruct@main
  far:
    engine: remote
    urls: ["https://far.example.com"]
    api_key_env: FAR_API_KEY
access:
  roles:
    user: {models: ["*"]}
store:
  postgres: {url_env: DATABASE_URL}
gateway: {replicas: 2}
deploy:
  images: {gateway: "ghcr.io/example/fairlead-gateway:0.3.0"}
  ingress: {hostname: llm.example.com, gateway_class: istio, issuer: letsencrypt}
  max_gateways: 4
  secrets: {store: aws}
  cache: {size: 200Gi, storage_class: efs}
  schedules:
    day: {models: [llama-8b], timezone: Europe/Berlin, start: 0 7 * * 1-5, end: 0 20 * * 1-5, replicas: 3}
  backup: {schedule: 0 2 * * *}
  jobs:
    nightly:
      model: llama-8b
      input: s3://rows/questions.jsonl
      output: s3://answers/{run}.jsonl
      schedule: 0 2 * * *
      timezone: Europe/Berlin
      engine: gateway
  ray: {redis: "redis.data.svc:6379"}
"""
GENERAL = Instance(
    name="m7i.xlarge",
    cloud="AWS",
    gpu="",
    gpus=0,
    vcpus=4,
    memory_gib=16,
    region="us-east-1",
    usd_hour=0.2016,
    usd_hour_spot=None,
    date=datetime.date(2026, 11, 1),
    source="by hand",
)


def document(text: str = SERVICE) -> Document:
    return parse(text, file="fairlead.yaml")


def spec(text: str = SERVICE) -> Spec:
    return resolve(document(text))


def plan() -> ServicePlan:
    pools = (
        Pool(name="general", instance=GENERAL, spot=False, minimum=2, nodes=2, maximum=4),
        Pool(name="l4", instance=instance("g6.2xlarge"), spot=False, minimum=0, nodes=4, maximum=8),
    )
    return ServicePlan(
        cloud="aws",
        region="us-east-1",
        pools=pools,
        placements=(placement("llama-8b", "Llama-3.1-8B"), placement("Qwen2.5-0.5B", "Qwen2.5-7B")),
    )


def placement(name: str, shape: str) -> Placement:
    return Placement(
        model=name,
        pool="l4",
        deployment=deployment(shape, "L4", n_gpus=2),
        max_model_len=8192,
        max_num_seqs=32,
        minimum=1,
        maximum=4,
        ongoing=24.0,
        startup_s=180.0,
    )


def built(text: str = SERVICE, target: str = "vllm") -> Build:
    return build(spec(text), plan(), target)


EXAMPLES = Path(__file__).parents[2] / "examples"
