"""The report is arithmetic over runs: medians, ratios to nginx, goals; and what is missing stays visible."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench import table
from bench.__main__ import parse
from bench.machine import cpu_model
from bench.peers import Place, fairlead, litellm, nginx, vllm_router
from bench.report import DIRECT, Run, ratios, rows, verdicts
from bench.rig.load import Figures
from fairlead.gateway.config import load

QUIET = Figures(
    requests=1000,
    rps=500.0,
    latency_p50_us=300.0,
    latency_p99_us=900.0,
    chunks_per_s=6400.0,
    chunk_delay_p50_us=50.0,
    chunk_delay_p99_us=200.0,
    failures=0,
    first_error="",
    target_cores=0.5,
    rig_cores=0.4,
    foreign_cores=0.0,
    pss_mib=10.0,
)
SCENARIOS = ("json", "paced", "busy", "rate", "large")


def runs_of(peer: str, round_number: int = 0, **changed: Any) -> list[Run]:
    figures = replace(QUIET, **changed)
    disturbed = figures.foreign_cores > 0.15
    return [Run(peer, scenario, round_number, figures, disturbed) for scenario in SCENARIOS]


def test_a_rate_is_per_core_used() -> None:
    row = rows(runs_of("nginx", rps=500.0, target_cores=0.25) + runs_of(DIRECT))["nginx"]
    assert row["rps_per_core"] == 2000.0
    assert row["cpu_us_per_request"] == 500.0
    assert row["large_mb_per_s"] == 100.0  # 500 prompts of 200 KB


def test_figures_are_medians_over_the_rounds() -> None:
    runs = [run for number, rps in enumerate((100.0, 9000.0, 300.0)) for run in runs_of("nginx", number, rps=rps)]
    assert rows(runs + runs_of(DIRECT))["nginx"]["rps"] == 300.0


def test_added_latency_is_what_is_above_the_mock_alone() -> None:
    row = rows(runs_of(DIRECT, latency_p50_us=250.0) + runs_of("nginx", latency_p50_us=400.0))["nginx"]
    assert row["added_p50_us"] == 150.0


def test_a_saturated_peer_has_no_added_latency() -> None:
    row = rows(runs_of(DIRECT) + runs_of("litellm", rps=40.0, latency_p50_us=0.0))["litellm"]
    assert row["kept_up"] == 0.8
    assert "added_p50_us" not in row


def test_a_peer_that_streamed_nothing_has_no_chunk_delay() -> None:
    row = rows(runs_of(DIRECT) + runs_of("litellm", chunks_per_s=0.0, chunk_delay_p99_us=0.0))["litellm"]
    assert row["chunks_per_s_per_core"] == 0.0
    assert "chunk_delay_p99_us" not in row


def test_ratios_are_to_nginx_and_leave_the_mock_out() -> None:
    shares = ratios(rows(runs_of(DIRECT) + runs_of("nginx", rps=1000.0) + runs_of("fairlead", rps=600.0)))
    assert shares["fairlead"]["rps_per_core"] == 0.6
    assert shares["nginx"]["rps_per_core"] == 1.0
    assert DIRECT not in shares


def test_without_nginx_there_are_no_ratios() -> None:
    assert ratios(rows(runs_of(DIRECT) + runs_of("fairlead"))) == {}


def test_disturbed_runs_and_failures_are_counted() -> None:
    row = rows(runs_of(DIRECT) + runs_of("litellm", foreign_cores=0.4, failures=2, first_error="busy"))["litellm"]
    assert (row["disturbed_runs"], row["runs"], row["failures"], row["first_error"]) == (5, 5, 10, "busy")


def verdict_of(text: str, *runs: list[Run]) -> dict[str, Any]:
    judged = verdicts(rows([run for several in runs for run in several]))
    return next(verdict for verdict in judged if verdict["goal"].startswith(text))


def test_a_goal_is_met_or_missed_by_its_figure() -> None:
    beside = "requests/s per core beside nginx"
    slow, fast = runs_of("fairlead", rps=590.0), runs_of("fairlead", rps=610.0)
    assert verdict_of(beside, runs_of(DIRECT), runs_of("nginx", rps=1000.0), slow)["met"] is False
    assert verdict_of(beside, runs_of(DIRECT), runs_of("nginx", rps=1000.0), fast)["met"] is True


def test_a_goal_about_a_missing_peer_is_not_judged() -> None:
    verdict = verdict_of("requests/s per core beside vllm-router", runs_of(DIRECT), runs_of("fairlead"))
    assert (verdict["measured"], verdict["met"]) == (None, None)


def test_the_table_names_what_is_missing_disturbed_and_failed() -> None:
    figures = rows(runs_of(DIRECT) + runs_of("nginx", foreign_cores=0.5, failures=1))
    report = {
        "machine": {"cpu": "a cpu", "cores": 2, "os": "an os", "kernel": "1"},
        "date": "2026-01-01",
        "peers": {name: {**row, "of_nginx": {}} for name, row in figures.items()},
        "goals": verdicts(figures),
        "missing": {"litellm": "no network"},
    }
    console = Console(width=table.WIDTH)
    with console.capture() as captured:
        console.print(table.render(report))
    text = captured.get()
    assert "missing: litellm: no network" in text
    assert "disturbed: nginx: 5 of 5 runs" in text
    assert "failures: nginx: 5" in text


def test_an_unknown_peer_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["--only", "nginx,apache"])
    assert "unknown peers apache" in capsys.readouterr().err


def test_the_processor_is_named_with_its_generation() -> None:
    text = "processor : 0\ncpu family : 25\nmodel : 1\nmodel name : AMD EPYC\n\nprocessor : 1\nmodel name : AMD EPYC\n"
    assert cpu_model(text) == "AMD EPYC (cpu family 25, model 1)"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(cache=tmp_path, work=tmp_path, port=8100, upstream_ports=(9000, 9001))


def test_every_peer_is_told_every_replica(place: Place) -> None:
    told = (
        nginx.configuration(place),
        " ".join(vllm_router.arguments(place)),
        json.dumps(litellm.configuration(place)),
        json.dumps(fairlead.configuration(place)),
    )
    assert [text.count("127.0.0.1:9000") for text in told] == [1, 1, 1, 1]
    assert [text.count("127.0.0.1:9001") for text in told] == [1, 1, 1, 1]


def test_the_gateway_accepts_the_configuration_and_its_key_is_real(place: Place, tmp_path: Path) -> None:
    path = place.write("gateway.json", json.dumps(fairlead.configuration(place)))
    assert load(path).state_dir == str(tmp_path)
    assert fairlead.make_key(tmp_path).startswith("sk-fl-")
