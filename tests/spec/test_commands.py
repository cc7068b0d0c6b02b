"""The commands over a file: what they print, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import typer
from typer.testing import CliRunner, Result

from fairlead.cli import spec_commands
from fairlead.errors import EXIT_USER, UserError

from .conftest import Write

WITH_OVERLAYS = """
models: {demo: {source: ./model}}
access: {roles: {user: {models: ["*"]}}}
environments: {production: {gateway: {host: 0.0.0.0}}}
"""


def run(*arguments: str) -> Result:
    app = typer.Typer()
    for command in (spec_commands.init, spec_commands.check, spec_commands.diff, spec_commands.schema):
        app.command()(command)
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


@pytest.mark.parametrize("command", ["init", "check", "diff", "schema"])
def test_help_has_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: fairlead {command}" in result.output


def test_init_writes_a_file_that_checks(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.yaml"
    assert run("init", str(path)).exit_code == 0
    checked = run("check", str(path))
    assert checked.exit_code == 0
    assert "no problems" in checked.output


def test_init_into_a_folder_writes_the_usual_name(tmp_path: Path) -> None:
    run("init", str(tmp_path))
    assert (tmp_path / "fairlead.yaml").exists()


def test_init_does_not_overwrite_without_force(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.yaml"
    path.write_text("mine")
    refused = run("init", str(path))
    assert isinstance(refused.exception, UserError)
    assert path.read_text() == "mine"
    assert run("init", str(path), "--force").exit_code == 0
    assert path.read_text() == spec_commands.template()


def test_init_where_there_is_no_folder_is_a_user_error(tmp_path: Path) -> None:
    assert isinstance(run("init", str(tmp_path / "no" / "fairlead.yaml")).exception, UserError)


def test_check_prints_what_is_declared(write: Write) -> None:
    path = write("models: {demo: {source: demo:v1}}\nroutes: {fast: {model: demo}}\n")
    lines = [line.split() for line in run("check", str(path)).output.splitlines()]
    assert ["demo", "openvino", "1", "demo:v1", "chat,", "completions"] in lines
    assert ["fast", "demo", "10m"] in lines
    assert ["user", "*", "chat,", "completions"] in lines


def test_check_hands_every_problem_to_the_edge() -> None:
    refused = run("check", str(Path(__file__).parent / "ten_mistakes.yaml")).exception
    assert isinstance(refused, UserError)
    assert (len(refused.problems), refused.exit_code) == (10, EXIT_USER)


def test_check_prints_problems_as_json() -> None:
    result = run("check", str(Path(__file__).parent / "ten_mistakes.yaml"), "--json")
    printed = json.loads(result.stdout)
    assert result.exit_code == EXIT_USER
    assert printed["ok"] is False
    assert [set(problem) for problem in printed["problems"]] == [{"where", "subject", "message", "hint"}] * 10


def test_check_as_json_prints_a_spec_that_checks_again(write: Write, tmp_path: Path) -> None:
    printed = json.loads(run("check", str(write(WITH_OVERLAYS)), "-e", "production", "--json").stdout)
    again = tmp_path / "again.json"  # JSON is YAML
    again.write_text(json.dumps(printed["spec"]))
    assert json.loads(run("check", str(again), "--json").stdout)["spec"] == printed["spec"]


def test_diff_prints_the_fields_that_differ(write: Write) -> None:
    lines = [
        line.split()
        for line in run("diff", str(write(WITH_OVERLAYS)), "-e", "staging", "-e", "production").output.splitlines()
    ]
    assert lines == [
        ["field", "staging", "production"],
        ["environment", "staging", "production"],
        ["models.demo.replicas", "1", "2"],
        ["gateway.host", "127.0.0.1", "0.0.0.0"],
    ]


def test_diff_with_one_environment_compares_with_the_plain_file_as_json(write: Write) -> None:
    printed = json.loads(run("diff", str(write(WITH_OVERLAYS)), "-e", "production", "--json").stdout)
    assert (printed["left"], printed["right"]) == ("plain file", "production")
    assert {"field": "gateway.host", "left": "127.0.0.1", "right": "0.0.0.0"} in printed["differences"]


def test_diff_of_the_same_says_so(write: Write) -> None:
    assert "do not differ" in run("diff", str(write(WITH_OVERLAYS)), "-e", "laptop").output


@pytest.mark.parametrize("environments", [(), ("staging", "production", "laptop")])
def test_diff_wants_two_environments(write: Write, environments: tuple[str, ...]) -> None:
    options = [part for name in environments for part in ("-e", name)]
    assert isinstance(run("diff", str(write(WITH_OVERLAYS)), *options).exception, UserError)


def test_schema_prints_a_json_schema() -> None:
    schema = json.loads(run("schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
