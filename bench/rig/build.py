"""The C programs are compiled when they are older than their source; nobody ever runs a half-written binary."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from fairlead.errors import UserError

SOURCES = Path(__file__).parent


def compiler() -> str | None:
    """The C compiler to use, None when there is none."""
    return shutil.which(os.environ.get("CC", "cc"))


def binary(name: str, into: Path) -> Path:
    """Compile `name`.c into the folder `into` unless that is done already; return the program's path."""
    source, program = SOURCES / f"{name}.c", into / name
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as folder:
        fresh = Path(folder) / name
        _compile(source, fresh)
        fresh.replace(program)
    return program


def _compile(source: Path, program: Path) -> None:
    cc = compiler()
    if cc is None:
        raise UserError("the benchmark needs a C compiler", hint="apt-get install gcc, or set CC")
    argv = [cc, "-O2", "-Wall", "-o", str(program), str(source)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{source.name} does not compile:\n{done.stderr}", hint="the rig needs Linux >= 5.11")
