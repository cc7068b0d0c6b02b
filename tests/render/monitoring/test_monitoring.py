"""Monitoring is judged by promtool and amtool, and every field of the file changes what is rendered."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fairlead.render.build import Build
from fairlead.render.monitoring import DASHBOARDS, FOLDER, MANIFESTS
from fairlead.render.monitoring.boards import boards
from fairlead.render.monitoring.promql import Scope
from fairlead.render.monitoring.rules import dialect_of, every_alert
from fairlead.render.targets import rendered
from fairlead.signals import GATEWAY, REQUESTS
from fairlead.signals.cluster import CLUSTER
from fairlead.signals.engine import VLLM
from fairlead.signals.gpu import GPU
from fairlead.signals.ray import RAY
from fairlead.spec.load import resolve

from .. import plans
from ..oracles import judge, program, verdict

RUNBOOKS = Path(__file__).parents[3] / "docs" / "runbooks"
RECEIVERS = """
  receivers:
    slack: {channel: "#llm", secret: slack-hook}
    pagerduty: {secret: pager}
    mail: {to: [oncall@example.com], sender: fairlead@example.com, smarthost: "smtp.example.com:587",
           username: fairlead, secret: mail-password}
"""
PROMISED = plans.SERVICE.replace(
    "max_model_len: 8192", "max_model_len: 8192\n    slo: {ttft_p95: 1500ms, tpot_p95: 60ms, availability: 0.999}"
)
WATCHED = PROMISED + "prices: {llama-8b: {prompt: 0.15 USD, completion: 0.60 USD}}\nmonitoring:" + RECEIVERS


def build(text: str = WATCHED, target: str = "vllm") -> Build:
    from fairlead.render import targets

    return targets.build(resolve(plans.document(text)), plans.plan(), target)


@cache
def texts(text: str = WATCHED) -> dict[str, str]:
    return rendered(build(text)).texts()


def document(path: str, text: str = WATCHED) -> Any:
    return YAML(typ="safe", pure=True).load(texts(text)[f"{FOLDER}/{path}"])


def objects(path: str, text: str = WATCHED) -> dict[str, Any]:
    loaded = YAML(typ="safe", pure=True).load_all(texts(text)[path])
    return {each["kind"]: each for each in loaded}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, text in texts().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_promtool_takes_the_rules(folder: Path) -> None:
    judge("promtool-rules", folder / FOLDER)


def test_every_alert_fires_on_its_example_and_resolves(folder: Path) -> None:
    judge("promtool-test", folder / FOLDER)


def test_an_alert_that_cannot_fire_fails_its_test(folder: Path) -> None:
    """The judge's own check: a threshold out of reach is found."""
    rules = folder / FOLDER / "alerts.rules.yaml"
    rules.write_text(rules.read_text().replace("> 0.95", "> 1.95"))
    (folder / FOLDER / "days.test.yaml").unlink()
    tests = folder / FOLDER / "alerts.test.yaml"
    short = YAML(typ="safe", pure=True).load(tests.read_text())
    short["tests"] = [test for test in short["tests"] if test["name"] == "KvCacheFull"]
    tests.write_text(json.dumps(short))
    found = verdict("promtool-test", folder / FOLDER)
    assert not found.fine
    assert "KvCacheFull" in found.text


def test_every_alert_has_an_example_with_series_and_a_runbook() -> None:
    found = list(every_alert(build(), build().spec.monitoring))  # type: ignore[arg-type]
    assert len(found) >= 20
    for alert in found:
        assert alert.example.series
        assert (RUNBOOKS / f"{alert.runbook}.md").exists(), f"{alert.name}: no docs/runbooks/{alert.runbook}.md"


def test_amtool_takes_the_receivers(folder: Path) -> None:
    judge("amtool", folder / FOLDER)


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pages"), ("ticket", "tickets")])
def test_alertmanager_itself_routes_by_severity(folder: Path, severity: str, receiver: str) -> None:
    config = folder / FOLDER / "alertmanager.yaml"
    argv = [program("amtool"), "config", "routes", "test", f"--config.file={config}", f"severity={severity}"]
    routed = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert routed.stdout.strip() == receiver


def test_pages_and_tickets_reach_who_is_named() -> None:
    config = document("alertmanager.yaml")
    named = {receiver["name"]: receiver.keys() - {"name"} for receiver in config["receivers"]}
    assert named["pages"] == {"slack_configs", "email_configs", "pagerduty_configs"}
    assert named["tickets"] == {"slack_configs", "email_configs"}
    assert config["route"]["routes"][0]["receiver"] == "pages"
    [mail] = next(each for each in config["receivers"] if each["name"] == "pages")["email_configs"]
    assert mail["smarthost"] == "smtp.example.com:587"
    assert (mail["to"], mail["from"], mail["auth_username"]) == (
        "oncall@example.com",
        "fairlead@example.com",
        "fairlead",
    )
    assert mail["auth_password_file"].endswith("/mail-password/password")


def test_without_receivers_alerts_go_to_nobody() -> None:
    config = document("alertmanager.yaml", PROMISED + "monitoring: {}\n")
    assert [receiver["name"] for receiver in config["receivers"]] == ["nobody"]


def test_alertmanager_is_given_the_secrets_that_its_files_lie_in() -> None:
    values = document("kube-prometheus-stack.values.yaml")
    assert values["alertmanager"]["alertmanagerSpec"]["secrets"] == ["mail-password", "pager", "slack-hook"]
    for secret in ("slack-hook/url", "pager/routing_key", "mail-password/password"):
        assert secret in json.dumps(values["alertmanager"]["config"])


def test_scraping_and_links_are_as_the_file_says() -> None:
    told = "\n  scrape_interval: 15s\n  labels: {team: llm}\n  runbooks: https://docs.example.com/runbooks\n"
    made = objects(MANIFESTS, WATCHED.rstrip() + told)
    assert made["ServiceMonitor"]["spec"]["endpoints"][0]["interval"] == "15s"
    for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule"):
        assert made[kind]["metadata"]["labels"]["team"] == "llm"
    alert = made["PrometheusRule"]["spec"]["groups"][0]["rules"][0]
    assert alert["annotations"]["runbook_url"] == "https://docs.example.com/runbooks/gateway-down.md"


def test_the_cost_alert_is_as_sensitive_as_the_file_says() -> None:
    rules = json.dumps(document("alerts.rules.yaml", WATCHED.rstrip() + "\n  cost_increase: 0.5\n"))
    assert "> 1.5 *" in rules


def test_monitors_find_the_services_and_ports_that_are_rendered() -> None:
    monitor = objects(MANIFESTS)["ServiceMonitor"]["spec"]
    service = objects("manifests/gateway.yaml")["Service"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_ray_has_a_dialect_of_its_own() -> None:
    scope = Scope()
    plain = {query for board in boards(scope, dialect_of("vllm"), "vllm") for query in queries_of(board)}
    ray = {query for board in boards(scope, dialect_of("kuberay"), "kuberay") for query in queries_of(board)}
    assert any("vllm:num_requests_running" in query for query in plain)
    assert not any("vllm:" in query for query in ray)
    assert any("ray_vllm_num_requests_running" in query for query in ray)


def queries_of(board: Any) -> list[str]:
    return [query for panel in board.panels for query in panel.queries.values()]


def test_every_panel_is_drawn_with_its_query() -> None:
    drawn = json.loads(texts()[f"{FOLDER}/dashboards/service.json"])
    panels = [panel for panel in drawn["panels"] if panel["type"] != "row"]
    [board] = [
        board for board in boards(Scope(('namespace="chat"',)), dialect_of("vllm"), "vllm") if board.name == "service"
    ]
    assert [panel["title"] for panel in panels] == [panel.title for panel in board.panels]
    assert [target["expr"] for panel in panels for target in panel["targets"]] == queries_of(board)
    assert set(objects(DASHBOARDS)) == {"ConfigMap"}


def test_a_label_that_a_metric_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="has no label tenant"):
        Scope().of(REQUESTS, 'tenant="t"')


def test_no_two_signals_share_a_name() -> None:
    names = [signal.name for signal in (*GATEWAY, *VLLM, *RAY, *GPU, *CLUSTER)]
    assert len(set(names)) == len(names)


def test_nothing_is_rendered_where_nothing_is_said() -> None:
    assert not [path for path in texts(plans.SERVICE) if "monitoring" in path]
