"""The 49 defects of the source documents are found at the lines where a reader finds them; good objects are clean."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.lint.rule import rules
from fairlead.lint.run import Report, lint
from fairlead.ops.lint_files import files
from fairlead.render.targets import TARGETS
from lint.places import beside

EXAMPLES = Path(__file__).parents[2] / "examples"
TABLE = (Path(__file__).parent / "seed_defects.txt").read_text()
EXPECTED = {
    (rule, int(document), int(line))
    for rule, document, *lines in (row.split() for row in TABLE.splitlines() if not row.startswith("#"))
    for line in lines
}


@pytest.fixture(scope="module")
def report() -> Report:
    return lint(files([beside("seeds")]))


def found(report: Report) -> set[tuple[str, int, int]]:
    """(rule, number of the document, line) of each finding."""
    return {(each.rule, int(Path(each.file).name[:3]), each.line) for each in report.findings}


def test_the_table_names_all_49() -> None:
    assert {rule for rule, *_ in EXPECTED} == {f"D-{number:02}" for number in range(1, 50)}


def test_each_defect_stands_at_its_line(report: Report) -> None:
    assert EXPECTED - found(report) == set()


def test_no_defect_is_seen_where_a_reader_sees_none(report: Report) -> None:
    assert {each for each in found(report) if each[0].startswith("D-")} - EXPECTED == set()


def test_nothing_in_the_documents_fails_to_parse(report: Report) -> None:
    assert [each for each in report.findings if each.rule.startswith("L-")] == []


def test_only_rules_that_say_so_mend(report: Report) -> None:
    mended = {each.rule for each in report.findings if each.edit is not None}
    assert mended
    assert {rule for rule in mended if not rules()[rule].fixes_itself} == set()


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_what_we_render_has_no_error(target: str, tmp_path: Path) -> None:
    words = ["render", str(EXAMPLES / "production" / "fairlead.yaml"), "-t", target, "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = lint(files([tmp_path]))
    assert told.documents > 20
    assert [each for each in told.findings if each.severity != "info"] == []


def test_our_examples_have_no_error() -> None:
    """All but `legacy`, which is there to be wrong: `test_legacy.py` holds what is said of it."""
    ours = [folder for folder in sorted(EXAMPLES.iterdir()) if folder.name != "legacy"]
    told = lint(files(ours))
    assert told.documents > 100
    assert [each for each in told.findings if each.severity == "error"] == []


def test_the_good_objects_have_no_error() -> None:
    told = lint(files([beside("data", "k8s-examples")]))
    assert [each for each in told.findings if each.severity == "error"] == []
