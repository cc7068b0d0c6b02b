"""From a file to checked texts, each object with the line that asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import UserError
from fairlead.ops.rendering import render_file
from fairlead.render.targets import TARGETS

from .plans import SERVICE, plan


def file(tmp_path: Path, text: str = SERVICE) -> Path:
    path = tmp_path / "fairlead.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_renders_without_a_problem_and_the_same_twice(tmp_path: Path, target: str) -> None:
    first = render_file(file(tmp_path), None, target, lambda spec: plan())
    assert first.texts == render_file(file(tmp_path), None, target, lambda spec: plan()).texts


def test_provenance_names_the_line_of_each_object(tmp_path: Path) -> None:
    text = render_file(file(tmp_path), None, "vllm", lambda spec: plan()).texts["PROVENANCE.md"]
    line = SERVICE.splitlines().index("gateway: {replicas: 2}") + 1
    assert f"| Service/chat-gateway | manifests/gateway.yaml | gateway | fairlead.yaml:{line} |" in text
    assert str(tmp_path) not in text


def test_every_refusal_is_told_at_once(tmp_path: Path) -> None:
    broken = SERVICE.replace("gateway: {replicas: 2}", "gateway: {tls: {self_signed: true}}").replace(
        "store:\n  postgres: {url_env: DATABASE_URL}\n", ""
    )
    with pytest.raises(UserError) as caught:
        render_file(file(tmp_path, broken), None, "vllm", lambda spec: plan())
    assert len(caught.value.problems) == 2


def test_an_unknown_target_is_answered_with_the_likely_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean vllm"):
        render_file(file(tmp_path), None, "vlm", lambda spec: plan())


DIGEST = "sha256:" + "4" * 64
IMAGES = '{gateway: "ghcr.io/example/fairlead-gateway:0.3.0"}'


@pytest.mark.parametrize("target", TARGETS)
def test_images_may_be_named_by_their_digest(tmp_path: Path, target: str) -> None:
    engines = {"kserve": "vllm", "kuberay": "ray", "llm-d": "vllm", "triton": "triton", "vllm": "vllm"}
    wanted = [f"ghcr.io/example/fairlead-gateway@{DIGEST}", f"ghcr.io/example/engine:1.2@{DIGEST}"]
    images = f'{{gateway: "{wanted[0]}", {engines[target]}: "{wanted[1]}"}}'
    file = tmp_path / "fairlead.yaml"
    file.write_text(SERVICE.replace(IMAGES, images))
    texts = render_file(file, None, target, lambda spec: plan()).texts
    manifests = "".join(text for path, text in texts.items() if path.startswith("manifests/"))
    assert all(f'image: "{image}"' in manifests for image in wanted)


@pytest.mark.parametrize("image", ["ghcr.io/example/gateway", "ghcr.io/example/gateway:latest"])
def test_an_image_that_moves_is_refused(tmp_path: Path, image: str) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(SERVICE.replace(IMAGES, f'{{gateway: "{image}"}}'))
    with pytest.raises(UserError, match="does not say which version"):
        render_file(file, None, "vllm", lambda spec: plan())
