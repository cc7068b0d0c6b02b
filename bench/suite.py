"""Rounds are interleaved: each starts every peer in turn, so that a disturbance hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from urllib.error import HTTPError, URLError
from urllib.request import Request

import psutil

from bench.peers import Launch, Missing, Place
from bench.report import DIRECT, Run
from bench.rig import meter
from bench.rig.http import fetch
from bench.rig.load import PATH, Figures, Load, Target, Window, chat_body, measure
from bench.rig.mock import Mock, mock_upstream
from bench.rig.process import in_use, running
from bench.scenarios import SCENARIOS

RIG_CORE, PEER_CORE = 0, 1
REPLICAS = 8
QUIET_CORES = 0.3
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often. A run that something else disturbed is made again, up to `tries` times.

    After `patience_s` nothing is waited for or repeated any more: on a busy machine the runs are marked as disturbed.
    """

    rounds: int = 3
    seconds: float = 4.0
    warmup_s: float = 1.0
    tries: int = 3
    max_foreign_cores: float = 0.15
    max_wait_s: float = 45.0  # for the machine to become quiet before a run
    patience_s: float = 900.0


QUICK = Effort(rounds=1, seconds=2.0, warmup_s=0.5, tries=2, max_wait_s=5.0, patience_s=60.0)


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that is ready to start."""

    name: str
    launch: Launch
    place: Place


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs, and the peers that gave none, each with the reason."""

    runs: tuple[Run, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Session:
    """What every run of one comparison shares; `step` is told each run before it begins."""

    mock: Mock
    effort: Effort
    cache: Path
    patient_until_s: float  # monotonic
    step: Callable[[str], None]


def compare(
    peers: Sequence[Peer], effort: Effort, *, mock_port: int, cache: Path, step: Callable[[str], None]
) -> Outcome:
    """Measure the mock itself and every peer in every scenario, round after round."""
    runs: list[Run] = []
    missing: dict[str, str] = {}
    with mock_upstream(port=mock_port, replicas=REPLICAS, core=RIG_CORE, cache=cache) as mock:
        session = Session(mock, effort, cache, time.monotonic() + effort.patience_s, step)
        for round_number in range(effort.rounds):
            runs += _measure(session, DIRECT, Target(mock.port, mock.pid), round_number)
            for peer in (peer for peer in peers if peer.name not in missing):
                try:
                    runs += _measure_peer(session, peer, round_number)
                except Missing as reason:
                    missing[peer.name] = str(reason)
    return Outcome(tuple(run for run in runs if run.peer not in missing), missing)


def _measure_peer(session: Session, peer: Peer, round_number: int) -> list[Run]:
    log = peer.place.work / f"{peer.name}.log"
    with _beside(peer) as helper, _started(peer, log) as process:
        target = Target(peer.place.port, process.pid, (session.mock.pid, *helper), peer.launch.headers)
        try:
            return _measure(session, peer.name, target, round_number)
        except psutil.NoSuchProcess:
            raise Missing(f"it died under load: {_last_line(log)}") from None


def _measure(session: Session, name: str, target: Target, round_number: int) -> list[Run]:
    return [_run(session, name, scenario, target, round_number) for scenario in SCENARIOS]


def _run(session: Session, name: str, scenario: str, target: Target, round_number: int) -> Run:
    effort = session.effort
    session.step(f"{name} {scenario}")
    session.mock.pace(SCENARIOS[scenario].itl_us)
    window = Window(effort.seconds, effort.warmup_s, RIG_CORE, session.cache)
    figures = _undisturbed(session, SCENARIOS[scenario].load, target, window)
    return Run(name, scenario, round_number, figures, figures.foreign_cores > effort.max_foreign_cores)


def _undisturbed(session: Session, load: Load, target: Target, window: Window) -> Figures:
    """Measure until nothing else used the machine; when that never happens, the least disturbed run."""
    effort = session.effort
    seen: list[Figures] = []
    while not seen or (len(seen) < effort.tries and time.monotonic() < session.patient_until_s):
        patience_s = max(0.0, session.patient_until_s - time.monotonic())
        meter.wait_until_quiet(QUIET_CORES, min(effort.max_wait_s, patience_s))
        seen.append(measure(load, target, window))
        if seen[-1].foreign_cores <= effort.max_foreign_cores:
            break
    return min(seen, key=lambda figures: figures.foreign_cores)


@contextmanager
def _beside(peer: Peer) -> Iterator[tuple[int, ...]]:
    """Run the server that a peer needs; yields its pid, if there is one."""
    argv = peer.launch.beside
    if not argv:
        yield ()
        return
    with running(argv, core=RIG_CORE, log=peer.place.work / "beside.log", env={}, cwd=peer.place.work) as process:
        yield (process.pid,)


@contextmanager
def _started(peer: Peer, log: Path) -> Iterator[Popen[bytes]]:
    """Run a peer on its core; the block begins when it answers a chat request."""
    if in_use(peer.place.port):
        raise Missing(f"port {peer.place.port} is in use")
    with running(peer.launch.argv, core=PEER_CORE, log=log, env=peer.launch.env, cwd=peer.place.work) as process:
        _wait_ready(peer, process, log)
        yield process


def _wait_ready(peer: Peer, process: Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + peer.launch.ready_s
    problem = "no answer"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Missing(f"it exited with {process.returncode}: {_last_line(log)}")
        problem = _ask(peer)
        if not problem:
            return
        time.sleep(POLL_S)
    raise Missing(f"not ready after {peer.launch.ready_s:.0f} s: {problem}")


def _ask(peer: Peer) -> str:
    """Ask one chat question; return what is wrong with the answer, "" for nothing."""
    headers = {"Content-Type": "application/json"} | dict(header.split(": ", 1) for header in peer.launch.headers)
    request = Request(f"http://127.0.0.1:{peer.place.port}{PATH}", chat_body(Load()), headers)
    try:
        return "" if b"chatcmpl" in fetch(request) else "its answer is no chat completion"
    except HTTPError as error:
        return f"HTTP {error.code}: {error.read(200)!r}"
    except (URLError, OSError) as error:
        return str(error)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
