"""What the pages say of `lint` and `import` is what the commands do; hook and action call what is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.lint.front.read import read
from fairlead.lint.run import lint

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "lint.md", ROOT / "docs" / "import.md"]
SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: llm
  annotations:
    serving.kserve.io/deploymentMode: Standard
spec:
  predictor:
    scaleMetric: concurrency
    model: {modelFormat: {name: vLLM}, storageUri: "hf://org/llm"}
"""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "isvc.yaml").write_text(SERVICE)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.md").write_text("# Guide\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_the_page_run(page: Path, place: Path) -> None:
    for line in "".join(blocks(page, "console")).splitlines():
        words = shlex.split(line.removeprefix("$ fairlead "))
        done = CliRunner().invoke(app, words)
        assert done.exit_code in (0, 1), f"{line}: {done.output} {done.exception}"
        assert done.exception is None or isinstance(done.exception, SystemExit), f"{line}: {done.exception}"


def test_the_finding_that_the_page_shows(place: Path) -> None:
    (shown,) = blocks(PAGES[0], "text")
    done = CliRunner().invoke(app, ["lint", "deploy/"])
    assert done.stdout.startswith(shown)


def test_the_comment_that_the_page_shows() -> None:
    (shown, *_) = blocks(PAGES[0], "yaml")
    report = lint([read("a.yaml", shown.encode())])
    assert (report.findings, len(report.suppressed)) == ((), 1)


def test_the_hook_calls_a_command() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "fairlead lint"


def test_the_action_gives_options_that_exist() -> None:
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    used = set(re.findall(r"(?<=\s)--(?:format|fail-on)\b", steps[-1]["run"]))
    command = dict(getattr(typer.main.get_command(app), "commands", {}))["lint"]
    assert used == {"--format", "--fail-on"}
    assert used <= {option for parameter in command.params for option in parameter.opts}


def test_the_action_has_nothing_to_complain_about() -> None:
    report = lint([read("action.yml", (ROOT / "action.yml").read_bytes())])
    assert report.findings == ()
