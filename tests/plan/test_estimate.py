"""An estimate behaves as physics says, and says how sure it is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from fairlead.errors import UserError
from fairlead.plan.batch import COLUMNS, answers
from fairlead.plan.benchmark import benchmark
from fairlead.plan.calibration import calibrated
from fairlead.plan.constants import as_json, parse, shipped
from fairlead.plan.deployment import deployment
from fairlead.plan.estimate import Speed
from fairlead.plan.measurements import read
from fairlead.plan.roofline import factors
from fairlead.plan.schedule import Segment
from fairlead.plan.work import PARTS, work
from fairlead.plan.workload import Workload, schedule

from .questions import QUESTION, rows_of_a_slower_machine, speed


def test_the_work_of_one_iteration_by_hand() -> None:
    """Llama-3.1-8B decoding 10 sequences of 1,000 tokens on an H100: 7 G layer weights and the head once, 10 caches."""
    plan = deployment("Llama-3.1-8B", "H100-SXM", dtype="bf16")
    one = dict(zip(PARTS, work(plan, [Segment(1, 0, 10, 10_000.0, 0.0, 10)])[0].tolist(), strict=True))
    layers, head = 6_979_321_856, 128_256 * 4096
    assert one["weights"] == pytest.approx((layers + head) * 2 / 3.35e12)
    assert one["compute"] == pytest.approx((layers + head) * 2 * 10 / 989e12)
    assert one["cache"] == pytest.approx(10_000 * 131_072 / 3.35e12)
    assert (one["attention"], one["traffic"], one["reduces"], one["routers"]) == (0, 0, 0, 0)


def test_experts_are_read_as_far_as_they_are_chosen() -> None:
    plan = deployment("Mixtral-8x7B", "H100-SXM", tp=2)
    one, many = (work(plan, [Segment(1, 0, count, 0.0, 0.0, count)])[0][PARTS.index("experts")] for count in (1, 200))
    assert one == pytest.approx(many * 2 / 8)


def test_windows_bound_what_is_read() -> None:
    plan = deployment("gpt-oss-20b", "H100-SXM")
    short, long = (work(plan, [Segment(1, 0, 1, size, 0.0, 1)])[0][PARTS.index("cache")] for size in (100.0, 10_000.0))
    assert long / short == pytest.approx((10_000 + 128) / 200)


FASTER = {
    "more bandwidth": (speed(gpu="H100-SXM"), speed(gpu="H200-SXM")),
    "fewer bits": (speed(dtype="bf16"), speed(dtype="fp8")),
    "more clients": (speed(clients=4), speed(clients=32)),
    "shorter prompts": (speed(prompt=4096), speed(prompt=512)),
    "two replicas": (speed(clients=32), speed(clients=32, n_gpus=2)),
    "tensor parallel": (speed("Llama-3.3-70B", tp=4, dtype="fp8"), speed("Llama-3.3-70B", tp=8, dtype="fp8")),
}


@pytest.mark.parametrize(("slow", "fast"), FASTER.values(), ids=FASTER)
def test_faster(slow: Speed, fast: Speed) -> None:
    assert fast.requests_per_s > slow.requests_per_s


def test_littles_law_and_the_interval() -> None:
    made = speed(clients=16)
    assert made.requests_per_s * made.e2e_ms["mean"] / 1e3 == pytest.approx(16)
    assert made.low < made.output_tokens_per_s < made.high
    assert sum(made.parts.values()) == pytest.approx(1)
    assert made.ttft_ms["p50"] <= made.ttft_ms["p95"] <= made.ttft_ms["p99"]


def test_a_queue_adds_waiting_and_no_throughput() -> None:
    """Four times the clients that fit: the throughput stays, the time to the first token grows."""
    tight, queued = (speed("Qwen3-32B", clients=count, dtype="bf16", seqs=8) for count in (8, 32))
    assert queued.requests_per_s == pytest.approx(tight.requests_per_s, rel=0.15)
    assert queued.ttft_ms["mean"] > 3 * tight.ttft_ms["mean"]


CONFIDENCE = {"H100-SXM": "generation-fit", "H200-SXM": "generation-fit", "L40S": "generation-fit"} | dict.fromkeys(
    ("T4", "V100-SXM2-16", "L4", "A10G", "MI300X", "RTX-PRO-6000", "TPU-v5e"), "extrapolated"
)


@pytest.mark.parametrize(("gpu", "confidence"), CONFIDENCE.items())
def test_confidence(gpu: str, confidence: str) -> None:
    assert shipped().confidence(deployment("Llama-3.2-1B", gpu, dtype="fp16")) == confidence


def test_extrapolated_is_less_sure() -> None:
    known = shipped()
    sure, unsure = (known.interval(deployment("Llama-3.2-1B", gpu)) for gpu in ("H100-SXM", "L4"))
    assert unsure[0] < sure[0] < 1 < sure[1] < unsure[1]


BAD_ROWS = {
    "an unknown model": ({"model": "GPT-9"}, "no model called 'GPT-9'"),
    "an unknown accelerator": ({"gpu": "H900"}, "no accelerator called 'H900'"),
    "no number": ({"isl": "many"}, "a number is wrong"),
    "no whole number": ({"osl": "1.5"}, "not a whole number"),
    "endless": ({"isl": "inf"}, "a number is wrong"),
    "nothing": ({"osl": ""}, "a number is wrong"),
    "zero": ({"concurrency": "0"}, "at least 1"),
    "too large": ({"model": "DeepSeek-R1"}, "does not fit"),
    "odd parallelism": ({"n_gpus": "3", "tp": "2"}, "3 GPUs"),
}


@pytest.mark.parametrize(("change", "why"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_has_an_error_and_stops_nobody(change: dict[str, str], why: str) -> None:
    made = list(answers([QUESTION | change, QUESTION], shipped()))
    assert why in made[0]["error"]
    assert made[0]["output_tokens_per_s"] == ""
    assert made[1]["fits"] == "true"
    assert float(made[1]["low"]) < float(made[1]["output_tokens_per_s"]) < float(made[1]["high"])
    assert all(tuple(row) == COLUMNS for row in made)


def test_numbers_and_names_as_tables_write_them() -> None:
    loose = QUESTION | {"isl": "1024.0", "engine": "vllm-0.12.0", "model": "meta-llama/Llama-3.1-8B-Instruct", "tp": ""}
    one, other = answers([QUESTION, loose], shipped())
    assert one == other


def test_the_slowest_question_takes_a_schedule_of_few_segments() -> None:
    """What an estimate costs is its segments; the longest kinds of schedule stay below 10,000 (a few hundredths of a
    second)."""
    longest = [
        Workload(prompt=128, output=128, clients=None),
        Workload(prompt=20_000, output=2_000, clients=None),
        Workload(prompt=1024, output=8192, clients=1024),
        Workload(prompt=8192, output=1024, clients=512),
    ]
    plan = deployment("Llama-3.1-8B", "H200-SXM", dtype="fp8", engine_name="trtllm")
    assert max(len(schedule(plan, load)[0].segments) for load in longest) < 10_000


def test_calibration_follows_the_users_runs() -> None:
    found = calibrated(rows_of_a_slower_machine(0.7), shipped())
    (name, runs, before, after) = found.errors[0]
    assert (name, runs) == ("H100-SXM", 12)
    assert before > 0.35
    assert after < 0.15
    again = parse(as_json(found.fit))
    plan = deployment("Llama-3.1-8B", "H100-SXM")
    assert again.confidence(plan) == "calibrated"
    assert again.constants.of(plan) == pytest.approx(found.fit.constants.of(plan), rel=1e-3)
    other = deployment("Llama-3.1-8B", "H200-SXM")
    assert again.constants.of(other) == shipped().constants.of(other)
    assert again.interval(plan)[1] - again.interval(plan)[0] < np.subtract(*shipped().interval(plan)[::-1])


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(UserError) as refused:
        calibrated([*rows_of_a_slower_machine(1)[:2], QUESTION | {"model": "x"}], shipped())
    assert [problem.where for problem in refused.value.problems] == ["row 3", ""]


def test_wrong_constants_are_refused() -> None:
    for text in ("", "[]", "{}", '{"local": 3}'):
        with pytest.raises(UserError, match="no constants"):
            parse(text)


TABLES = Path(__file__).parents[3] / "shared" / "data" / "planner"


@pytest.mark.skipif(not TABLES.is_dir(), reason="the development tables are not beside the checkout")
def test_published_tables_are_read() -> None:
    """Every row is used but those beyond a model's context, or of what should not fit."""
    for name in ("inferencex_dev.csv", "trtllm_v0.14_max.csv", "trtllm_v0.20_max.csv", "trtllm_v0.9_static.csv"):
        rows = list(csv.DictReader((TABLES / name).read_text().splitlines()))
        found, problems = read(rows)
        assert all("context of 2048" in problem.message for problem in problems)
        assert len(found) + len(problems) == len({row["url"] for row in rows} if "dev" in name else rows)


def test_factors_are_one_for_each_part() -> None:
    plan = deployment("Llama-3.1-8B", "H100-SXM")
    each = factors(plan, shipped().constants.of(plan), served=True)
    assert each.shape == (len(PARTS),)
    assert benchmark(plan, Workload(prompt=10, output=2, clients=2)).wall.shape == (len(PARTS),)
