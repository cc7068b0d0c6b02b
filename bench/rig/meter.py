"""CPU and memory are read from the kernel's own accounts, for a whole process tree, never estimated."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

NS_PER_S = 1_000_000_000
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """The accounts at one moment, all in seconds."""

    at_s: float
    target_s: float
    rig_s: float
    machine_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Cores in use between two readings. `foreign` belongs to neither the target nor the rig."""

    target_cores: float
    rig_cores: float
    foreign_cores: float


def usage(before: Reading, after: Reading) -> Usage:
    """The cores that were in use from one reading to the other."""
    seconds = after.at_s - before.at_s
    target = (after.target_s - before.target_s) / seconds
    rig = (after.rig_s - before.rig_s) / seconds
    machine = (after.machine_s - before.machine_s) / seconds
    return Usage(target, rig, max(0.0, machine - target - rig))


def read(target: Sequence[int], rig: Sequence[int]) -> Reading:
    """Read the accounts of the processes of the target, of the rig, and of the whole machine."""
    return Reading(time.monotonic(), cpu_s(target), cpu_s(rig), machine_busy_s())


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds used by the living threads of these processes, to the nanosecond (a tick would be 10 ms)."""
    return sum(_thread_ns(path) for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / NS_PER_S


def pss_mib(pids: Iterable[int]) -> float:
    """Proportional set size: a page shared by n processes counts 1/n in each."""
    return sum(_pss_bytes(pid) for pid in pids) / MIB


def machine_busy_s() -> float:
    """CPU seconds used on the whole machine since boot, by anybody, time stolen by a neighbour included."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def wait_until_quiet(limit_cores: float, max_wait_s: float) -> None:
    """Return when less than `limit_cores` are busy for half a second, or when the patience ends."""
    deadline = time.monotonic() + max_wait_s
    while _busy_cores(0.5) >= limit_cores and time.monotonic() < deadline:
        pass


def _busy_cores(seconds: float) -> float:
    before = machine_busy_s()
    time.sleep(seconds)
    return (machine_busy_s() - before) / seconds


def _thread_ns(path: Path) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):  # a thread may end while we look
        return int(path.read_text().split()[0])
    return 0


def _pss_bytes(pid: int) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(psutil.Process(pid).memory_full_info().pss)
    return 0
