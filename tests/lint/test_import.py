"""Other people's configurations become a file that passes `check`; what was rendered and imported renders the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.lint.adopt.adopt import Adoption, adopt
from fairlead.lint.front.read import read
from fairlead.ops.lint_files import files
from fairlead.spec.load import check
from lint.places import beside

EXAMPLE = Path(__file__).parents[2] / "examples" / "production" / "fairlead.yaml"
LITELLM = """\
model_list:
- model_name: llama
  litellm_params:
    {model: hosted_vllm/org/llama, api_base: "http://vllm-0:8000/v1", api_key: os.environ/VLLM_KEY, tpm: 1000, rpm: 60}
- model_name: llama
  litellm_params: {model: hosted_vllm/org/llama, api_base: "http://vllm-1:8000/v1", api_key: os.environ/VLLM_KEY}
- model_name: gpt
  litellm_params: {model: azure/gpt, api_key: os.environ/AZURE_KEY}
guardrails: []
"""


def adopted(text: str, name: str = "a.yaml") -> Adoption:
    return adopt([read(name, text.encode())])


def passes_check(values: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_KEY", "secret")
    path = folder / "fairlead.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    check(path)


def test_the_good_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adoption = adopt(files([beside("data", "k8s-examples")]))
    models = adoption.values["models"]
    assert set(models) == {"llama-3.1-8b", "llama-8b", "llama-8b-zero", "llama-70b", "llama-8b-2"}
    assert models["llama-3.1-8b"]["autoscaling"] == {"min": 1, "max": 4}
    assert models["llama-70b"]["tensor_parallel_size"] == 4
    assert models["llama-70b"]["max_model_len"] == 32768
    passes_check(adoption.values, tmp_path, monkeypatch)


def test_the_documents_are_corrected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adoption = adopt(files([beside("seeds")]))
    assert adoption.values["models"]["llama-2-70b"]["max_model_len"] == 4096
    corrected = {note.rule for note in adoption.of_kind("corrected")}
    assert {"D-02", "D-04", "D-08", "D-11", "D-12", "D-18", "D-41", "D-47"} <= corrected
    passes_check(adoption.values, tmp_path, monkeypatch)


def test_every_sample_that_is_covered_passes_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: Path
) -> None:
    covered = 0
    for path in sorted(samples.rglob("*.yaml")):
        values = adopt(files([path])).values
        if values:
            covered += 1
            passes_check(values, tmp_path, monkeypatch)
    assert covered >= 40


def test_litellm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adoption = adopted(LITELLM)
    assert adoption.values["models"] == {
        "llama": {
            "engine": "remote",
            "urls": ["http://vllm-0:8000", "http://vllm-1:8000"],
            "model": "org/llama",
            "api_key_env": "VLLM_KEY",
        }
    }
    assert adoption.values["limits"] == {"llama": {"models": ["llama"], "requests": "60/min", "tokens": "1000/min"}}
    assert any("azure/gpt" in note.message for note in adoption.of_kind("lost"))
    passes_check(adoption.values, tmp_path, monkeypatch)


def test_a_deployment_and_its_autoscaler() -> None:
    text = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: llama}
spec:
  template:
    spec:
      containers:
      - name: vllm
        image: vllm/vllm-openai:v0.32.0
        command: [vllm, serve, org/llama]
        args: [--max-model-len, "8192", --served-model-name=chat, --swap-space=4]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: llama}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llama}, minReplicas: 2, maxReplicas: 6}
"""
    adoption = adopted(text)
    assert adoption.values["models"] == {
        "chat": {
            "engine": "vllm",
            "source": "hf://org/llama@main",
            "max_model_len": 8192,
            "replicas": 2,
            "autoscaling": {"min": 2, "max": 6},
        }
    }
    assert any("swap_space" in note.message for note in adoption.of_kind("lost"))


@pytest.mark.parametrize("target", ["vllm", "kserve", "kuberay"])
def test_rendered_imported_and_rendered_again_is_the_same(target: str, tmp_path: Path) -> None:
    """The import of what is rendered is a fixed point: rendering it and importing that gives the same models."""
    original = yaml.safe_load(EXAMPLE.read_text())
    del original["deploy"]["schedules"]  # they raise the bounds of some targets for a time
    path = tmp_path / "original.yaml"
    path.write_text(yaml.safe_dump(original, sort_keys=False))
    first = adopt(files([rendered(path, target, tmp_path / "one")]))
    assert list(first.values["models"]) == list(original["models"]), "a batch's own engines are no service"
    assert ("RayCronJob" in str(first.of_kind("lost"))) is (target == "kuberay")
    for name, model in first.values["models"].items():
        assert model["source"] == original["models"][name]["source"]
        assert model["max_model_len"] == original["models"][name]["max_model_len"]
        assert model["autoscaling"] == original["models"][name]["autoscaling"]
    models = {name: {**model, "pool": "l4"} for name, model in first.values["models"].items()}
    again = tmp_path / "fairlead.yaml"
    again.write_text(yaml.safe_dump({**original, "models": models}, sort_keys=False))
    second = adopt(files([rendered(again, target, tmp_path / "two")]))
    assert second.values["models"] == first.values["models"]


def rendered(path: Path, target: str, out: Path) -> Path:
    done = CliRunner().invoke(app, ["render", str(path), "-t", target, "-o", str(out)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return out / "manifests"


def test_the_command_writes_once(tmp_path: Path) -> None:
    source = tmp_path / "values.yaml"
    source.write_text("servingEngineSpec:\n  modelSpec:\n  - {name: a, modelURL: org/a, replicaCount: 2}\n")
    out = tmp_path / "fairlead.yaml"
    done = CliRunner().invoke(app, ["import", str(source), "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "carried over: 2" in done.stderr
    assert check(out).models["a"].engine == "vllm"
    assert CliRunner().invoke(app, ["import", str(source), "-o", str(out)]).exit_code != 0


def test_nothing_to_import_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Service\napiVersion: v1\n")
    done = CliRunner().invoke(app, ["import", str(tmp_path)])
    assert "no model was found" in str(done.exception)
