"""What a laptop may do and a cluster cannot is refused with the line of the file."""

from __future__ import annotations

import pytest

from fairlead.render.refusals import refusals
from fairlead.spec.load import located

from .plans import SERVICE, document, spec

DEPLOY = SERVICE[SERVICE.index("deploy:") :]
MISTAKES = {
    "no deploy": (DEPLOY, "", "nothing says how it is deployed"),
    "no database": ("store:\n  postgres: {url_env: DATABASE_URL}\n", "", "would be gone with the gateway's pod"),
    "an embedded engine": ("  far:\n", "  tiny: {source: ./tiny}\n  far:\n", "serves a laptop"),
    "Ray by hand": ("  far:\n", "  tiny: {engine: ray, source: ./tiny}\n  far:\n", "runs engine: ray"),
    "a Ray beside the laptop": ("  far:\n", "  own: {engine: ray, source: ./tiny}\n  far:\n", "`up` runs engine: ray"),
    "an engine on CPUs": ("max_model_len: 8192\n", "max_model_len: 8192\n    device: cpu\n", "are planned on GPUs"),
    "tls in the pod": ("gateway: {replicas: 2}", "gateway: {replicas: 2, tls: {self_signed: true}}", "TLS ends at"),
    "a long name": ("name: chat\n", "name: a-very-long-name-of-a-service\n", "at most 16 characters"),
    "two names alike": ("  far:\n", "  LLAMA_8B:\n", "named like 'llama-8b'"),
    "secrets from nowhere": ("  secrets: {store: aws}\n", "", "DATABASE_URL, FAIRLEAD_API_KEY, FAR_API_KEY, HF_TOKEN"),
    "fewer gateways at most than always": ("max_gateways: 4", "max_gateways: 1", "less than gateway.replicas: 2"),
    "limits that nobody shares": (
        "gateway: {replicas: 2}",
        "gateway: {replicas: 1}\nlimits: {all: {per: tenant, requests: 1/s}}",
        "each of 4 gateways would give the whole",
    ),
    "a schedule for no model": ("models: [llama-8b]", "models: [llama-9b]", "no model 'llama-9b' is deployed"),
    "a schedule for somebody else's": ("models: [llama-8b]", "models: [far]", "no model 'far' is deployed"),
    "a schedule without a span": ("end: 0 20 * * 1-5", "end: 0 7 * * 1-5", "it ends when it begins"),
}


def test_the_service_is_not_refused() -> None:
    assert refusals(spec()) == []


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES.values(), ids=MISTAKES)
def test_is_refused(old: str, new: str, message: str) -> None:
    assert old in SERVICE
    text = SERVICE.replace(old, new)
    [problem] = located(refusals(spec(text)), document(text))
    assert message in problem.message
    assert problem.hint
    assert problem.where.startswith("fairlead.yaml:")
