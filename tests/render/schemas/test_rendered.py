"""`fairlead render` and pulled definitions: what they refuse has its line, and what was not checked is said."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fairlead.cli.main import app
from fairlead.errors import UserError

from ..test_command import FILE
from .upstream import files

KINDS = {
    "velero.io/schedule.yaml",
    "cert-manager.io/certificate.yaml",
    "keda.sh/scaledobject.yaml",
    "external-secrets.io/externalsecret.yaml",
    "gateway.networking.k8s.io/httproute.yaml",
}
OVERRIDE = "  overrides: [{kind: Schedule, name: chat, patch: {spec: {%s}}}]\n"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to render, and a cache of its own with nothing in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "fairlead.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def pulled(file: Path) -> Path:
    """The cache, with the definitions of most of what is rendered; a Gateway's is not among them."""
    folder = file.parent / "crds"
    for name in KINDS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(files()[name])
    assert run("schemas", "pull", "--from-folder", str(folder)).exit_code == 0
    return file.parent / "cache" / "fairlead" / "schemas"


def rendering(file: Path, *options: str) -> Result:
    return run("render", str(file), "-t", "vllm", "-o", str(file.parent / "out"), *options)


def changed(file: Path, patch: str) -> None:
    """A file whose overrides change the Schedule after all that we know to be right."""
    file.write_text(FILE.replace("deploy:\n", f"deploy:\n{OVERRIDE % patch}"))


def test_without_pulled_schemas_it_says_so_and_goes_on(file: Path) -> None:
    changed(file, "sheduled: true")
    done = rendering(file)
    assert done.exit_code == 0
    assert "schemas: none pulled (fairlead schemas pull); " in done.output
    told = json.loads(rendering(file, "--json").output)["schemas"]
    assert (told["pulled"], told["checked"]) == (None, 0)
    assert told["custom"] > 5


@pytest.mark.usefixtures("pulled")
def test_with_them_it_says_what_it_checked_and_what_not(file: Path) -> None:
    done = rendering(file)
    assert done.exit_code == 0, done.output
    assert "CEL rules not checked: 0" in done.output
    assert "no definition of gateway.networking.k8s.io/v1 Gateway (1)" in done.output
    told = json.loads(rendering(file, "--json").output)["schemas"]
    assert told["checked"] == told["custom"] - sum(told["unknown"].values())
    assert told["rules_run"] > 20


WRONG = {
    "an unknown field": ([], "sheduled: true", "spec.sheduled: unknown field [schema]"),
    "a wrong type": (["--check"], "paused: 1", "spec.paused: 1 is no boolean [schema]"),
    "a missing field": (["--diff"], "template: null", "spec: 'template' is a required property [schema]"),
}


@pytest.mark.usefixtures("pulled")
@pytest.mark.parametrize(("options", "patch", "message"), WRONG.values(), ids=WRONG)
def test_what_they_refuse_has_the_line_that_asked_for_it(
    file: Path, options: list[str], patch: str, message: str
) -> None:
    changed(file, patch)
    error = rendering(file, *options).exception
    assert isinstance(error, UserError)
    assert error.exit_code == 2
    problem = next(each for each in error.problems if "[schema]" in each.message)
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "backup:" in text)
    assert problem.where == f"fairlead.yaml:{line}"
    assert problem.subject == "manifests/backup.yaml Schedule/chat"
    assert problem.message == message
    assert "velero.io/schedule.yaml" in problem.hint
    assert not (file.parent / "out").exists()


def test_what_was_changed_since_it_was_pulled_is_not_believed(file: Path, pulled: Path) -> None:
    kept = pulled / "velero.io" / "Schedule.json"
    kept.write_text(kept.read_text().replace("schedule", "sheduled"))
    error = rendering(file).exception
    assert isinstance(error, UserError)
    assert "is not what was pulled" in str(error)


@pytest.mark.usefixtures("pulled")
def test_without_the_libraries_nothing_passes_as_checked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    changed(file, "sheduled: true")
    told = json.loads(rendering(file, "--json").output)["schemas"]
    assert "pip install 'fairlead[schemas]'" in told["reason"]
    assert told["checked"] == 0


def test_the_bytes_do_not_depend_on_what_was_pulled(file: Path, pulled: Path) -> None:
    rendering(file)
    run("schemas", "forget")
    assert not pulled.exists()
    assert "none changed" in rendering(file, "--check").output
