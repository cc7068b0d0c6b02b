"""The README shows what `fairlead lint examples/legacy` says, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_what_is_said_of_the_legacy_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    said = CliRunner().invoke(app, ["lint", "examples/legacy"])
    assert said.exit_code == 1
    [block] = re.findall(r"^\$ fairlead lint examples/legacy\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    for shown in block.strip().split("...\n"):
        assert shown.strip() in said.output
