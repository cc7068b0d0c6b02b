"""What a laptop may do and a cluster cannot is refused with the line of the file."""

from __future__ import annotations

import pytest

from fairlead.render.refusals import refusals
from fairlead.spec.load import located

from .plans import SERVICE, document, spec

MISTAKES = {
    "no deploy": (
        'deploy:\n  images: {gateway: "ghcr.io/example/fairlead-gateway:0.3.0"}\n',
        "",
        "nothing says how it is deployed",
    ),
    "no database": ("store:\n  postgres: {url_env: DATABASE_URL}\n", "", "would be gone with the gateway's pod"),
    "an embedded engine": ("  llama-8b:\n    engine: vllm", "  llama-8b:\n    engine: openvino", "serves a laptop"),
    "tls in the pod": ("gateway: {replicas: 2}", "gateway: {replicas: 2, tls: {self_signed: true}}", "TLS ends at"),
    "a long name": ("name: chat\n", "name: a-very-long-name-of-a-service\n", "at most 16 characters"),
    "two names alike": ("  far:\n", "  LLAMA_8B:\n", "named like 'llama-8b'"),
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
