"""The real shellcheck and hadolint, run where they are installed and told in our words."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fairlead.lint.run import lint
from fairlead.ops import outside_linters
from fairlead.ops.lint_files import files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    (tmp_path / "a.sh").write_text("#!/bin/bash\nfoo=$1\necho $foo\n")
    (tmp_path / "Dockerfile").write_text("FROM ubuntu\nUSER nobody\n")
    return tmp_path


def test_what_they_find_is_merged(folder: Path) -> None:
    found = {(each.rule, Path(each.file).name, each.line) for each in outside_linters.findings(files([folder]))}
    assert {("SC2086", "a.sh", 3), ("DL3006", "Dockerfile", 1)} <= found


def test_the_same_comments_suppress_it(folder: Path) -> None:
    (folder / "a.sh").write_text("#!/bin/bash\nfoo=$1\necho $foo  # fairlead: ignore SC2086 because it is one word\n")
    given = files([folder / "a.sh"])
    report = lint(given, foreign=outside_linters.findings(given))
    assert ([each.rule for each in report.findings], [each.rule for each in report.suppressed]) == ([], ["SC2086"])


def test_without_them_nothing_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert outside_linters.findings(files([folder])) == []
