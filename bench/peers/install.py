"""Peers never enter the project's environment nor the system: each has a folder of its own in the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.peers.launch import Missing


def python_peer(requirement: str, program: str, folder: Path) -> Path:
    """Install a pinned requirement into a virtual environment of its own; return the path of its program."""
    done = folder / "installed.txt"
    if not done.exists() or done.read_text() != requirement:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", requirement])
        done.write_text(requirement)
    return folder / "bin" / program


def debian_peer(packages: Sequence[str], program: str, folder: Path) -> Path:
    """Find a program on PATH, else unpack Debian's packages into the cache, which needs no root."""
    found = shutil.which(program)
    if found:
        return Path(found)
    unpacked = folder / "usr/sbin" / program
    if not unpacked.exists():
        if not shutil.which("apt-get"):
            raise Missing(f"no {program} on PATH, and no apt-get to fetch it")
        _unpack(packages, folder)
    return unpacked


def libraries(folder: Path) -> str:
    """LD_LIBRARY_PATH for a program that was unpacked into `folder`."""
    return ":".join(str(path) for path in sorted(folder.glob("usr/lib/*-linux-gnu")))


def first_line(argv: Sequence[str], *, environment: dict[str, str] | None = None) -> str:
    """The first line that a command prints, wherever it prints it."""
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment)
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def _unpack(packages: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as downloads:
        _run(["apt-get", "download", "--quiet", *packages], Path(downloads))
        for package in sorted(Path(downloads).glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(folder)])


def _run(argv: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=cwd)
    if done.returncode:
        raise Missing(f"`{' '.join(argv[:4])} ...` failed: {_reason(done.stderr)}")


def _reason(stderr: str) -> str:
    return stderr.strip().rpartition("\n")[2] or "no message"
