"""checkov over each example: what it finds and we do not mend stands in its configuration, with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .oracles import ROOT, judge, verdict
from .planned import NAMES, rendered, written

CONFIG = ROOT / "tools" / "oracles" / "checkov.yaml"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_checkov_finds_nothing_that_has_no_reason(name: str, tmp_path: Path) -> None:
    judge("checkov", written(rendered(name), tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_open_bucket_is_found(tmp_path: Path) -> None:
    written(rendered("production"), tmp_path)
    storage = tmp_path / "terraform" / "storage.tf"
    text = storage.read_text()
    storage.write_text(text.replace("block_public_acls       = true", "block_public_acls       = false"))
    assert "CKV_AWS_53" in verdict("checkov", tmp_path / "terraform").text


def test_every_check_that_is_left_out_has_its_reason() -> None:
    skipped = re.findall(r"^  - (CKV\w+)(.*)$", CONFIG.read_text(), re.MULTILINE)
    assert len(skipped) > 20
    assert [name for name, reason in skipped if not re.match(r" # \w+", reason)] == []
