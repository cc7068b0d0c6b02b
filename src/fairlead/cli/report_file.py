"""A report goes to one file; what it needs beyond the package is said before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead.cli.show import console
from fairlead.errors import UserError

if TYPE_CHECKING:
    from fairlead.plan.report.page import Section


def write_report(path: Path, title: str, about: str, sections: Iterable[Section]) -> None:
    """Write the page; `sections` are made on the way, so that nothing is drawn in vain. Raises UserError."""
    if find_spec("matplotlib") is None:
        raise UserError("a report with plots needs matplotlib", hint="pip install 'fairlead[report]'")
    from fairlead.plan.report.page import report

    with console(stderr=True).status("drawing the report"):
        text = report(title, about, sections)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    console(stderr=True).print(f"wrote {path}", markup=False)
