"""How commands show things to people: plain tables that never cut an id, full width where nobody watches."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 240


def console(*, stderr: bool = False) -> Console:
    """A console; into a pipe it is wide enough for any table."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=PIPE_WIDTH)


def table(columns: Sequence[str], *, title: str | None = None, numbers: Sequence[str] = ()) -> Table:
    """A table with these columns; those in `numbers` stand to the right."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made
