"""An alert, and the series on which it has to fire and to resolve: none is written without both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fairlead.render.build import Object

Severity = Literal["page", "ticket"]
Step = Literal["1m", "30m"]
"""Minutes for all but what is about days: every rule is evaluated at every step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Synthetic series in promtool's notation (`0x10 1x20`: 0 eleven times, 1 twenty-one times), a value each `step`.

    At `fires`, a time such as `15m`, the alert fires with `labels`; at `quiet` it does not.
    """

    series: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    fires: str
    quiet: str
    step: Step = "1m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """`expr` has to hold for `wait`. `page`: somebody is woken; `ticket`: it can wait for the morning.

    `runbook` is a page of docs/runbooks. `labels` are added to those of the series.
    """

    name: str
    expr: str
    wait: str
    severity: Severity
    summary: str
    runbook: str
    example: Example
    labels: Mapping[str, str] = field(default_factory=dict)


def rule(alert: Alert, runbooks: str) -> Object:
    """The alert as Prometheus reads it."""
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.wait,
        "labels": {"severity": alert.severity, **alert.labels},
        "annotations": notes(alert, runbooks),
    }


def notes(alert: Alert, runbooks: str) -> dict[str, str]:
    """What whoever is woken reads; `runbooks` is where the pages are published, or ""."""
    link = {"runbook_url": f"{runbooks.rstrip('/')}/{alert.runbook}.md"} if runbooks else {}
    return {"summary": alert.summary, "runbook": alert.runbook, **link}


def unit_test(alert: Alert) -> Object:
    """The example as a test for `promtool test rules`."""
    example = alert.example
    expected = {"severity": alert.severity, **alert.labels, **example.labels}
    return {
        "name": alert.name,
        "interval": example.step,
        "input_series": [{"series": name, "values": values} for name, values in example.series.items()],
        "alert_rule_test": [
            {"eval_time": example.fires, "alertname": alert.name, "exp_alerts": [{"exp_labels": expected}]},
            {"eval_time": example.quiet, "alertname": alert.name, "exp_alerts": []},
        ],
    }
