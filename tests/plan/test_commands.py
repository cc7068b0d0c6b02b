"""`plan` and `catalog` as a user calls them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.errors import UserError

from .questions import QUESTION, rows_of_a_slower_machine


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_estimate_for_people() -> None:
    text = run("plan", "estimate", "Llama-3.1-8B", "--gpu", "H100-SXM")
    assert "15.0 GiB weights" in text
    assert "requests/s" in text
    assert "generation-fit" in text
    assert "TTFT" in text


def test_what_does_not_fit_is_refused_with_what_does() -> None:
    text = run("plan", "estimate", "DeepSeek-R1", "--gpu", "H200-SXM", code=1)
    assert "626.7 GiB weights" in text
    assert "fits: DeepSeek-R1 fp8 on 8 x H200-SXM (tp 8)" in text


def test_estimate_as_json() -> None:
    made: dict[str, Any] = json.loads(run("plan", "estimate", "llama-3.1-8b", "--gpu", "l4", "--json"))
    assert made["fits"]
    assert made["confidence"] == "extrapolated"
    assert made["settings"]["max_num_seqs"] >= 1
    assert set(made["speed"]["ttft_ms"]) == {"mean", "p50", "p95", "p99"}


LLAMA = ("plan", "estimate", "Llama-3.1-8B", "--gpu", "L4", "--dtype", "fp8")


def test_requests_that_come_by_themselves() -> None:
    words = (*LLAMA, "--rate", "2", "--prompt-p95", "3000", "--output-p95", "700", "--prefix-share", "0.2")
    made: dict[str, Any] = json.loads(run(*words, "--json"))
    assert made["queue"]["keeps_up"]
    assert made["queue"]["offered_per_s"] == 2
    assert made["speed"]["ttft_ms"]["p95"] > 1.5 * made["speed"]["ttft_ms"]["p50"]
    assert made == json.loads(run(*words, "--json"))
    assert made["speed"] != json.loads(run(*words, "--json", "--seed", "1"))["speed"]
    assert "does NOT keep up" in run(*LLAMA, "--rate", "20")


def test_a_recording_is_played(tmp_path: Path) -> None:
    lines = [json.dumps({"timestamp": at * 1000, "input_length": 500, "output_length": 50}) for at in range(50)]
    (tmp_path / "trace.jsonl").write_text("\n".join(lines))
    trace = ("--trace", str(tmp_path / "trace.jsonl"))
    slow, fast = (json.loads(run(*LLAMA, *trace, "--json", *more)) for more in ((), ("--rate", "100")))
    assert slow["queue"]["requests"] == fast["queue"]["requests"] == 50
    assert slow["queue"]["offered_per_s"] == pytest.approx(50 / 49)
    assert fast["speed"]["ttft_ms"]["p95"] > slow["speed"]["ttft_ms"]["p95"]


def test_lengths_as_they_were_recorded() -> None:
    assert "under way" in run(*LLAMA, "--lengths", "azure-code", "--concurrency", "8")


def test_the_page_shows_what_the_command_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "estimates.md").read_text()
    words = page.split("```console\nfairlead ")[1].split("\n")[0].split()
    printed = [line.rstrip() for line in run(*words).splitlines() if line.strip()]
    shown = {line.rstrip() for line in page.splitlines()}
    assert [line for line in printed if line not in shown] == []


def test_a_config_of_ones_own(tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "num_hidden_layers": 4,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "vocab_size": 1000,
        "max_position_embeddings": 4096,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = json.loads(
        run("plan", "estimate", str(tmp_path / "config.json"), "--gpu", "T4", "--dtype", "fp16", "--json")
    )
    assert made["fits"]


def test_the_batch_form(tmp_path: Path) -> None:
    asked = written(tmp_path / "in.csv", [QUESTION, QUESTION | {"row_id": "b", "model": "nothing"}])
    run("plan", "estimate", "--batch", str(asked), "--out", str(tmp_path / "out.csv"))
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [(row["row_id"], row["fits"]) for row in rows] == [("a", "true"), ("b", "")]
    assert "no model called 'nothing'" in rows[1]["error"]


def test_calibrate_and_use(tmp_path: Path) -> None:
    runs = written(tmp_path / "runs.csv", rows_of_a_slower_machine(0.7))
    out = tmp_path / "constants.json"
    assert "H100-SXM" in run("plan", "calibrate", str(runs), "--out", str(out))
    words = ("plan", "estimate", "Llama-3.1-8B", "--gpu", "H100-SXM", "--json")
    before, after = (json.loads(run(*words, *more)) for more in ((), ("--constants", str(out))))
    assert after["confidence"] == "calibrated"
    assert after["speed"]["requests_per_s"] < 0.85 * before["speed"]["requests_per_s"]


def test_other_commands_do_not_wait_for_numpy() -> None:
    code = "import sys, fairlead.cli.main; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


WRONG = {
    "a rate and clients": ((*LLAMA[2:], "--rate", "1", "--concurrency", "3"), "come by themselves, or from"),
    "a negative rate": ((*LLAMA[2:], "--rate", "-1"), "--rate must be above 0"),
    "a trace and lengths": ((*LLAMA[2:], "--trace", "x", "--lengths", "y"), "--trace has its own lengths"),
    "a trace and clients": ((*LLAMA[2:], "--trace", "x", "--concurrency", "3"), "--trace has its own times"),
    "lengths and tails": ((*LLAMA[2:], "--lengths", "x", "--output-p95", "9"), "--lengths has its own tails"),
    "an offline queue of unequal requests": (
        (*LLAMA[2:], "--concurrency", "max", "--output-p95", "900"),
        "an offline queue of equal requests",
    ),
    "no such trace": ((*LLAMA[2:], "--trace", "/nowhere.csv"), "cannot be read"),
    "a tail too long": ((*LLAMA[2:], "--prompt-p95", "9000"), "log-normal"),
    "no model": ((), "needs a model"),
    "no accelerator": (("Llama-3.1-8B",), "needs a model and --gpu"),
    "a wrong concurrency": (("Llama-3.1-8B", "--gpu", "L4", "--concurrency", "some"), "neither a number"),
    "no output": (("--batch", __file__), "needs --out"),
    "no such table": (("--batch", "/nowhere.csv", "--out", "/tmp/x.csv"), "cannot read"),
    "no such constants": (("Llama-3.1-8B", "--gpu", "L4", "--constants", "/nowhere.json"), "cannot read"),
}


@pytest.mark.parametrize(("words", "why"), WRONG.values(), ids=WRONG)
def test_wrong_words_are_refused(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(UserError, match=why):
        run("plan", "estimate", *words)


@pytest.mark.parametrize("kind", ["accelerators", "instances", "models", "quantizations", "engines"])
def test_catalog_list(kind: str) -> None:
    rows = json.loads(run("catalog", "list", kind, "--json"))
    assert rows[0]["name"] in run("catalog", "list", kind)
    assert all(row["source"] for row in rows)


def test_catalog_show_finds_any_kind() -> None:
    for name in ("T4", "p5.48xlarge", "qwen3-32b", "awq", "trtllm"):
        assert "source" in run("catalog", "show", name)
        assert json.loads(run("catalog", "show", name, "--json"))["source"]
    with pytest.raises(UserError, match="nothing called 'H10'"):
        run("catalog", "show", "H10")
    with pytest.raises(UserError, match="has no fruits"):
        run("catalog", "list", "fruits")
