"""Pipelines and images: their linters find nothing, what they run is pinned, and what must agree with us does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairlead.catalog.components import component
from fairlead.render import kube, names
from fairlead.render.delivery.pipelines import constant
from fairlead.render.engines import ray_jobs
from fairlead.render.refusals import refusals
from fairlead.render.targets import rendered

from .oracles import judge
from .plans import SERVICE, built, spec

BOTH = SERVICE + "delivery: {pipelines: [github, jenkins]}\n"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The constant files, as somebody copied them to the root of a repository."""
    for path, text in constant().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


LONG = [pytest.mark.slow, pytest.mark.timeout(600)]  # Java, and it reads 13 MB of rules


@pytest.mark.parametrize(
    "name",
    ["hadolint", "shellcheck", "actionlint", "zizmor", "workflow-schema", pytest.param("groovy", marks=LONG)],
)
def test_linters_find_nothing(name: str, repository: Path) -> None:
    judge(name, repository)


def test_every_action_is_pinned_by_its_commit() -> None:
    texts = [text for path, text in constant().items() if "workflows/" in path]
    used = [line for text in texts for line in re.findall(r"uses: (.*)", text)]
    assert len(used) > 10
    assert [each for each in used if not re.match(r"\./|[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d", each)] == []


def test_no_pipeline_has_a_static_key_of_a_cloud() -> None:
    found = re.findall(r"(?i)aws_secret|access_key|credentials_json|client-secret|ARM_CLIENT_SECRET", str(constant()))
    assert found == []


def test_the_gateways_image_is_what_its_pod_expects() -> None:
    text = constant()["images/gateway.Dockerfile"]
    assert f"USER {kube.USER}:{kube.USER}" in text
    assert f"EXPOSE {names.GATEWAY_PORT} {names.ADMIN_PORT}" in text
    assert f"{names.CONFIG_MOUNT}/{names.CONFIG_FILE}" in text
    copied = [name for line in re.findall(r"COPY (?!--from)(.*) \S+", text) for name in line.split()]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    allowed = re.findall(r"^!(.*)", constant()["images/gateway.Dockerfile.dockerignore"], re.MULTILINE)
    assert set(copied) == set(allowed)


def test_rays_image_is_the_one_that_manifests_are_written_for() -> None:
    text = constant()["images/ray.Dockerfile"]
    assert f"ARG BASE={component('ray').image}\n" in text
    assert f"COPY --from=build {ray_jobs.COMMAND.removesuffix('/bin/fairlead')} " in text
    ignored = [constant()[f"images/{name}.Dockerfile.dockerignore"] for name in ("ray", "gateway")]
    assert ignored[0] == ignored[1]


def test_only_what_is_asked_for_is_rendered() -> None:
    github = built(SERVICE + "delivery: {pipelines: [github]}\n")
    paths = {path for path in rendered(github).texts() if path.startswith("delivery/")}
    assert "delivery/.github/workflows/stage.yaml" in paths
    assert "delivery/scripts/deploy.sh" in paths
    assert "delivery/Jenkinsfile" not in paths
    assert not [path for path in rendered(built()).texts() if path.startswith("delivery/")]


def test_scripts_are_told_what_manifests_say() -> None:
    stage = rendered(built(BOTH)).texts()["delivery/stage.env"]
    assert stage == "export NAMESPACE=chat\nexport URL=https://llm.example.com\nexport SMOKE_MODEL=llama-8b\n"


def test_a_pipeline_without_a_way_in_is_refused() -> None:
    text = re.sub(r"  ingress: .*\n", "", BOTH)
    [finding] = [each for each in refusals(spec(text)) if each.path[0] == "delivery"]
    assert "smoke test" in finding.message
