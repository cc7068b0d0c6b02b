"""On manifests of others nearly every error is one: those of the vendors' 304 samples were looked at by hand."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fairlead.lint.run import Report, lint
from fairlead.ops.lint_files import files

ROWS = [
    [cell.strip() for cell in row.split("|")]
    for row in (Path(__file__).parent / "sample_errors.txt").read_text().splitlines()
    if not row.startswith("#")
]
VERDICTS = {(rule, place): verdict for verdict, rule, place, _ in ROWS}
LEAST_PRECISION = 0.95


@pytest.fixture(scope="module")
def report(samples: Path) -> Report:
    return lint(files([samples]))


def test_each_error_was_looked_at(report: Report, samples: Path) -> None:
    errors = [each for each in report.findings if each.severity == "error"]
    found = {(each.rule, f"{Path(each.file).relative_to(samples).as_posix()}:{each.line}") for each in errors}
    assert found == set(VERDICTS)


def test_precision() -> None:
    right = sum(verdict == "right" for verdict in VERDICTS.values())
    assert right / len(VERDICTS) >= LEAST_PRECISION


def test_time_grows_with_the_documents_not_with_their_square(samples: Path) -> None:
    """Three times the files take at most six times as long, in one interleaved run."""
    once = files([samples])
    many = [file for _ in range(3) for file in once]
    seconds = {1: 0.0, 3: 0.0}
    for _ in range(2):
        for factor, given in ((1, once), (3, many)):
            start = time.process_time()
            lint(given)
            seconds[factor] += time.process_time() - start
    assert seconds[3] < 6 * seconds[1]
