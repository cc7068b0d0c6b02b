"""Which words of a query are metrics; and that a renamed one is found in rules, autoscalers and dashboards alike."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fairlead.render.checks.frame import Rendering
from fairlead.render.checks.metrics import metrics, named, queries
from fairlead.render.files import Document, Files
from fairlead.render.targets import TARGETS, flows

from .planned import rendered

QUERIES = {
    "up": {"up"},
    'rate(a_total{code=~"5..|up"}[5m])': {"a_total"},
    "histogram_quantile(0.95, sum by (le, model) (rate(vllm:x_seconds_bucket[5m])))": {"vllm:x_seconds_bucket"},
    "a / on (pod) group_left (node) b": {"a", "b"},
    "sum(a) without (pod) > 1e3 and b offset 1d": {"a", "b"},
    "avg_over_time(slo:a:ratio5m[1h]) unless absent(b)": {"slo:a:ratio5m", "b"},
    'sum(a{model="$model"}) * $__rate_interval': {"a"},
    "a > bool 0.5": {"a"},
}


@pytest.mark.parametrize(("query", "found"), QUERIES.items(), ids=QUERIES)
def test_named(query: str, found: set[str]) -> None:
    assert named(query) == found


@pytest.mark.parametrize("target", TARGETS)
def test_a_renamed_metric_is_found_wherever_it_is_asked_for(target: str) -> None:
    made = rendered("production", target)
    asked = list(queries(Rendering(made.build, made.files, flows(made.build))))
    kinds = {document.object["kind"] for document, _, _ in asked}
    assert kinds >= {"PrometheusRule", "ConfigMap"}
    assert len(asked) > 40
    documents = tuple(renamed(each) for each in made.files.documents)
    faults = list(metrics(Rendering(made.build, Files(documents, made.files.whole), flows(made.build))))
    assert {fault.document.object["kind"] for fault in faults if fault.document} == kinds


def renamed(document: Document) -> Document:
    """The object as it would be had the gateway's and the engines' names changed."""
    return Document(document.path, change(copy.deepcopy(document.object)))


def change(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: change(item) for key, item in value.items()}
    if isinstance(value, list):
        return [change(item) for item in value]
    return value.replace("num_requests_", "num_reqs_") if isinstance(value, str) else value
