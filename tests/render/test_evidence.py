"""EVIDENCE.md says of every file what stands behind it, and each claim names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairlead.render.evidence import EVIDENCE, FILE, NONE, behind
from fairlead.render.targets import TARGETS

from .planned import NAMES, rendered
from .test_overlays import made

ROOT = Path(__file__).parents[2]
ASSERTED = r"(monitoring|charts)/.*values\.yaml|triton/.*"  # files for charts and servers that no judge here knows


def paths() -> set[str]:
    found = {path for name in NAMES for target in TARGETS for path in rendered(name, target).texts}
    overlay = made().texts["dev/EVIDENCE.md"]
    return found | set(re.findall(r"^\| (\S+/\S+) \|", overlay, re.MULTILINE))


def test_every_claim_names_a_test_that_is_there() -> None:
    assert [each.test for each in EVIDENCE if not (ROOT / each.test).is_file()] == []


def test_every_claim_is_about_a_file_that_is_rendered() -> None:
    found = paths()
    assert [each.paths for each in EVIDENCE if not any(re.fullmatch(each.paths, path) for path in found)] == []


def test_what_nothing_stands_behind_is_known() -> None:
    without = {path for path in paths() - {FILE} if list(behind(path)) == [NONE]}
    assert {path for path in without if not re.fullmatch(ASSERTED, path)} == set()


@pytest.mark.parametrize("target", TARGETS)
def test_the_table_has_a_line_for_every_file(target: str) -> None:
    texts = rendered("production", target).texts
    files, _, claims = texts[FILE].partition("| evidence | how |")
    listed = dict(
        re.findall(r"^\| (\S+) \| ((?:executed|simulated|schema-checked|asserted): .*) \|$", files, re.MULTILINE)
    )
    assert listed.keys() == texts.keys() - {FILE}
    assert all(f"\n| {each} |" in claims for kinds in listed.values() for each in kinds.split(", "))


def test_no_file_is_called_executed_that_no_program_ran() -> None:
    """What only a model of ours or a schema looked at: pages, Terraform, pipelines, charts, scripts."""
    never = r"[A-Z]+\.md|(terraform|chart|argocd|delivery|charts|triton)/.*"
    found = {path for path in paths() for each in behind(path) if each.kind == "executed"}
    assert {path for path in found if re.fullmatch(never, path)} == set()
