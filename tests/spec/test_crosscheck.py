"""Contradictions between fields: each is told at the field to change; a sound file has none."""

from __future__ import annotations

import pytest

from fairlead.spec.load import load

from .conftest import Tell, Write

DEMO = "models: {demo: {source: demo:v1}}\n"
VLLM = "models:\n  m: {engine: vllm, source: ./m, %s}\n"
REMOTE = "models: {far: {engine: remote, urls: ['%s']}}\naccess: {roles: {user: {models: ['*']}}}\n"
ROLES = "models: {a: {source: ./a}, b: {source: ./b, operations: [chat]}}\naccess: {roles: {%s}}\n"

# text below the header, environment -> (subject, part of the message)
CONTRADICTIONS = {
    "a route to nobody": (DEMO + "routes: {fast: {model: dmeo}}", None, ("routes.fast.model", "no model 'dmeo'")),
    "a route to a route": (
        DEMO + "routes: {fast: {model: demo}, faster: {model: fast}}",
        None,
        ("routes.faster.model", "no model 'fast'"),
    ),
    "a route named as a model": (DEMO + "routes: {demo: {model: demo}}", None, ("routes.demo", "the name of a model")),
    "a role for nobody": (
        ROLES % "user: {models: ['*', c]}",
        None,
        ("access.roles.user.models[1]", "no model or route 'c'"),
    ),
    "a model for no role": (ROLES % "user: {models: [a]}", None, ("models.b", "no role may use it")),
    "an operation that no model offers": (
        ROLES % "user: {models: ['*']}, bulk: {models: [b], operations: [completions]}",
        None,
        ("access.roles.bulk.operations[0]", "none of its models offers completions"),
    ),
    "one port for two": (DEMO + "gateway: {admin_port: 8080}", None, ("gateway.admin_port", "port 8080")),
    "one port for two, the other way": (DEMO + "gateway: {port: 9090}", None, ("gateway.port", "port 9090")),
    "an overlap longer than a life": (
        DEMO + "access: {keys: {max_age: 1d, rotation_overlap: 2d}}",
        None,
        ("access.keys.rotation_overlap", "shorter than access.keys.max_age (1d)"),
    ),
    "a deadline before the headers are due": (
        DEMO + "gateway: {timeout: 5s, limits: {body_timeout: 5s}}",
        None,
        ("gateway.limits.header_timeout", "gateway.timeout (5s)"),
    ),
    "the demo in production": (
        DEMO + "access: {roles: {user: {models: ['*']}}}",
        "production",
        ("models.demo.source", "not for production"),
    ),
    "a GGUF file in vLLM": (VLLM.replace("./m", "./m.gguf") % "replicas: 1", None, ("models.m.source", "GGUF")),
    "GPU memory without GPU": (
        VLLM % "device: cpu, gpu_memory_utilization: 0.5",
        None,
        ("models.m.gpu_memory_utilization", "no effect with device: cpu"),
    ),
    "a size of the KV cache on a GPU": (VLLM % "kv_cache: 8Gi", None, ("models.m.kv_cache", "device: gpu")),
    "half a gibibyte for vLLM on a CPU": (
        VLLM % "device: cpu, kv_cache: 512Mi",
        None,
        ("models.m.kv_cache", "multiple of"),
    ),
    "plain HTTP across the world": (REMOTE % "http://example.com", "staging", ("models.far.urls[0]", "plain HTTP")),
    "plain HTTP to an address": (REMOTE % "http://10.0.0.1:80", "production", ("models.far.urls[0]", "plain HTTP")),
}

SOUND = {
    "plain HTTP on a laptop": (REMOTE % "http://example.com", None),
    "plain HTTP on this host": (REMOTE % "http://127.0.0.1:9000", "production"),
    "plain HTTP on this host by IPv6": (REMOTE % "http://[::1]:9000", "production"),
    "plain HTTP inside a cluster": (REMOTE % "http://vllm.serving.svc:8000", "production"),
    "TLS across the world": (REMOTE % "https://example.com", "production"),
    "a role for one operation of many": (ROLES % "u: {models: ['*'], operations: [completions]}", None),
    "a model that is reached by a route only": (
        DEMO + "routes: {fast: {model: demo}}\naccess: {roles: {user: {models: [fast]}}}",
        None,
    ),
}


@pytest.mark.parametrize(("text", "environment", "wanted"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_told_once(tell: Tell, text: str, environment: str | None, wanted: tuple[str, str]) -> None:
    (problem,) = tell(text, environment)
    assert problem.subject == wanted[0]
    assert wanted[1] in problem.message
    assert problem.hint


@pytest.mark.parametrize(("text", "environment"), SOUND.values(), ids=SOUND)
def test_what_is_sound_loads(write: Write, text: str, environment: str | None) -> None:
    assert load(write(text), environment).name == "demo"


def test_a_broken_field_does_not_hide_the_contradictions_of_its_part(tell: Tell) -> None:
    problems = tell("""
        models:
          m:
            engine: vllm
            device: cpu
            gpu_memory_utilization: 0.5
            operations: [embedings]
        routes:
          fast: {model: x, timeout: 1}
        access:
          roles:
            user: {models: ["*"], operations: [embeddings]}
        gateway: {port: 9090, limits: {max_body: much}}
        """)
    assert [problem.subject for problem in problems] == [
        "models.m",
        "models.m.gpu_memory_utilization",
        "models.m.operations[0]",
        "routes.fast.model",
        "routes.fast.timeout",
        "gateway.port",
        "gateway.limits.max_body",
    ]
