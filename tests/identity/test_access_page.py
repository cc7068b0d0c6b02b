"""docs/access.md: its files check, and its commands print what stands below them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.spec.load import check

from .service import written

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "access.md").read_text()
FILES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(BLOCK,) = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = dict(re.findall(r"^\$ fairlead (.*)\n((?:(?!\$).*\n)+)", BLOCK, re.MULTILINE))


@pytest.mark.parametrize("text", FILES)
def test_a_file_of_the_page_has_no_problems(tmp_path: Path, text: str) -> None:
    assert check(written(tmp_path, text).file).models


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_prints_what_stands_there(command: str) -> None:
    argv = [sys.executable, "-m", "fairlead.cli.main", *shlex.split(command)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    printed = "".join(f"{line.rstrip()}\n" for line in done.stdout.replace("examples/roles/", "").splitlines())
    assert printed == COMMANDS[command]
    assert done.returncode == (0 if printed.startswith("allowed") else 1)


def test_the_page_was_read() -> None:
    assert (len(FILES), len(COMMANDS)) == (3, 3)
