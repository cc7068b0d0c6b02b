"""A rendered folder: what would change, writing it whole, and taking away what is no longer rendered.

Only what was written here is ever overwritten or removed: a record of it stands in the folder. A file that somebody
edited is neither, unless told so.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fairlead.errors import Problem, UserError

RECORD = ".fairlead-render.json"
State = Literal["new", "changed", "gone"]


@dataclass(frozen=True, slots=True)
class Change:
    """A file that differs. `edited`: somebody changed it since it was written, or it is not ours."""

    path: str
    state: State
    before: str
    after: str
    edited: bool

    def diff(self) -> str:
        """The change as `diff -u` shows it."""
        left, right = self.before.splitlines(keepends=True), self.after.splitlines(keepends=True)
        old = "/dev/null" if self.state == "new" else self.path
        new = "/dev/null" if self.state == "gone" else self.path
        return "".join(difflib.unified_diff(left, right, old, new))


def changes(folder: Path, texts: Mapping[str, str]) -> list[Change]:
    """What writing `texts` would change, by path."""
    record = recorded(folder)
    found = [*_written(folder, texts, record), *_gone(folder, texts, record)]
    return sorted(found, key=lambda change: change.path)


def write(folder: Path, texts: Mapping[str, str], *, force: bool) -> list[Change]:
    """Make the folder hold `texts`; what was rendered before and is no longer is removed.

    Raises UserError, with nothing written, where a file was edited by hand and `force` is not given.
    """
    found = changes(folder, texts)
    if not force:
        refuse_edited(folder, found)
    for change in found:
        path = folder / change.path
        if change.state == "gone":
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, folder)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(change.after, encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    record = {path: _digest(text) for path, text in texts.items()}
    (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return found


def refuse_edited(folder: Path, found: Iterable[Change]) -> None:
    """Raise UserError that names every file that somebody edited."""
    hint = "move the edit into deploy.overrides, or give --force to overwrite it"
    message = "was not written here, or was edited since"
    problems = [Problem(message, where=str(folder / each.path), hint=hint) for each in found if each.edited]
    if problems:
        raise UserError(problems=problems)


def recorded(folder: Path) -> dict[str, str]:
    """What was written here last, path to digest. Raises UserError for a record that cannot be read."""
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        record = None
    if not isinstance(record, dict) or not all(_is_below(name) for name in record):
        raise UserError("this is no record of a rendered folder", where=str(path), hint="remove it, and give --force")
    return record


def _written(folder: Path, texts: Mapping[str, str], record: Mapping[str, str]) -> Iterator[Change]:
    for path, text in texts.items():
        before = _text(folder / path)
        if before != text:
            edited = before is not None and _digest(before) != record.get(path)
            yield Change(path, "new" if before is None else "changed", before or "", text, edited)


def _gone(folder: Path, texts: Mapping[str, str], record: Mapping[str, str]) -> Iterator[Change]:
    for path in record.keys() - texts.keys():
        before = _text(folder / path)
        if before is not None:
            yield Change(path, "gone", before, "", _digest(before) != record[path])


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()


def _is_below(name: object) -> bool:
    return isinstance(name, str) and not name.startswith("/") and ".." not in name.split("/")


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
