"""A report stands alone, says what the estimate says, and is the same for the same question."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.errors import UserError
from fairlead.plan.autoscale.engine_model import Slo
from fairlead.plan.constants import shipped
from fairlead.plan.deployment import deployment
from fairlead.plan.report import plots
from fairlead.plan.report.day import MOST_REQUESTS, day_engine, day_section
from fairlead.plan.report.estimated import FILLED, offers
from fairlead.plan.report.page import Section, Table, report
from fairlead.plan.traffic import Traffic, lengths

PLAN = deployment("Llama-3.1-8B", "L4", dtype="fp8")
WORDS = ("plan", "estimate", "Llama-3.1-8B", "--gpu", "L4", "--dtype", "fp8", "--prompt-p95", "3000")
TITLES = (
    "Speed",
    "Memory of one GPU",
    "Throughput against latency",
    "Latency against load",
    "Cost by option",
    "A simulated day",
    "Cross-check",
    "How sure this is",
)


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "plan.html"
    result = CliRunner().invoke(app, [*WORDS, "--rate", "0.5", "--html", str(path)])
    assert result.exit_code == 0, result.output
    return path.read_text(encoding="utf-8")


def test_all_sections_are_there(written: str) -> None:
    assert tuple(re.findall(r"<h2>(.*?)</h2>", written)) == TITLES
    assert "Llama-3.1-8B fp8 on 1 x L4 (tp 1)" in written
    drawn = [attributes for tag, attributes in Tags(written).tags if tag == "svg"]
    assert [each["aria-label"] for each in drawn] == [*TITLES[1:6]]


def test_nothing_comes_from_elsewhere(written: str) -> None:
    tags = Tags(written).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "link", "img", "iframe", "object"})
    targets = [value for _, each in tags for name, value in each.items() if name in {"src", "href", "xlink:href"}]
    assert all(value and value.startswith("#") for value in targets)
    assert "url(http" not in written


def test_the_ids_of_two_plots_differ(written: str) -> None:
    ids = [each["id"] for tag, each in Tags(written).tags if tag == "clippath"]
    assert len(ids) == len(set(ids)) > 1


def test_a_report_needs_a_deployment_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "plan.html"
    result = CliRunner().invoke(app, ["plan", "estimate", "Llama-3.1-70B", "--gpu", "L4", "--html", str(path)])
    assert result.exit_code == 1
    assert not path.exists()


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    for words, why in (
        ((*WORDS, "--html", str(tmp_path / "nowhere" / "plan.html")), "cannot write"),
        (("plan", "estimate", "--batch", "x.csv", "--html", "y.html"), "--html is a report of one"),
    ):
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, UserError)
        assert why in str(result.exception)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """In a process of its own that does not find matplotlib."""
    code = (
        "import sys, importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'matplotlib' else found(name, *rest)\n"
        f"sys.argv = ['fairlead', *{list(WORDS)!r}, '--html', {str(tmp_path / 'x.html')!r}]\n"
        "from fairlead.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'fairlead[report]'" in done.stderr + done.stdout


def test_text_is_escaped() -> None:
    table = Table(columns=("<a>",), rows=[("<b>",)], chosen=0)
    page = report("<c>", "<d>", [Section(title="<e>", text="<f>", table=table)])
    assert not re.search(r"<[abcdef]>", page)
    assert 'class="chosen"' in page


def test_the_same_values_give_the_same_plot() -> None:
    one, again = (plots.bars("b", {"x": 1.0, "y": 2.5}, x="USD", chosen="x") for _ in range(2))
    assert one == again
    assert ">2.5<" in one


def test_offers_are_complete_and_their_price_is_that_of_their_tokens() -> None:
    traffic = Traffic(lengths=lengths((1000, 1000), (200, 200)), rate=10.0)
    made = list(offers(PLAN, traffic, shipped()))
    assert sum(each.plan.gpu.name == "L4" for each in made) == 1
    assert len({each.plan.gpu.name for each in made}) == len(made) > 5
    for each in made:
        hourly = each.usd_million / 1e6 * each.rate * 200 * 3600
        replicas = -(-10.0 // each.rate)
        assert each.usd_month == pytest.approx(replicas * hourly * 730)
    assert 0 < FILLED < 1


def test_a_day_that_takes_long_is_left_to_simulate() -> None:
    traffic = Traffic(lengths=lengths((1000, 1000), (200, 200)), rate=100.0)
    made = day_section(day_engine(PLAN, traffic, shipped(), Slo()), traffic, Slo())
    assert "fairlead plan simulate --requests" in made.text
    assert not made.plot
    assert int(made.text.split("--requests ")[1].rstrip("`.")) > MOST_REQUESTS


def test_a_day_that_no_fleet_can_serve_says_so() -> None:
    traffic = Traffic(lengths=lengths((1000, 1000), (200, 200)), rate=0.1)
    slo = Slo(ttft_s=0.001, tpot_s=0.1)
    assert "keeps the SLO" in day_section(day_engine(PLAN, traffic, shipped(), slo), traffic, slo).text
