"""Where real servers come from: found on this machine, or the test skips and says why; in CI nothing is skipped."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from glob import glob
from time import monotonic, sleep
from typing import NoReturn

import psutil
import pytest


def program(name: str, *folders: str) -> str:
    """The path of a server's program; `folders` may hold wildcards. Skips the test, or fails it in CI."""
    places = [os.environ.get("PATH", os.defpath), *sorted((f for one in folders for f in glob(one)), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        absent(f"{name} is not installed: `bash tools/test_servers.sh` installs it from Debian packages")
    return found


def absent(reason: str) -> NoReturn:
    """Skip for a stated reason; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], *, within_s: float = 20.0, what: str = "the server is up") -> None:
    """Poll until it holds. Fails the test when it does not in time."""
    deadline = monotonic() + within_s
    while not condition():
        assert monotonic() < deadline, f"not within {within_s:g} s: {what}"
        sleep(0.02)


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants; empty once it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_all(pid: int) -> None:
    """`kill -9` for a process and its descendants, the parent first so that it starts no more."""
    doomed = family(pid)
    for process in doomed:
        with_luck(process.kill)
    psutil.wait_procs(doomed, timeout=10)


def freeze(pid: int) -> None:
    """`kill -STOP`: the kernel still takes bytes for it, and nothing ever answers."""
    for process in family(pid):
        with_luck(process.suspend)


def thaw(pid: int) -> None:
    """`kill -CONT`."""
    for process in family(pid):
        with_luck(process.resume)


def with_luck(act: Callable[[], object]) -> None:
    """A process that has just gone needs no signal."""
    try:
        act()
    except psutil.NoSuchProcess:
        return
