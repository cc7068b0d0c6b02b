"""Each judge lets good input pass and refuses bad input: a judge that accepts everything proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from .oracles import SHARED, judge, verdict

EXAMPLES = SHARED.parent / "data" / "k8s-examples"
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: here}
spec:
  containers:
    - {name: main, image: registry.example/main@sha256:0}
"""
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [pod.yaml]\n"
RULES = "groups: [{name: g, rules: [{alert: Down, expr: 'up == 0', for: 5m}]}]\n"
TEST = """\
rule_files: [a.rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: 'up{job="x"}', values: '0+0x10'}]
    alert_rule_test:
      - {eval_time: 6m, alertname: Down, exp_alerts: [{exp_labels: {job: x}}]}
"""
ALERTMANAGER = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
WORKFLOW = """\
name: test
on: push
permissions: {}
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - run: echo hello
"""
SERVE = SHARED / "selftest" / "serve-good.yaml"
PIPELINE = """\
pipeline {
    agent any
    stages {
        stage('test') {
            steps { sh 'make test' }
        }
    }
}
"""

# judge: (path, good text, bad text)
CASES: dict[str, tuple[dict[str, str], tuple[str, str, str]]] = {
    "crds": ({"pod.yaml": POD}, ("pod.yaml", "containers:", "container:")),
    "core": ({"pod.yaml": POD}, ("pod.yaml", "name: main,", "volumeMounts: [{name: no, mountPath: /a}], name: main,")),
    "kustomize": ({"pod.yaml": POD, "kustomization.yaml": KUSTOMIZATION}, ("kustomization.yaml", "pod.yaml", "x.yaml")),
    "promtool-rules": ({"a.rules.yaml": RULES}, ("a.rules.yaml", "up == 0", "up == ")),
    "promtool-test": (
        {"a.rules.yaml": RULES, "a.test.yaml": TEST},
        ("a.test.yaml", "eval_time: 6m", "eval_time: 4m"),
    ),
    "amtool": ({"alertmanager.yaml": ALERTMANAGER}, ("alertmanager.yaml", "receiver: nobody", "receiver: somebody")),
    "hadolint": ({"Dockerfile": "FROM debian:12.5-slim\n"}, ("Dockerfile", ":12.5-slim", ":latest")),
    "shellcheck": ({"a.sh": '#!/bin/sh\necho "$1"\n'}, ("a.sh", '"$1"', "$1")),
    "actionlint": ({".github/workflows/a.yaml": WORKFLOW}, (".github/workflows/a.yaml", "runs-on", "run-on")),
    "zizmor": ({".github/workflows/a.yaml": WORKFLOW}, (".github/workflows/a.yaml", "hello", "${{ github.head_ref }}")),
    "workflow-schema": ({".github/workflows/a.yaml": WORKFLOW}, (".github/workflows/a.yaml", "steps", "step")),
    "groovy": ({"Jenkinsfile": PIPELINE}, ("Jenkinsfile", "pipeline {", "pipeline {{")),
}


SLOW = {"groovy": [pytest.mark.slow, pytest.mark.timeout(600)]}


@pytest.mark.parametrize(
    ("files", "mistake"), [pytest.param(*case, id=name, marks=SLOW.get(name, ())) for name, case in CASES.items()]
)
def test_a_judge_accepts_the_good_and_refuses_the_bad(
    request: pytest.FixtureRequest, tmp_path: Path, files: dict[str, str], mistake: tuple[str, str, str]
) -> None:
    name = request.node.callspec.id
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    judge(name, tmp_path)
    path, good, bad = mistake
    assert good in files[path]
    (tmp_path / path).write_text(files[path].replace(good, bad))
    assert not verdict(name, tmp_path).fine


@pytest.mark.parametrize("name", ["crds", "core", "serve"])
def test_manifests_that_an_api_server_accepted_pass(name: str) -> None:
    options = ["--external", "Secret/llm-d-hf-token"] if name == "core" else []
    judge(name, EXAMPLES, *options)


def test_terraform_plans_what_is_right_and_refuses_what_is_not() -> None:
    good, bad = SHARED / "selftest" / "aks-good", SHARED / "selftest" / "aks-bad"
    judge("terraform", good, "--plan", "--var-file", str(good / "test.tfvars"))
    assert not verdict("terraform", bad).fine


def test_a_folder_with_nothing_to_judge_does_not_pass(tmp_path: Path) -> None:
    assert not verdict("crds", tmp_path).fine
    with pytest.raises(AssertionError, match="nothing matches"):
        verdict("hadolint", tmp_path)
