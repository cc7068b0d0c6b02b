"""`fairlead lint --schemas`: what pulled definitions refuse in other people's files, at its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fairlead.cli.main import app
from fairlead.errors import UserError

from .upstream import files

MANIFEST = """\
apiVersion: velero.io/v1
kind: Schedule
metadata: {name: nightly}
spec:
  schedule: "0 2 * * *"
  sheduled: true
  template: {ttl: 720h}
---
apiVersion: velero.io/v1
kind: Schedule
metadata: {name: weekly}
spec:
  schedule: "0 2 * * 0"
---
apiVersion: example.com/v1
kind: Other
metadata: {name: one}
"""
PAGE = "```yaml\napiVersion: velero.io/v1\nkind: Schedule\nspec: {no: such}\n```\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files to lint, and the definitions of one of their kinds, not yet pulled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "crd.yaml").write_bytes(files()["velero.io/schedule.yaml"])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "backup.yaml").write_text(MANIFEST)
    (tmp_path / "in" / "page.md").write_text(PAGE)
    return tmp_path / "in"


def lint(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["lint", str(folder), "--schemas", *options])


def test_findings_stand_at_their_lines_and_the_unknown_is_told(folder: Path) -> None:
    CliRunner().invoke(app, ["schemas", "pull", "--from-folder", str(folder.parent / "crd.yaml")])
    done = lint(folder, "--json")
    assert done.exit_code == 1
    found = [each for each in json.loads(done.stdout) if each["rule"] == "CRD"]
    told = [(Path(each["file"]).name, each["line"], each["column"], each["message"], each["fix"]) for each in found]
    assert told[0] == ("backup.yaml", 6, 3, "Schedule: spec.sheduled: unknown field", "did you mean schedule?")
    assert told[1][:4] == ("backup.yaml", 12, 1, "Schedule: spec: 'template' is a required property")
    assert "crd.yaml says" in told[1][4]
    assert len(told) == 2
    assert "schemas: 2 custom objects checked" in done.stderr
    assert "no definition of example.com/v1/Other (1)" in done.stderr


def test_without_pulled_schemas_it_does_not_pretend(folder: Path) -> None:
    error = lint(folder).exception
    assert isinstance(error, UserError)
    assert "no schemas were pulled" in str(error)
