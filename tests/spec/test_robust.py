"""Whatever is put wherever in a sound file, loading ends in a spec or in the user's problems, never in our own bug."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import UserError
from fairlead.spec import overlay, yaml
from fairlead.spec.load import read, resolve

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = [read(path).values for path in sorted(EXAMPLES.glob("*/fairlead.yaml"))]

words = st.sampled_from(
    ["", "*", "demo", "llama", "chat", "vllm", "remote", "1h", "1Gi", "production", "http://[", "\0"]
)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
anything = st.recursive(plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2))


def places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value below the top."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [place for key, value in items for place in ((*path, key), *places(value, (*path, key)))]


@given(st.data())
def test_a_file_with_anything_anywhere_loads_or_tells_why_not(data: st.DataObject) -> None:
    values = copy.deepcopy(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(places(values)))
        part: Any = values
        for step in parents:
            part = part[step]
        part[last] = data.draw(anything)
    for environment in (None, "production", *NAMES):
        assert told_or_loaded(json.dumps(values), environment)


NAMES = sorted({name for values in FILES for name in values.get(overlay.KEY, {})})


def told_or_loaded(text: str, environment: str | None) -> bool:
    try:
        return bool(resolve(yaml.parse(text, file="f"), environment).name)
    except UserError as refusal:
        return all(problem.message and problem.where.startswith("f") for problem in refusal.problems)
