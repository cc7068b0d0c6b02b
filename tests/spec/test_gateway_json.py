"""Spec to `gateway.json`: complete, in seconds and bytes, deny by default, and read by the gateway itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fairlead.gateway import config as gateway
from fairlead.render.gateway import gateway_config, gateway_text
from fairlead.spec.load import load

from .conftest import Write

TEXT = """
models:
  demo: {source: demo:v1, replicas: 2}
  far: {engine: remote, urls: [http://127.0.0.1:9000], model: theirs, api_key_env: FAR_API_KEY, health_path: /up, prompt_tokens: exact}
routes:
  fast: {model: demo, timeout: 800ms}
  slow: {model: far}
access:
  roles:
    all: {models: ["*"]}
    some: {models: [slow, fast], operations: [chat]}
gateway: {timeout: 2m, limits: {max_body: 1Mi, idle_timeout: 90s}}
"""  # noqa: E501
UPSTREAMS = {"demo": ["http://127.0.0.1:9100", "http://127.0.0.1:9101"]}


def test_each_part_is_what_the_gateway_needs(write: Write) -> None:
    config = gateway_config(load(write(TEXT)), state_dir="/state", upstreams=UPSTREAMS)
    assert config["models"] == {
        "demo": {
            "upstreams": UPSTREAMS["demo"],
            "upstream_model": "demo",
            "api_key_env": "",
            "health_path": "/health",
            "operations": ["chat", "completions"],
            "max_model_len": 0,
            "max_num_seqs": 32,
            "exact_prompts": False,
        },
        "far": {
            "upstreams": ["http://127.0.0.1:9000"],
            "upstream_model": "theirs",
            "api_key_env": "FAR_API_KEY",
            "health_path": "/up",
            "operations": ["chat", "completions"],
            "max_model_len": 0,
            "max_num_seqs": 0,
            "exact_prompts": True,
        },
    }
    assert config["routes"] == {
        "demo": {"model": "demo", "timeout_s": 120.0},
        "far": {"model": "far", "timeout_s": 120.0},
        "fast": {"model": "demo", "timeout_s": 0.8},
        "slow": {"model": "far", "timeout_s": 120.0},
    }
    assert config["roles"] == {
        "all": {"models": ["demo", "far", "fast", "slow"], "operations": ["chat", "completions"]},
        "some": {"models": ["fast", "slow"], "operations": ["chat"]},
    }
    assert config["limits"]["max_body_bytes"] == 2**20
    assert config["limits"]["idle_timeout_s"] == 90.0


def test_the_gateway_reads_what_is_compiled(write: Write, tmp_path: Path) -> None:
    compiled = gateway_config(load(write(TEXT)), state_dir=tmp_path, upstreams=UPSTREAMS)
    path = tmp_path / "gateway.json"
    path.write_text(gateway_text(compiled))
    read = gateway.load(path)
    assert read.routes["fast"].timeout_s == 0.8
    assert read.roles["some"].models == ("fast", "slow")
    assert read.models["far"].api_key_env == "FAR_API_KEY"


def test_the_same_spec_is_the_same_bytes_in_whatever_order_it_is_written(write: Write) -> None:
    def text(source: str) -> str:
        return gateway_text(gateway_config(load(write(source)), state_dir="/state", upstreams=UPSTREAMS))

    lines = TEXT.strip().splitlines()
    turned = "\n".join([lines[0], lines[2], lines[1], lines[3], lines[5], lines[4], *lines[6:]])
    assert turned != TEXT
    assert text(turned) == text(TEXT)


def test_a_model_without_upstream_is_the_callers_mistake(write: Write) -> None:
    with pytest.raises(ValueError, match="no upstream for model 'demo'"):
        gateway_config(load(write(TEXT)), state_dir="/state", upstreams={})


def test_a_relative_state_dir_is_the_callers_mistake(write: Write) -> None:
    with pytest.raises(ValueError, match="not absolute"):
        gateway_config(load(write(TEXT)), state_dir=".fairlead", upstreams=UPSTREAMS)


CONSUMPTION = """
models: {demo: {source: "demo:v1"}}
limits: {calm: {per: tenant, requests: 600/min, tokens: 1.5k/s, burst: 30s, concurrent: 4, keys: [b, a]}}
prices: {demo: {prompt: 0.15 USD, completion: 0.000000001 USD}}
budgets: {purse: {amount: 2.5 USD/month, per: [tenant, model], timezone: Europe/Berlin, warn_webhook: "http://a/b"}}
fairness: {roles: {user: 2.5}, batch_roles: [user], max_wait: 800ms}
gateway: {idempotency: {lifetime: 1h, memory: 2Mi}}
"""


def test_what_may_be_used_is_counted_in_whole_units(write: Write) -> None:
    config = gateway_config(load(write(CONSUMPTION)), state_dir="/state", upstreams=UPSTREAMS)
    (calm,) = config["rate_limits"].values()
    assert (calm["requests"], calm["tokens"]) == (
        {"count": 600.0, "period_s": 60, "burst": 300.0},
        {"count": 1500.0, "period_s": 1, "burst": 45_000.0},
    )
    assert (calm["per"], calm["concurrent"], calm["keys"]) == (["tenant"], 4, ["a", "b"])
    assert config["prices"]["demo"] == {"prompt_nano": 150_000_000, "cached_nano": 150_000_000, "completion_nano": 1}
    (purse,) = config["budgets"].values()
    assert (purse["amount_nano"], purse["period"], purse["timezone"]) == (2_500_000_000, "month", "Europe/Berlin")
    assert (purse["per"], purse["warn_at"], purse["warn_webhook"]) == (["tenant", "model"], 0.8, "http://a/b")
    assert (config["fairness"]["roles"], config["fairness"]["max_wait_s"]) == ({"user": 2.5}, 0.8)
    assert config["idempotency"] == {"lifetime_s": 3600.0, "memory_bytes": 2**21}
    assert config["currency"] == "USD"
    assert msgspec.convert(config, gateway.Config).fairness is not None
