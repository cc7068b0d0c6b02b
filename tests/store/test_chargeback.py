"""The chargeback adds up to the ledger exactly, and prices of the past stay what they were."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.ops.chargeback import csv_text, jsonl_text
from fairlead.store.contract import ChargeLine
from fairlead.store.journal import Journal
from fairlead.store.usage import encode

from .records import priced

FILE = """
apiVersion: fairlead/v1
name: demo
models: {m: {source: "demo:v1"}}
prices: {m: {prompt: 1 USD, completion: 2 USD}}
"""
COSTS = [1, 999_999_999, 123_456_789_012, 7]


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A file, and a journal that nobody has shipped yet."""
    file = tmp_path / "fairlead.yaml"
    file.write_text(FILE)
    with closing(Journal(tmp_path / ".fairlead" / "journal")) as journal:
        for number, cost in enumerate(COSTS):
            journal.append(encode(priced(number * 86_400, cost, tenant=f"t{number % 2}")) + b"\n")
    return file


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["usage", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_both_exports_add_up_to_the_ledger(service: Path) -> None:
    told = {
        "csv": list(csv.DictReader(io.StringIO(run("--export", "csv", "-f", str(service)), newline=""))),
        "jsonl": [json.loads(line) for line in run("--export", "jsonl", "-f", str(service)).splitlines()],
    }
    totals = json.loads(run("--json", "-f", str(service)))
    for rows in told.values():
        assert sum(int(row["cost_nano"]) for row in rows) == sum(COSTS) == sum(row["cost_nano"] for row in totals)
        assert sum(Decimal(row["cost"]) for row in rows) == Decimal(sum(COSTS)) / 10**9
        for column in ("requests", "prompt_tokens", "cached_tokens", "completion_tokens"):
            assert sum(int(row[column]) for row in rows) == sum(row[column] for row in totals)
        assert {row["currency"] for row in rows} == {"USD"}


def test_a_new_price_changes_nothing_that_was(service: Path) -> None:
    before = run("--export", "csv", "-f", str(service))
    service.write_text(FILE.replace("1 USD", "100 USD"))
    assert run("--export", "csv", "-f", str(service)) == before


def test_cost_is_a_column(service: Path) -> None:
    assert "124.456789019" not in run("-f", str(service))
    text = run("--cost", "-f", str(service))
    assert "USD" in text
    assert "124.456789019" in text


def test_a_tenant_is_no_formula() -> None:
    line = ChargeLine("2026-01-01", "=1+1", "k", "m,\n", "chat", 1, 0, 0, 1, 0, 1, 5)
    (row,) = csv.DictReader(io.StringIO(csv_text([line], "USD"), newline=""))
    assert (row["tenant"], row["model"], row["cost"]) == ("'=1+1", "m,\n", "0.000000005")
    assert json.loads(jsonl_text([line], "USD"))["tenant"] == "=1+1"


def test_an_unknown_export_is_refused(service: Path) -> None:
    assert CliRunner().invoke(app, ["usage", "--export", "xlsx", "-f", str(service)]).exit_code != 0
