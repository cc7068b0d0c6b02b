"""A figure without its machine says nothing: the report carries both."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import psutil

from fairlead.errors import Problem, UserError


def describe() -> dict[str, str | int | float]:
    """The machine as the report names it."""
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "os": _os_name(),
        "python": platform.python_version(),
    }


def cpu_model(cpuinfo: str) -> str:
    """The processor's name, with the family and model numbers that tell generations apart."""
    fields = dict(reversed([_field(line) for line in cpuinfo.splitlines() if ":" in line]))
    name = fields.get("model name", platform.processor() or "unknown")
    numbers = [f"{key} {fields[key]}" for key in ("cpu family", "model") if key in fields]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def require() -> None:
    """Refuse a machine on which the rig cannot measure; every reason at once."""
    problems = list(_problems())
    if problems:
        raise UserError(problems=problems)


def _problems() -> list[Problem]:
    if sys.platform != "linux":
        return [Problem("the benchmark measures on Linux only (epoll, /proc, taskset)", hint="run it in a VM")]
    checks = [
        (len(os.sched_getaffinity(0)) >= 2, Problem("the benchmark needs two cores: one each for rig and gateway")),
        (bool(shutil.which("taskset")), Problem("the benchmark needs taskset", hint="apt-get install util-linux")),
        (bool(shutil.which(os.environ.get("CC", "cc"))), Problem("no C compiler", hint="apt-get install gcc")),
    ]
    return [problem for holds, problem in checks if not holds]


def _field(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _os_name() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
