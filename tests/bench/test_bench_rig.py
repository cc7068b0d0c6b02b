"""The rig measures what was really sent: it compiles without a warning, and its counts agree on both ends."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig import meter
from bench.rig.build import binary, compiler
from bench.rig.load import Figures, Load, Target, Window, chat_body, failures, measure
from bench.rig.mock import Mock, mock_upstream
from bench.rig.process import in_use
from fairlead.errors import UserError

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the rig needs Linux"),
    pytest.mark.skipif(compiler() is None, reason="the rig needs a C compiler"),
    pytest.mark.skipif(shutil.which("taskset") is None, reason="the rig needs taskset"),
]
REPLICAS = 2
WINDOW_S = 0.8


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rig")


@pytest.fixture(scope="module")
def mock(cache: Path) -> Iterator[Mock]:
    with mock_upstream(port=adjacent_free_ports(REPLICAS), replicas=REPLICAS, core=0, cache=cache) as running:
        yield running


def adjacent_free_ports(count: int) -> int:
    """`count` neighbouring ports that nobody listens on; another test process begins to look elsewhere."""
    for first in range(20_000 + os.getpid() % 1000 * 8, 30_000, count):
        if not any(in_use(port) for port in range(first, first + count)):
            return first
    raise AssertionError("no free ports")


def run(load: Load, mock: Mock, cache: Path) -> Figures:
    return measure(load, Target(mock.port, mock.pid), Window(WINDOW_S, 0.1, 0, cache))


def test_a_binary_is_compiled_once(cache: Path) -> None:
    first = binary("loadgen", cache / "once")
    born = first.stat().st_mtime_ns
    assert binary("loadgen", cache / "once").stat().st_mtime_ns == born


def test_each_json_answer_is_counted_on_both_ends(mock: Mock, cache: Path) -> None:
    before = sum(mock.stats()["requests"])
    figures = run(Load(connections=4), mock, cache)
    served = sum(mock.stats()["requests"]) - before
    assert figures.failures == 0
    assert 0 < figures.requests <= served  # those of the warm-up and those under way are served but not counted
    assert figures.target_cores > 0
    assert figures.pss_mib > 0


def test_streams_are_whole_and_their_chunks_are_timed(mock: Mock, cache: Path) -> None:
    mock.pace(0)
    figures = run(Load(streaming=True, connections=2, tokens=20), mock, cache)
    assert figures.failures == 0
    assert figures.chunks_per_s > figures.rps > 0
    assert figures.chunk_delay_p99_us >= figures.chunk_delay_p50_us > 0


def test_a_paced_stream_keeps_the_pace(mock: Mock, cache: Path) -> None:
    mock.pace(10_000)
    figures = run(Load(streaming=True, connections=3, tokens=10), mock, cache)
    assert 0 < figures.chunks_per_s <= 3 * 100 * 1.2  # one token per 10 ms and stream, and some slack at the edges


def test_a_fixed_rate_is_kept(mock: Mock, cache: Path) -> None:
    figures = run(Load(connections=4, rate_per_s=50), mock, cache)
    assert 0 < figures.rps <= 50 * 1.2


def test_a_large_prompt_arrives_whole(mock: Mock, cache: Path) -> None:
    figures = run(Load(connections=2, prompt_bytes=200_000), mock, cache)
    assert (figures.failures, figures.requests > 0) == (0, True)


def test_the_small_body_is_about_1_kb() -> None:
    assert 950 <= len(chat_body(Load())) <= 1100


def test_a_port_in_use_is_a_clear_error(mock: Mock, cache: Path) -> None:
    with (
        pytest.raises(UserError, match=f"ports in use: {mock.port}, {mock.port + 1}"),
        mock_upstream(port=mock.port, replicas=REPLICAS, core=0, cache=cache),
    ):
        raise AssertionError("two mocks on one port")


def test_usage_tells_the_foreign_cpu_apart() -> None:
    before = meter.Reading(at_s=10.0, target_s=1.0, rig_s=2.0, machine_s=5.0)
    after = meter.Reading(at_s=12.0, target_s=2.0, rig_s=3.0, machine_s=8.0)
    assert meter.usage(before, after) == meter.Usage(target_cores=0.5, rig_cores=0.5, foreign_cores=0.5)


GOOD = {"errors": 0, "http_errors": 0, "streams_without_done": 0, "chunks_per_stream": [200, 200]}
BAD = {
    "nothing wrong": ({}, 0),
    "a broken connection": ({"errors": 1}, 1),
    "a bad status": ({"http_errors": 2}, 2),
    "a stream without its end": ({"streams_without_done": 3}, 3),
    "a stream that lost a token": ({"chunks_per_stream": [199, 200]}, 1),
    "a stream that got a token twice": ({"chunks_per_stream": [200, 201]}, 1),
    "no stream ended in time": ({"chunks_per_stream": [0, 0]}, 0),
}


@pytest.mark.parametrize(("changed", "count"), BAD.values(), ids=BAD)
def test_failures(changed: dict[str, object], count: int) -> None:
    assert failures(GOOD | changed, tokens=200) == count
