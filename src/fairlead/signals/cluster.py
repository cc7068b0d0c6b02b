"""What Prometheus itself and kube-state-metrics say of a cluster."""

from __future__ import annotations

from fairlead.signals import Signal

PROMETHEUS = "prometheus.io, concepts/jobs_instances"
KUBE_STATE = "kubernetes/kube-state-metrics, docs/metrics"

UP = Signal("up", "gauge", ("job", "instance"), "1 where the last scrape of a target worked.", source=PROMETHEUS)
POD_PHASE = Signal(
    "kube_pod_status_phase", "gauge", ("namespace", "pod", "phase"), "1 for the phase a Pod is in.", source=KUBE_STATE
)
POD_RESTARTS = Signal(
    "kube_pod_container_status_restarts_total",
    "counter",
    ("namespace", "pod", "container"),
    "Restarts of a container.",
    source=KUBE_STATE,
)

CLUSTER: tuple[Signal, ...] = (UP, POD_PHASE, POD_RESTARTS)
