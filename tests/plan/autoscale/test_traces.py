"""Traces, days and engines come from files; a wrong one says where and why."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fairlead.errors import UserError
from fairlead.plan.autoscale import traces

from .engines import ENGINE

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:48.6805900,374,44\n2023-11-16 18:15:46.6805900,96,0\n"
)
MOONCAKE = """{"timestamp": 0, "input_length": 6758, "output_length": 500}
{"timestamp": 1500, "input_length": 9, "output_length": 7}
"""


def test_azure_rows_are_sorted_and_have_at_least_one_token(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv.gz"
    path.write_bytes(gzip.compress(AZURE.encode()))
    trace = traces.read_trace(path)
    assert trace.arrival_s.tolist() == pytest.approx([0.0, 2.0])
    assert trace.prompt.tolist() == [96, 374]
    assert trace.output.tolist() == [1, 44]


def test_mooncake_lines_are_in_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "mooncake.jsonl"
    path.write_text(MOONCAKE)
    trace = traces.read_trace(path)
    assert trace.arrival_s.tolist() == [0.0, 1.5]
    assert trace.output.tolist() == [500, 7]


WRONG_TRACES = {
    "no column": ("t.csv", "TIMESTAMP,ContextTokens\n1,2\n", "has no column GeneratedTokens"),
    "no number": ("t.csv", AZURE + "soon,1,2\n", "t.csv:4"),
    "a short row": ("t.csv", AZURE + "1\n", "t.csv:4"),
    "not finite": ("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n1,inf,2\n", "not finite"),
    "empty": ("t.csv", "", "has no column"),
    "no rows": ("t.csv", AZURE.splitlines()[0], "has no requests"),
    "not JSON": ("t.jsonl", MOONCAKE + "{\n", "t.jsonl:3"),
    "another JSON": ("t.jsonl", '{"timestamp": 1}\n', "t.jsonl:1"),
    "not gzip": ("t.csv.gz", AZURE, "cannot be read"),
}


@pytest.mark.parametrize(("name", "text", "message"), WRONG_TRACES.values(), ids=WRONG_TRACES)
def test_a_wrong_trace_says_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        traces.read_trace(tmp_path / name)


def test_a_day_file_is_a_shape(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("window_start_s,rate_rps\n0,1\n60,3\n120,2\n")
    rates, window_s = traces.rates_of(str(path))
    assert (rates.tolist(), window_s) == ([1.0, 3.0, 2.0], 60.0)
    made = traces.day(rates, window_s, np.array([[10, 20]]), requests=5000, seed=0, name="day")
    assert len(made.arrival_s) == pytest.approx(5000, rel=0.1)
    assert made.arrival_s.max() < 180


WRONG_DAYS = {
    "uneven": "0,1\n60,1\n61,1\n",
    "negative": "0,1\n60,-1\n120,1\n",
    "backwards": "60,1\n0,1\n",
    "nothing at all": "0,0\n60,0\n",
    "one window": "0,1\n",
}


@pytest.mark.parametrize("rows", WRONG_DAYS.values(), ids=WRONG_DAYS)
def test_a_wrong_day_is_refused(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "day.csv"
    path.write_text("window_start_s,rate_rps\n" + rows)
    with pytest.raises(UserError, match="not a day"):
        traces.rates_of(str(path))


def test_an_engine_file_has_the_fields_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(asdict(ENGINE)))
    assert traces.read_engine(path) == ENGINE


def test_a_wrong_engine_names_every_problem_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    values = {**asdict(ENGINE), "iteration_s": 0, "max_sequences": 1.5, "speed": 3, "kv_tokens": True}
    del values["startup_s"]
    path.write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        traces.read_engine(path)
    assert sorted(problem.message.split()[0] for problem in caught.value.problems) == [
        "iteration_s", "kv_tokens", "max_sequences", "startup_s", "unknown",
    ]  # fmt: skip


def test_what_is_neither_known_nor_a_file_lists_the_known() -> None:
    for ask in (traces.rates_of, traces.pairs_of):
        with pytest.raises(UserError, match="neither known nor a file") as caught:
            ask("nowhere")
        assert caught.value.problems[0].hint.startswith("known: ")
