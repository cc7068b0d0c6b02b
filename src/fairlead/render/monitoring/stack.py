"""Values for the charts that watch a cluster: kube-prometheus-stack, and the GPU operator's exporter."""

from __future__ import annotations

from fairlead.render.build import Object
from fairlead.render.kube import some
from fairlead.render.monitoring.receivers import alertmanager, secrets
from fairlead.spec.monitoring import Monitoring

DASHBOARD_LABEL = "grafana_dashboard"
"""Label of the ConfigMaps that Grafana's sidecar takes up."""
GRAFANA_SECRET = "grafana-admin"  # noqa: S105 - a Secret's name: no password is ever written here


def prometheus_values(told: Monitoring) -> Object:
    """Of kube-prometheus-stack. Grafana's password comes from a Secret: the chart's default is known to everybody."""
    mounted = secrets(told.receivers)
    return {
        "alertmanager": {
            "config": alertmanager(told.receivers),
            "alertmanagerSpec": some(secrets=mounted or None, replicas=2),
        },
        "grafana": {
            "admin": {"existingSecret": GRAFANA_SECRET, "userKey": "admin-user", "passwordKey": "admin-password"},
            "sidecar": {"dashboards": {"enabled": True, "label": DASHBOARD_LABEL, "searchNamespace": "ALL"}},
        },
        "prometheus": {
            "prometheusSpec": {
                "retention": "15d",
                **{
                    f"{kind}Selector": {"matchLabels": dict(sorted(told.labels.items()))}
                    for kind in ("podMonitor", "rule", "serviceMonitor")
                },
                **{f"{kind}NamespaceSelector": {} for kind in ("podMonitor", "rule", "serviceMonitor")},
            }
        },
    }


def gpu_values() -> Object:
    """Of the GPU operator: the exporter's `namespace` and `pod` stay those of the Pod that has the GPU."""
    return {"dcgmExporter": {"serviceMonitor": {"enabled": True, "honorLabels": True, "interval": "30s"}}}
