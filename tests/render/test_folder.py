"""A rendered folder is written whole, keeps what is not ours, and never overwrites what somebody edited."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import UserError
from fairlead.ops.folder import RECORD, changes, write

TEXTS = {"a.yaml": "a: 1\n", "deep/down/b.yaml": "b: 1\n"}


def held(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != RECORD
    }


def test_it_holds_what_was_written_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    assert [change.state for change in write(tmp_path, TEXTS, force=False)] == ["new", "new"]
    assert held(tmp_path) == TEXTS
    assert write(tmp_path, TEXTS, force=False) == []


def test_what_is_gone_is_pruned_with_its_folder_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, TEXTS, force=False)
    (tmp_path / "mine.txt").write_text("mine")
    [change] = write(tmp_path, {"a.yaml": "a: 1\n"}, force=False)
    assert (change.path, change.state) == ("deep/down/b.yaml", "gone")
    assert held(tmp_path) == {"a.yaml": "a: 1\n", "mine.txt": "mine"}
    assert not (tmp_path / "deep").exists()


def test_an_edited_file_is_kept_unless_forced(tmp_path: Path) -> None:
    write(tmp_path, TEXTS, force=False)
    (tmp_path / "a.yaml").write_text("a: edited\n")
    with pytest.raises(UserError, match="edited") as caught:
        write(tmp_path, {"a.yaml": "a: 2\n", "c.yaml": "c: 1\n"}, force=False)
    assert "deploy.overrides" in str(caught.value)
    assert held(tmp_path) == {**TEXTS, "a.yaml": "a: edited\n"}
    write(tmp_path, {"a.yaml": "a: 2\n"}, force=True)
    assert held(tmp_path) == {"a.yaml": "a: 2\n"}


def test_a_file_of_somebody_else_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("theirs\n")
    with pytest.raises(UserError, match="was not written here"):
        write(tmp_path, TEXTS, force=False)


def test_a_diff_shows_each_change(tmp_path: Path) -> None:
    write(tmp_path, TEXTS, force=False)
    found = changes(tmp_path, {"a.yaml": "a: 2\n", "new.yaml": "n: 1\n"})
    shown = "".join(change.diff() for change in found)
    assert "--- a.yaml\n+++ a.yaml\n@@ -1 +1 @@\n-a: 1\n+a: 2\n" in shown
    assert "--- deep/down/b.yaml\n+++ /dev/null\n" in shown
    assert "--- /dev/null\n+++ new.yaml\n" in shown


@pytest.mark.parametrize("record", ["[]", '{"../up": "x"}', '{"/etc/hosts": "x"}', "{"])
def test_a_record_that_leads_elsewhere_is_refused(tmp_path: Path, record: str) -> None:
    (tmp_path / RECORD).write_text(record)
    with pytest.raises(UserError, match="no record"):
        changes(tmp_path, {})
