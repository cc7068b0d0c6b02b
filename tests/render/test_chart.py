"""The Helm chart is the manifests: read with its values, by the few forms that it uses, it gives the same objects.

There is no helm here: what evaluates the templates is a page of our own, so the evidence is of the kind `simulated`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from fairlead.render.files import Files
from fairlead.render.targets import rendered

from .plans import SERVICE, built

MONITORED = SERVICE + "monitoring: {}\ndelivery: {chart: true}\n"
FORM = re.compile(r"{{(-?)\s*(.*?)\s*(-?)}}")


def made() -> Files:
    return rendered(built(MONITORED))


def load(text: str) -> list[Any]:
    return [each for each in YAML(typ="safe", pure=True).load_all(text) if each]


def helm(text: str, values: dict[str, Any]) -> str:
    """What Helm makes of a template: `.Values.a.b | quote`, a quoted `{{`, one `if` around all. Others are errors."""
    opening, body = text.split("\n", 1)
    condition = re.fullmatch(r"{{- if \.Values\.parts\.(\w+) }}", opening)
    assert condition, opening
    assert body.endswith("{{- end }}\n")
    if not values["parts"][condition[1]]:
        return ""

    def one(form: re.Match[str]) -> str:
        if form[2] == '"{{"':
            return "{{"
        value = re.fullmatch(r"\.Values\.(\w+)\.(\w+) \| quote", form[2])
        assert value, form[0]
        return json.dumps(values[value[1]][value[2]])

    return FORM.sub(one, body.removesuffix("{{- end }}\n"))


def objects(values: dict[str, Any]) -> list[Any]:
    templates = {path: text for path, text in made().texts().items() if path.startswith("chart/templates/")}
    templates.pop("chart/templates/0-namespace.yaml")
    return [each for path in sorted(templates) for each in load(helm(templates[path], values))]


@pytest.fixture
def values() -> dict[str, Any]:
    [loaded] = load(made().texts()["chart/values.yaml"])
    return dict(loaded)


def test_with_its_own_values_it_is_the_manifests(values: dict[str, Any]) -> None:
    texts = made().texts()
    listed = [path for path in sorted(texts) if path.startswith("manifests/") and "kustomization" not in path]
    applied = [each for path in listed for each in load(texts[path])]
    expected = [each for each in applied if each["kind"] not in ("Namespace", "Kustomization")]
    assert {json.dumps(each, sort_keys=True) for each in objects(values)} == {
        json.dumps(each, sort_keys=True) for each in expected
    }


def test_an_image_is_replaced_wherever_it_runs(values: dict[str, Any]) -> None:
    ours = values["images"]["gateway"]
    values["images"]["gateway"] = "mirror.example/gateway:9"
    text = json.dumps(objects(values))
    assert "mirror.example/gateway:9" in text
    assert ours not in text


def test_a_part_can_be_left_out(values: dict[str, Any]) -> None:
    values["parts"]["gateway"] = False
    assert not [
        each for each in objects(values) if each["kind"] == "Deployment" and "gateway" in each["metadata"]["name"]
    ]


def test_its_schema_takes_its_values_and_no_others(values: dict[str, Any]) -> None:
    schema = json.loads(made().texts()["chart/values.schema.json"])
    jsonschema.Draft7Validator(schema).validate(values)
    assert not jsonschema.Draft7Validator(schema).is_valid({**values, "replicas": 3})
    assert not jsonschema.Draft7Validator(schema).is_valid({"images": {"gateway": "no-version"}})


def test_another_namespace_fails() -> None:
    guard = made().texts()["chart/templates/0-namespace.yaml"]
    assert 'if ne .Release.Namespace "chat"' in guard
    assert "fail" in guard


def test_there_is_no_chart_unless_asked_for() -> None:
    assert not [path for path in rendered(built()).texts() if path.startswith("chart/")]


def test_argo_cd_applies_the_folder_of_manifests() -> None:
    text = "delivery: {argocd: {repository: 'https://git.example.com/llm.git', path: rendered/production}}\n"
    [application] = load(rendered(built(SERVICE + text)).texts()["argocd/application.yaml"])
    assert application["metadata"]["namespace"] == "argocd"
    assert application["spec"]["source"] == {
        "repoURL": "https://git.example.com/llm.git",
        "targetRevision": "main",
        "path": "rendered/production/manifests",
    }
    assert application["spec"]["destination"]["namespace"] == "chat"
    assert application["spec"]["project"] == "default"


@pytest.mark.parametrize(("target", "heals"), [("kuberay", False), ("vllm", True)])
def test_argo_cd_does_not_undo_what_a_schedule_did(target: str, heals: bool) -> None:
    """On Ray CronJobs patch the RayService; elsewhere KEDA scales."""
    text = SERVICE + "delivery: {argocd: {repository: 'https://git.example.com/llm.git', path: rendered/production}}\n"
    for made_of, expected in ((text, heals), (re.sub(r"  schedules:\n.*\n", "", text), True)):
        [application] = load(rendered(built(made_of, target)).texts()["argocd/application.yaml"])
        assert application["spec"]["syncPolicy"]["automated"]["selfHeal"] is expected
