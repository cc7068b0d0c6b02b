"""What is said about a plan adds up: costs, tiers, what-if lines, and a source below every number."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.errors import UserError
from fairlead.plan.answer import Answer, ModelAnswer, answer
from fairlead.plan.constants import shipped
from fairlead.plan.explain import Number
from fairlead.plan.market import MONTH_H
from fairlead.spec.load import load

EXAMPLES = Path(__file__).parents[2] / "examples"
TODAY = datetime.date(2026, 11, 21)


@pytest.fixture(scope="module")
def made() -> Answer:
    return answer(load(EXAMPLES / "production" / "fairlead.yaml"), shipped(), TODAY)


@pytest.fixture(scope="module")
def llama(made: Answer) -> ModelAnswer:
    return next(each for each in made.models if each.placement.model == "llama-8b")


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_bill_is_the_sum_over_all_nodes(made: Answer) -> None:
    nodes = sum(pool.nodes * pool.instance.usd_hour for pool in made.plan.pools) * MONTH_H
    assert made.usd_month == pytest.approx(nodes)
    general = next(pool for pool in made.plan.pools if not pool.instance.gpus)
    models = sum(each.usd_month for each in made.models)
    assert models + general.nodes * general.instance.usd_hour * MONTH_H == pytest.approx(nodes)


def test_a_million_tokens_cost_the_bill_over_the_tokens(llama: ModelAnswer) -> None:
    tokens = 3 * (1200 + 250) * MONTH_H * 3600
    assert llama.usd_million == pytest.approx(llama.usd_month / tokens * 1e6, rel=0.01)


def test_the_simulated_load_keeps_the_slo(made: Answer) -> None:
    for each in made.models:
        assert each.speed is not None
        assert each.speed.ttft_p95_ms <= each.ask.slo.ttft_s * 1e3
        assert each.speed.tpot_p95_ms <= each.ask.slo.tpot_s * 1e3


def test_a_tier_costs_no_less_than_the_one_below(made: Answer) -> None:
    costs = [tier.usd_month for tier in made.tiers]
    assert [tier.name for tier in made.tiers] == ["minimum", "recommended", "production"]
    assert all(cost is not None for cost in costs)
    assert costs == sorted(costs, key=lambda cost: cost or 0)
    assert costs[1] == pytest.approx(made.usd_month)
    assert all(count >= 3 for _, count in made.tiers[2].replicas)


def test_what_if_lines_have_a_saving_and_a_price(llama: ModelAnswer) -> None:
    lines = {each.name: each for each in llama.what_ifs}
    assert set(lines) == {
        *("quantise", "larger GPU", "spot", "autoscaling", "schedule", "scale to zero", "region"),
    }
    assert all(each.price and math.isfinite(each.saving) for each in lines.values())
    assert lines["spot"].saving == pytest.approx(3 * (0.8048 - 0.4011) * MONTH_H)
    quantised = lines["quantise"].tpot_ms
    assert quantised is not None
    assert quantised[1] < quantised[0]


def test_a_prefix_cache_is_asked_about_only_where_none_is_stated(made: Answer) -> None:
    names = {each.placement.model: {what.name for what in each.what_ifs} for each in made.models}
    assert "prefix cache" in names["qwen-small"]
    assert "prefix cache" not in names["llama-8b"]


def test_alternatives_are_sorted_and_fit(made: Answer) -> None:
    for each in made.models:
        costs = [other.usd_month for other in each.alternatives]
        assert costs == sorted(costs)
        assert all(math.isfinite(other.pace.tpot_ms) for other in each.alternatives)


def leaves(number: Number) -> Iterator[Number]:
    if not number.inputs:
        yield number
    for each in number.inputs:
        yield from leaves(each)


def test_every_number_leads_to_a_source_or_a_formula(made: Answer) -> None:
    for each in made.models:
        assert len(list(leaves(each.explained))) >= 12
        for leaf in leaves(each.explained):
            assert leaf.source, leaf
    told = {each.name: each.value for each in made.models[0].explained.inputs}
    assert told["USD a month"] == f"{made.models[0].usd_month:,.0f}"
    assert told["USD a million tokens"] == f"{made.models[0].usd_million:.3g}"
    assert told["autoscalers' target"] == f"{made.models[0].placement.ongoing:.1f} ongoing"
    assert told["start of a replica"] == "92 s"


def test_the_command_takes_a_file_with_or_without_the_word() -> None:
    file = str(EXAMPLES / "production" / "fairlead.yaml")
    short: dict[str, Any] = json.loads(run("plan", file, "--json"))
    long: dict[str, Any] = json.loads(run("plan", "service", file, "--json"))
    assert short == long
    (llama, qwen) = short["models"]
    assert (llama["model"], llama["pool"], llama["replicas"]) == ("llama-8b", "l4", 3)
    assert qwen["confidence"] == "extrapolated"
    assert short["tiers"][1]["usd_month"] == pytest.approx(short["usd_month"])


def test_the_tables_and_the_tree_for_people() -> None:
    file = str(EXAMPLES / "production" / "fairlead.yaml")
    text = run("plan", file)
    for word in ("g6.xlarge", "USD/month", "recommended", "scale to zero", "extrapolated", "days old"):
        assert word in text
    told = run("plan", file, "--explain")
    assert "price of g6.xlarge, on demand: 0.8048 USD/h" in told
    assert "models.llama-8b.workload.rate" in told


def test_the_report_is_one_file_with_a_plot_for_each_question(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots are an extra")
    out = tmp_path / "plan.html"
    run("plan", str(EXAMPLES / "large" / "fairlead.yaml"), "--html", str(out))
    page = out.read_text()
    assert page.count("<svg") == 5  # bill, memory, frontier, options, day
    for title in ("Nodes", "llama-70b: memory of one GPU", "llama-70b: cost by option", "llama-70b: a simulated day"):
        assert f"<h2>{title}</h2>" in page
    assert 'class="chosen"' in page
    assert not any(word in page for word in ("<script", "<link", "<img", "src="))


def test_the_page_shows_what_the_command_prints() -> None:
    """The tables of docs/planning.md, but for empty lines."""
    page = (EXAMPLES.parent / "docs" / "planning.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```text\n")[1:]]
    printed = {line.rstrip() for line in run("plan", str(EXAMPLES / "production" / "fairlead.yaml")).splitlines()}
    assert [line for block in (blocks[0], blocks[2]) for line in block.splitlines() if line not in printed] == []


def test_a_problem_comes_with_its_line(tmp_path: Path) -> None:
    text = (EXAMPLES / "production" / "fairlead.yaml").read_text().replace("g6.xlarge", "g4dn.xlarge")
    (tmp_path / "fairlead.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        run("plan", str(tmp_path / "fairlead.yaml"))
    (told,) = refused.value.problems
    line = next(number for number, each in enumerate(text.splitlines(), start=1) if "llama-8b:" in each)
    assert f"fairlead.yaml:{line}:" in told.where
    assert told.subject == "models.llama-8b"
    assert "15.0 GiB weights" in told.message or "8." in told.message


def test_without_hardware_a_laptop_is_told_its_memory(tmp_path: Path) -> None:
    text = run("plan", str(EXAMPLES / "laptop" / "fairlead.yaml"))
    assert "this machine needs 0.6 GiB of memory" in text
    (tmp_path / "fairlead.yaml").write_text(
        "apiVersion: fairlead/v1\nname: x\nmodels: {m: {engine: remote, urls: ['http://127.0.0.1:1']}}\n"
    )
    with pytest.raises(UserError, match="nothing to plan"):
        run("plan", str(tmp_path / "fairlead.yaml"))
