"""Prometheus and Grafana: panels that stay empty and alerts that never fire."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder
from fairlead.lint.promql import calls, metrics
from fairlead.lint.rule import Check, facts
from fairlead.lint.tree import Document, Map, Text

LONGEST = 10_000  # characters of an expression that are read
SUFFIX = re.compile(r"_(bucket|sum|count)$")
RATED = re.compile(r"\b(rate|irate|increase|delta|avg_over_time|sum_over_time)\s*\(")
TEMPLATED = re.compile(r"\[\[|\{\{")


@dataclass(frozen=True, slots=True)
class Expression:
    """A PromQL expression and where it stands."""

    document: Document
    holder: Map
    key: str
    text: str

    def at(self, offset: int) -> tuple[int, int]:
        """The line and the column of an offset of the expression."""
        place = self.holder.values_at[self.key]
        if isinstance(self.text, Text):
            before = self.text[:offset]
            return self.text.first_line + before.count("\n"), 1
        return place.line, place.column + offset


def invented_metrics(folder: Folder) -> Iterator[Hit]:
    """D-28: metrics that nobody emits, and quantiles over what is no rate of buckets."""
    invented, recorded = facts("metrics.toml")["invented"], _recorded(folder)
    for expression in _expressions(folder):
        for metric in metrics(expression.text):
            family = SUFFIX.sub("", metric.name)
            known = metric.name if metric.name in invented else family
            if known in invented and metric.name not in recorded:
                message = f"nobody emits {metric.name}"
                yield _hit(expression, metric.offset, message, f"use {invented[known]}")
        for offset, arguments in calls(expression.text, "histogram_quantile"):
            inner = arguments[-1] if arguments else ""
            if inner and not RATED.search(inner) and not any(m.name in recorded for m in metrics(inner)):
                yield _hit(expression, offset, "histogram_quantile over something that is no rate of buckets", "")


def removed_metrics(folder: Folder) -> Iterator[Hit]:
    """PROM-01: metrics that vLLM does not emit any more."""
    removed, recorded = facts("metrics.toml")["removed"], _recorded(folder)
    for expression in _expressions(folder):
        for metric in metrics(expression.text):
            family = SUFFIX.sub("", metric.name)
            if family in removed and family not in recorded:
                new = removed[family]
                fix = f"use {new}" if new else "nothing takes its place"
                yield _hit(expression, metric.offset, f"vLLM does not emit {metric.name} any more", fix)


def lost_le(folder: Folder) -> Iterator[Hit]:
    """PROM-02: a quantile over buckets whose `le` was summed away."""
    for expression in _expressions(folder):
        for offset, arguments in calls(expression.text, "histogram_quantile"):
            inner = arguments[-1] if arguments else ""
            grouping = re.search(r"\bsum\s*(?:by|without)?\s*\(", inner)
            by = re.findall(r"\bby\s*\(([^)]*)\)", inner)
            summed = grouping and "_bucket" in inner and "without" not in inner and "$" not in inner
            if summed and not any("le" in re.split(r"[\s,]+", labels) for labels in by):
                yield _hit(expression, offset, "`le` is summed away: the quantile is NaN for ever", "")


def constant_alerts(folder: Folder) -> Iterator[Hit]:
    """PROM-03: an alert whose threshold its metric can never reach."""
    for expression in _expressions(folder):
        if "alert" not in expression.holder:
            continue
        for match in re.finditer(r"(\w+_(?:usage_perc|ratio))[^<>=]*?>=?\s*([0-9.]+)\s*$", expression.text.strip()):
            if float(match[2]) >= 1.0 and "* 100" not in expression.text and "*100" not in expression.text:
                yield _hit(expression, match.start(), f"{match[1]} is a fraction of 1: it never passes {match[2]}", "")


def _expressions(folder: Folder) -> Iterator[Expression]:
    for document, holder, key in folder.having("expr", "query"):
        value: Any = holder[key]
        if not isinstance(value, str) or len(value) > LONGEST or TEMPLATED.search(value):
            continue
        if key == "expr" or _is_prometheus(holder):
            yield Expression(document, holder, key, value)


def _is_prometheus(holder: Map) -> bool:
    """Whether a `query` beside these keys is PromQL: KEDA's and KServe's are, a database's is not."""
    return "serverAddress" in holder or holder.get("backend") == "prometheus"


def _recorded(folder: Folder) -> set[str]:
    return {str(holder[key]) for _, holder, key in folder.having("record")}


def _hit(expression: Expression, offset: int, message: str, fix: str) -> Hit:
    return Hit(expression.document.file, *expression.at(offset), message, fix)


CHECKS: Mapping[str, Check] = {
    "D-28": invented_metrics,
    "PROM-01": removed_metrics,
    "PROM-02": lost_le,
    "PROM-03": constant_alerts,
}
