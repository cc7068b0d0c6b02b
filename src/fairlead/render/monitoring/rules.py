"""All alerts of a service as one PrometheusRule, and their examples as a test that `promtool` runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.render import kube, names
from fairlead.render.build import Build, Object
from fairlead.render.monitoring import alerts, engine_alerts
from fairlead.render.monitoring.alert import Alert, Step, notes, rule, unit_test
from fairlead.render.monitoring.alerts import Dialect
from fairlead.render.monitoring.promql import Scope
from fairlead.render.monitoring.scrape import API, labelled
from fairlead.render.monitoring.slo import Slo, burn_alerts
from fairlead.signals.ray import in_ray
from fairlead.spec.monitoring import Monitoring
from fairlead.spec.planning import Planned
from fairlead.spec.types import Spec


def rules_name(spec: Spec) -> str:
    """The PrometheusRule."""
    return f"{spec.name}-alerts"


def scope_of(spec: Spec) -> Scope:
    """The service's series: scraping adds the namespace."""
    return Scope((f'namespace="{names.namespace(spec)}"',))


def dialect_of(target: str) -> Dialect:
    """Ray Serve LLM passes vLLM's metrics on under other names."""
    return in_ray if target == "kuberay" else lambda signal: signal


def slos(spec: Spec) -> tuple[Slo, ...]:
    """What the spec promises, by model."""
    return tuple(
        Slo(
            model=name,
            routes=(name, *sorted(alias for alias, route in spec.routes.items() if route.model == name)),
            availability=model.slo.availability,
            ttft_s=model.slo.ttft_p95,
            tpot_s=model.slo.tpot_p95,
        )
        for name, model in sorted(spec.models.items())
        if isinstance(model, Planned) and model.slo is not None
    )


def groups(build: Build, told: Monitoring) -> Mapping[str, list[Alert]]:
    """The alerts of a rendering, by group."""
    spec = build.spec
    scope, dialect = scope_of(spec), dialect_of(build.target)
    promised = slos(spec)
    found = {
        "gateway": list(alerts.gateway_alerts(scope, names.gateway(spec))),
        "slo": [alert for slo in promised for alert in burn_alerts(scope, slo)],
        "engines": [
            *engine_alerts.engine_alerts(scope, dialect),
            *(engine_alerts.tpot_alert(scope, dialect, slo) for slo in promised if slo.tpot_s is not None),
        ],
        "gpus": list(engine_alerts.gpu_alerts(scope)),
        "pods": list(engine_alerts.pod_alerts(scope)),
        "ray": list(engine_alerts.ray_alerts(scope)) if build.target == "kuberay" else [],
        "cost": [alerts.cost_alert(scope, told.cost_increase)] if spec.prices else [],
    }
    return {name: made for name, made in found.items() if made}


def rules(build: Build, told: Monitoring) -> Object:
    """The PrometheusRule."""
    metadata = labelled(build.spec, rules_name(build.spec), told, origin="monitoring")
    return kube.thing(API, "PrometheusRule", metadata, spec=rule_file(build, told))


def rule_file(build: Build, told: Monitoring) -> Object:
    """The same rules as a file of Prometheus's own."""
    link = told.runbooks or ""
    return {
        "groups": [
            {"name": f"{build.spec.name}-{name}", "rules": [rule(alert, link) for alert in made]}
            for name, made in groups(build, told).items()
        ]
    }


def unit_tests(build: Build, told: Monitoring, file: str, step: Step) -> Object:
    """The test of `file`: each alert with an example of such steps fires on it and resolves."""
    made = (alert for alert in every_alert(build, told) if alert.example.step == step)
    return {
        "rule_files": [file],
        "evaluation_interval": step,
        "tests": [_test(alert, told.runbooks or "") for alert in made],
    }


def _test(alert: Alert, runbooks: str) -> Object:
    """With the annotations that whoever is woken reads, their labels filled in."""
    test = unit_test(alert)
    labels = {**alert.labels, **alert.example.labels}
    shown = {name: filled(text, labels) for name, text in notes(alert, runbooks).items()}
    for check in test["alert_rule_test"]:
        check["exp_alerts"] = [{**expected, "exp_annotations": shown} for expected in check["exp_alerts"]]
    return test


def filled(text: str, labels: Mapping[str, str]) -> str:
    """A template whose `{{ $labels.name }}` are put in."""
    for name, value in labels.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", value)
    return text


def every_alert(build: Build, told: Monitoring) -> Iterator[Alert]:
    """All of them, in their order."""
    for made in groups(build, told).values():
        yield from made
