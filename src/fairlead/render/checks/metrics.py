"""Rules, autoscalers and dashboards ask for metrics that somebody in this target emits: a renamed one fires never."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.files import Document
from fairlead.signals import GATEWAY, Signal
from fairlead.signals.cluster import CLUSTER
from fairlead.signals.engine import VLLM
from fairlead.signals.gpu import GPU
from fairlead.signals.ray import RAY
from fairlead.spec.problems import nearest

ON_RAY = frozenset(("kuberay",))
"""Targets whose engines' metrics come under Ray's names."""
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")
WORDS = frozenset(
    (
        "and",
        "or",
        "unless",
        "bool",
        "offset",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "inf",
        "nan",
    )
)
NOT_METRICS = re.compile(
    r'"(?:[^"\\]|\\.)*"'  # texts
    r"|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"  # lists of labels
    r"|\[[^\]]*\]"  # spans
    r"|\$__?\w+|\$\{\w+\}"  # a dashboard's variables
)
BRACES = re.compile(r"\{[^{}]*\}")
METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def metrics(rendering: Rendering) -> Iterator[Fault]:
    """Every metric of every query is emitted here, or recorded by a rule."""
    known = emitted(rendering.build.target) | recorded(rendering)
    for document, place, query in queries(rendering):
        for name in sorted(named(query) - known):
            hint = nearest(name, known, otherwise="signals")
            yield Fault(
                document, f"{place}: nobody emits the metric {name!r}", hint if len(hint) < 200 else "see signals"
            )


def emitted(target: str) -> set[str]:
    """The names of all series of a target: a histogram is three of them."""
    engines = RAY if target in ON_RAY else VLLM
    return {name for signal in (*GATEWAY, *CLUSTER, *GPU, *engines) for name in series(signal)}


def series(signal: Signal) -> set[str]:
    """The names that a metric is stored under."""
    if signal.kind == "histogram":
        return {f"{signal.name}{part}" for part in HISTOGRAM_PARTS}
    return {signal.name}


def recorded(rendering: Rendering) -> set[str]:
    """What recording rules make."""
    return {
        rule["record"]
        for document in rendering.of_kind("PrometheusRule")
        for rule in _rules(document)
        if "record" in rule
    }


def queries(rendering: Rendering) -> Iterator[tuple[Document, str, str]]:
    """Every query: the object that asks, where in it, and the PromQL."""
    for document in rendering.of_kind("PrometheusRule"):
        for rule in _rules(document):
            yield document, str(rule.get("alert") or rule.get("record")), str(rule["expr"])
    for document in rendering.of_kind("ScaledObject"):
        for trigger in listed(document.object, "spec", "triggers"):
            if trigger.get("type") == "prometheus":
                yield document, "trigger", str(dig(trigger, "metadata", "query"))
    for document in rendering.of_kind("ConfigMap"):
        for file, text in (document.object.get("data") or {}).items():
            if '"panels"' in text and file.endswith(".json"):
                yield from ((document, f"{file}, {title}", query) for title, query in panels(json.loads(text)))


def panels(board: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The queries of a dashboard: the panel's title and the PromQL; panels may stand in rows."""
    for panel in listed(board, "panels"):
        for target in listed(panel, "targets"):
            if target.get("expr"):
                yield str(panel.get("title", "")), str(target["expr"])
        yield from panels(panel)


def named(query: str) -> set[str]:
    """The metrics of a query: words that are neither functions, labels, texts nor PromQL's own."""
    bare = BRACES.sub("{}", NOT_METRICS.sub(" ", query))
    return {
        match[0]
        for match in METRIC.finditer(bare)
        if match[0].lower() not in WORDS
        and not bare[match.end() :].lstrip().startswith("(")
        and not (match.start() and bare[match.start() - 1].isdigit())
    }


def _rules(document: Document) -> list[Any]:
    return [rule for group in listed(document.object, "spec", "groups") for rule in listed(group, "rules")]
