"""A worker that should run does run, or somebody is told why not. Real processes, real signals, loopback HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from fairlead.engine.restart import NEXT, RestartPolicy, failures_after, wait_s
from fairlead.engine.supervisor import Supervisor, WorkerSpec, WorkerStatus
from fairlead.errors import EXIT_FAILED, UserError

# A worker: GET /health is 200 until the file SICK exists; with FORK it has a child that ignores SIGTERM.
WORKER = """
import http.server, os, pathlib, signal, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if pathlib.Path(os.environ["SICK"]).exists() else 200)
        self.end_headers()
    def log_message(self, *args): pass
if os.environ.get("STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.environ.get("FORK"):
    child = subprocess.Popen([sys.executable, "-S", "-c",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"],
        stdout=subprocess.PIPE)
    child.stdout.readline()
    pathlib.Path(os.environ["FORK"]).write_text(str(child.pid))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
FAST = RestartPolicy(
    first_wait_s=0.02, longest_wait_s=0.1, poll_s=0.02, health_interval_s=0.05, health_timeout_s=1.0, kill_after_s=2.0
)


def worker(folder: Path, *, env: Mapping[str, str] | None = None, argv: tuple[str, ...] = ()) -> WorkerSpec:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return WorkerSpec(
        name="w0",
        argv=argv or (sys.executable, "-S", "-c", WORKER, str(port)),
        env={"SICK": str(folder / "sick"), **(env or {})},
        url=f"http://127.0.0.1:{port}",
        health_path="/health",
        log=folder / "w0.log",
        start_timeout_s=20,
    )


async def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def only(supervisor: Supervisor) -> WorkerStatus:
    (status,) = supervisor.snapshot()
    return status


def test_a_worker_starts_serves_and_stops(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        seen: list[str] = []
        supervisor = Supervisor(policy=FAST)
        await supervisor.start([worker(tmp_path)], lambda status: seen.append(status.state))
        status = only(supervisor)
        assert status.state == "ready"
        assert status.ready_s is not None
        assert status.pid is not None
        await supervisor.stop(grace_s=5)
        assert gone(status.pid)
        assert only(supervisor).pid is None
        return list(dict.fromkeys(seen))

    assert asyncio.run(scenario()) == ["starting", "ready", "stopping", "stopped"]


def test_a_killed_worker_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = Supervisor(policy=FAST)
        await supervisor.start([worker(tmp_path)])
        first = only(supervisor).pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: only(supervisor).restarts == 1 and only(supervisor).state == "ready")
        second = only(supervisor).pid
        assert second
        assert second != first
        await supervisor.stop(grace_s=5)
        assert gone(second)

    asyncio.run(scenario())


def test_a_worker_that_stops_answering_is_killed_and_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = Supervisor(policy=FAST)
        await supervisor.start([worker(tmp_path, env={"STUBBORN": "1"})])
        first = only(supervisor).pid
        assert first
        (tmp_path / "sick").touch()
        await until(lambda: "3 health checks in a row" in only(supervisor).last_error)
        (tmp_path / "sick").unlink()
        await until(lambda: only(supervisor).state == "ready" and only(supervisor).pid != first)
        assert gone(first)
        await supervisor.stop(grace_s=0.1)

    asyncio.run(scenario())


def test_a_crash_loop_waits_longer_each_time(tmp_path: Path) -> None:
    """The first start works, for a moment; every later one fails at once."""

    async def scenario() -> list[WorkerStatus]:
        waiting: list[WorkerStatus] = []

        def note(status: WorkerStatus) -> None:
            if status.retry_in_s is not None and status.state == "backing-off":
                waiting.append(status)

        spec = worker(tmp_path, argv=(sys.executable, "-S", "-c", CRASHES_THE_SECOND_TIME, str(tmp_path / "ran")))
        supervisor = Supervisor(policy=FAST, chance=lambda: 0.0)
        await supervisor.start([port_of(spec)], note)
        await until(lambda: len(waiting) >= 5)
        await supervisor.stop(grace_s=5)
        return waiting

    waiting = asyncio.run(scenario())
    assert [status.retry_in_s for status in waiting[:5]] == [0.01, 0.02, 0.04, 0.05, 0.05]
    assert all("exited with code 7" in status.last_error for status in waiting)
    assert all("no second time" in status.last_error for status in waiting[1:])


CRASHES_THE_SECOND_TIME = """
import http.server, os, pathlib, sys, threading
ran = pathlib.Path(sys.argv[1])
if ran.exists():
    print("no second time", flush=True)
    sys.exit(7)
ran.touch()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        threading.Timer(0.05, os._exit, [7]).start()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


def port_of(spec: WorkerSpec) -> WorkerSpec:
    port = spec.url.rpartition(":")[2]
    return WorkerSpec(
        spec.name, (*spec.argv, port), spec.env, spec.url, spec.health_path, spec.log, spec.start_timeout_s
    )


FAILING_STARTS = {
    "it exits, and its last words are told": (
        ("-c", "print('bad flag --nope'); raise SystemExit(3)"),
        "bad flag --nope",
    ),
    "it never answers, and the time is told": (("-c", "import time; time.sleep(600)"), "was not healthy after 0.3 s"),
    "a signal is told by its name": (("-c", "import os; os.kill(os.getpid(), 9)"), "SIGKILL"),
}


@pytest.mark.parametrize(("code", "told"), FAILING_STARTS.values(), ids=FAILING_STARTS)
def test_a_first_start_that_fails_is_an_error_with_the_log(tmp_path: Path, code: tuple[str, str], told: str) -> None:
    spec = worker(tmp_path, argv=(sys.executable, "-S", *code))
    limit_s = 0.3 if "sleep" in code[1] else 20.0
    spec = WorkerSpec(spec.name, spec.argv, spec.env, spec.url, spec.health_path, spec.log, limit_s)
    supervisor = Supervisor(policy=FAST)
    with pytest.raises(UserError, match="w0") as failed:
        asyncio.run(supervisor.start([spec]))
    assert told in str(failed.value)
    assert failed.value.exit_code == EXIT_FAILED
    assert only(supervisor).state == "stopped"


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be started"):
        asyncio.run(Supervisor(policy=FAST).start([worker(tmp_path, argv=(str(tmp_path / "no-such-program"),))]))


def test_one_failing_start_stops_the_others(tmp_path: Path) -> None:
    pids: set[int] = set()

    def note(status: WorkerStatus) -> None:
        if status.pid:
            pids.add(status.pid)

    good = worker(tmp_path / "a")
    bad = worker(tmp_path / "b", argv=(sys.executable, "-S", "-c", "raise SystemExit(3)"))
    with pytest.raises(UserError, match="code 3"):
        asyncio.run(Supervisor(policy=FAST).start([good, bad], note))
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_stop_takes_the_children_of_a_worker_too(tmp_path: Path) -> None:
    async def scenario() -> int:
        supervisor = Supervisor(policy=FAST)
        await supervisor.start([worker(tmp_path, env={"FORK": str(tmp_path / "child")})])
        await supervisor.stop(grace_s=5)
        return int((tmp_path / "child").read_text())

    child = asyncio.run(scenario())
    asyncio.run(until(lambda: gone(child)))


SUPERVISING_PROGRAM = """
import asyncio, pathlib, sys
from fairlead.engine.supervisor import Supervisor, WorkerSpec
async def main():
    supervisor = Supervisor()
    url, log, sick, child, code = sys.argv[1:]
    argv = (sys.executable, "-S", "-c", code, url.rpartition(":")[2])
    spec = WorkerSpec("w0", argv, {"SICK": sick, "FORK": child}, url, "/health", pathlib.Path(log), 20)
    await supervisor.start([spec])
    print(supervisor.snapshot()[0].pid, flush=True)
    await supervisor.wait()
asyncio.run(main())
"""


def test_no_worker_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    """`kill -9` leaves the supervisor no last word; the worker and its child go all the same."""
    spec = worker(tmp_path)
    args = [spec.url, str(spec.log), str(tmp_path / "sick"), str(tmp_path / "child"), WORKER]
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISING_PROGRAM, *args], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout
        pid = int(program.stdout.readline())
        child = int((tmp_path / "child").read_text())
        assert not gone(pid)
        program.kill()
    asyncio.run(until(lambda: gone(pid) and gone(child)))


WAITS = {
    "the first": (1, 0.0, 0.25),
    "the first, spread": (1, 0.5, 0.375),
    "the fourth doubles three times": (4, 0.0, 2.0),
    "never longer than the limit": (400, 0.0, 15.0),
}


@pytest.mark.parametrize(("failures", "chance", "seconds"), WAITS.values(), ids=WAITS)
def test_waits_double_up_to_a_limit(failures: int, chance: float, seconds: float) -> None:
    assert wait_s(failures, chance, RestartPolicy(first_wait_s=0.5, longest_wait_s=30)) == seconds


FAILURES = {
    "one more": (3, 59.9, 4),
    "a stable minute forgives": (3, 60.0, 1),
    "the first": (0, 0.0, 1),
}


@pytest.mark.parametrize(("failures", "ready_for_s", "now"), FAILURES.values(), ids=FAILURES)
def test_failures_in_a_row(failures: int, ready_for_s: float, now: int) -> None:
    assert failures_after(failures, ready_for_s, RestartPolicy(stable_s=60)) == now


def test_every_state_but_the_last_can_be_left_and_stopped() -> None:
    states = {state for state, _ in NEXT}
    assert set(NEXT.values()) - states == {"stopped"}
    assert all(NEXT[state, "gone"] == "stopped" for state in states)
    assert all((state, "stop") in NEXT for state in states - {"stopping"})
