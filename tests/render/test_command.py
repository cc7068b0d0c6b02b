"""`fairlead render`: what it writes, what it only shows, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fairlead.cli.main import app
from fairlead.errors import UserError
from fairlead.render.targets import TARGETS

from .plans import SERVICE

HARDWARE = """
hardware:
  cloud: aws
  region: us-east-1
  pools:
    l4: {instance: g6.xlarge, min: 0, max: 8}
"""
MODELS = SERVICE[SERVICE.index("  llama-8b:") : SERVICE.index("  far:")]
SMALL = """\
  llama-8b:
    engine: vllm
    source: hf://meta-llama/Llama-3.1-8B-Instruct@main
    shape: Llama-3.1-8B
    max_model_len: 8192
    pool: l4
    autoscaling: {min: 1, max: 4}
"""
FILE = SERVICE.replace(MODELS, SMALL) + HARDWARE


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["render", *words], catch_exceptions=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fairlead.yaml"
    path.write_text(FILE)
    return path


def test_it_writes_a_folder_and_then_finds_nothing_to_do(file: Path) -> None:
    out = file.parent / "out"
    file.write_text(FILE.replace("deploy:\n", "deploy:\n  target: vllm\n"))
    first = run(str(file), "-o", str(out))
    assert first.exit_code == 0, first.output
    assert "new " in first.output
    assert (out / "manifests" / "gateway.yaml").exists()
    second = run(str(file), "-o", str(out), "--check")
    assert second.exit_code == 0
    assert "none changed" in second.output


def test_check_and_diff_write_nothing(file: Path) -> None:
    out = file.parent / "out"
    shown = run(str(file), "-t", "vllm", "-o", str(out), "--diff", "--check")
    assert shown.exit_code == 1
    assert "+++ manifests/gateway.yaml" in shown.output
    assert not out.exists()


def test_a_change_of_the_file_is_one_of_the_folder(file: Path) -> None:
    out = file.parent / "out"
    run(str(file), "-t", "vllm", "-o", str(out))
    file.write_text(FILE.replace("  backup: {schedule: 0 2 * * *}\n", "").replace("replicas: 2}", "replicas: 3}"))
    told = json.loads(run(str(file), "-t", "vllm", "-o", str(out), "--json").output)
    assert told["target"] == "vllm"
    changed = {change["path"]: change["state"] for change in told["changes"]}
    assert changed["manifests/backup.yaml"] == "gone"
    assert changed["manifests/scaling.yaml"] == "changed"
    assert not (out / "manifests" / "backup.yaml").exists()


def test_without_a_target_it_names_them(file: Path) -> None:
    error = run(str(file)).exception
    assert isinstance(error, UserError)
    assert all(target in str(error) for target in TARGETS)


def test_a_problem_has_the_line_that_asked_for_it(file: Path) -> None:
    file.write_text(FILE.replace("size: 200Gi, storage_class: efs", "size: 200Gi, access: ReadWriteOnce"))
    error = run(str(file), "-t", "vllm", "-o", str(file.parent / "out")).exception
    assert isinstance(error, UserError)
    [problem] = error.problems
    line = next(number for number, text in enumerate(FILE.splitlines(), 1) if "cache:" in text)
    assert problem.where == f"fairlead.yaml:{line}"
    assert "[claim]" in problem.message
    assert not (file.parent / "out").exists()


def test_overlays_are_written_beside_their_base_and_checked(file: Path) -> None:
    out = file.parent / "out"
    file.write_text(FILE + "environments:\n  dev: {deploy: {max_gateways: 3}}\n")
    words = (str(file), "-t", "vllm", "-o", str(out), "--overlays", "dev,production")
    told = json.loads(run(*words, "--json").output)
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert written - {".fairlead-render.json"} == {change["path"] for change in told["changes"]}
    assert {path.split("/")[0] for path in written} >= {"base", "dev", "production"}
    assert told["schemas"].keys() == {"dev", "production"}
    assert run(*words, "--check").exit_code == 0
    file.write_text(file.read_text().replace("max_gateways: 3", "max_gateways: 5"))
    shown = run(*words, "--check", "--diff")
    assert shown.exit_code == 1
    assert "+++ dev/manifests/patches/" in shown.output
    assert "+++ base/" not in shown.output


WRONG_OVERLAYS = {
    "one alone": (("--overlays", "production"), "two environments at least"),
    "with -e": (("--overlays", "dev,production", "-e", "dev"), "both say which"),
    "one that is not there": (("--overlays", "prodction,dev"), "no environment 'prodction'"),
    "one called like the base": (("--overlays", "base,production"), "cannot be the folder"),
}


@pytest.mark.parametrize(("words", "message"), WRONG_OVERLAYS.values(), ids=WRONG_OVERLAYS)
def test_overlays_that_are_refused(file: Path, words: tuple[str, ...], message: str) -> None:
    file.write_text(FILE + "environments:\n  base: {deploy: {max_gateways: 3}}\n")
    error = run(str(file), "-t", "vllm", "-o", str(file.parent / "out"), *words).exception
    assert isinstance(error, UserError)
    assert message in str(error)
    assert not (file.parent / "out").exists()


def test_it_lists_its_targets() -> None:
    assert json.loads(run("--list", "--json").output) == {name: each.summary for name, each in TARGETS.items()}
    shown = run("--list").output
    assert all(name in shown for name in TARGETS)
