"""How the service is watched: what is scraped, which alerts there are and who hears of them, what is drawn.

Every query is made of `fairlead.signals`; every alert comes with series on which it fires and resolves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from fairlead.render import kube
from fairlead.render.build import Build, Object, Part
from fairlead.render.monitoring import boards, receivers, rules, scrape, stack
from fairlead.render.monitoring.panels import dashboard
from fairlead.spec.monitoring import Monitoring

MANIFESTS = "manifests/monitoring.yaml"
DASHBOARDS = "manifests/dashboards.yaml"
FOLDER = "monitoring"


def monitoring(build: Build) -> Iterator[Part]:
    """All of it; nothing where the file says nothing of monitoring."""
    told = build.spec.monitoring
    if told is None:
        return
    for monitor in scrape.monitors(build, told):
        yield MANIFESTS, monitor
    yield MANIFESTS, rules.rules(build, told)
    yield f"{FOLDER}/alerts.rules.yaml", rules.rule_file(build, told)
    yield f"{FOLDER}/alerts.test.yaml", rules.unit_tests(build, told, "alerts.rules.yaml", "1m")
    yield f"{FOLDER}/days.test.yaml", rules.unit_tests(build, told, "alerts.rules.yaml", "30m")
    yield f"{FOLDER}/alertmanager.yaml", receivers.alertmanager(told.receivers)
    yield f"{FOLDER}/kube-prometheus-stack.values.yaml", stack.prometheus_values(told)
    yield f"{FOLDER}/gpu-operator.values.yaml", stack.gpu_values()
    yield from drawn(build, told)


def drawn(build: Build, told: Monitoring) -> Iterator[Part]:
    """Each dashboard as a file to import, and in a ConfigMap that Grafana's sidecar finds."""
    spec = build.spec
    for board in boards.boards(rules.scope_of(spec), rules.dialect_of(build.target), build.target):
        made = dashboard(board, spec.name)
        yield f"{FOLDER}/dashboards/{board.name}.json", made
        metadata = scrape.labelled(spec, f"{spec.name}-dashboard-{board.name}", told, origin="monitoring")
        labels = {**metadata["labels"], stack.DASHBOARD_LABEL: "1"}
        yield DASHBOARDS, kube.config_map(metadata | {"labels": labels}, {f"{board.name}.json": text(made)})


def text(document: Object) -> str:
    """JSON with stable bytes."""
    return json.dumps(document, indent=1, sort_keys=True)
