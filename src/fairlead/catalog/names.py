"""Names are found however people write them: case, spaces, `_` and a repository's owner do not matter."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from fairlead.errors import UserError

Row = TypeVar("Row")


def find(rows: Mapping[str, Row], name: str, *, kind: str) -> Row:
    """The row called `name`. Raises UserError, with the nearest names as the hint, where there is none."""
    if name in rows:
        return rows[name]
    by_plain = {plain(known): known for known in rows}
    if plain(name) in by_plain:
        return rows[by_plain[plain(name)]]
    near = difflib.get_close_matches(plain(name), by_plain, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(by_plain[each] for each in near)}?" if near else f"known: {', '.join(rows)}"
    raise UserError(f"the catalog has no {kind} called {name!r}", hint=hint)


def plain(name: str) -> str:
    """`meta-llama/Llama_3.1 8B` and `llama-3.1-8b` are the same."""
    return name.rsplit("/", 1)[-1].lower().replace("_", "-").replace(" ", "-")
