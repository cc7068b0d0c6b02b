"""`fairlead lint` as a person, a script and a CI server use it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.errors import UserError
from fairlead.lint.rule import rules

BAD = "apiVersion: serving.kubeflow.org/v1beta1\nkind: InferenceService\nmetadata: {name: a}\n"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "service.yaml"
    path.write_text(BAD)
    return path


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["lint", *words])
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout


def test_text_has_the_line_a_caret_and_the_fix(bad: Path) -> None:
    message = "serving.kubeflow.org/v1beta1 is not served: the group is serving.kserve.io since KServe 0.7"
    assert run(str(bad), code=1).splitlines() == [
        f"{bad}:1:13  error D-06  {message}",
        "    | apiVersion: serving.kubeflow.org/v1beta1",
        "    |             ^",
        "    fix: apiVersion: serving.kserve.io/v1beta1",
        "",
        "1 files, 1 documents: 1 error, 0 warning, 0 info",
    ]


def test_json_is_a_list_of_findings(bad: Path) -> None:
    (found,) = json.loads(run(str(bad), "--json", code=1))
    assert {"rule", "severity", "file", "line", "message", "fix"} <= set(found)
    assert (found["rule"], found["line"]) == ("D-06", 1)


def test_sarif(bad: Path) -> None:
    told = json.loads(run(str(bad), "--format", "sarif", code=1))
    (result,) = told["runs"][0]["results"]
    assert told["version"] == "2.1.0"
    assert (result["ruleId"], result["level"]) == ("D-06", "error")
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1, "startColumn": 13}
    assert told["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "D-06"


def test_junit(bad: Path) -> None:
    suite = ElementTree.fromstring(run(str(bad), "--format", "junit", code=1))
    assert (suite.get("failures"), suite.find("testcase/failure") is not None) == ("1", True)


def test_the_exit_code_follows_the_severity(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("trust_remote_code: true\n")
    run(str(path))
    run(str(path), "--fail-on", "warning", code=1)
    run(str(path), "--rule", "D-40", "--fail-on", "info")


def test_fix_shows_a_diff_and_writes_only_when_told(bad: Path) -> None:
    shown = run(str(bad), "--fix")
    assert "-apiVersion: serving.kubeflow.org/v1beta1\n+apiVersion: serving.kserve.io/v1beta1\n" in shown
    assert bad.read_text() == BAD
    run(str(bad), "--fix", "--write")
    assert bad.read_text() == BAD.replace("kubeflow.org", "kserve.io")
    run(str(bad))


@pytest.mark.parametrize("rule", [rule for rule in rules().values() if rule.fixes_itself], ids=lambda rule: rule.id)
def test_what_fix_leaves_has_no_such_finding(rule: object, tmp_path: Path) -> None:
    from fairlead.lint.rule import Rule

    assert isinstance(rule, Rule)
    path = tmp_path / rule.file
    path.write_text(rule.bad.removeprefix("\n"))
    run(str(path), "--rule", rule.id, "--fix", "--write")
    assert json.loads(run(str(path), "--rule", rule.id, "--json")) == []


def test_explain_prints_the_page() -> None:
    page = run("--explain", "d-21")
    assert page.startswith("### D-21: A model that does not fit the machine")
    assert "**Evidence:**" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to lint"),
        (("nowhere.yaml",), "there is no such file or folder"),
        (("--explain", "D-99"), "there is no rule D-99"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(*words)
