"""What is written as YAML is read back as it was, by readers of YAML 1.1 and 1.2."""

from __future__ import annotations

from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fairlead.render import yaml

LOOKS_LIKE_SOMETHING_ELSE = """
1e3 7e10 08 y n Y N yes No on OFF true FALSE null Null ~ 0x1F 0o17 1_000 12:30 190:20:30 2026-11-21 .5 .inf .NaN nan inf
- -- = << ! & * | > % @ ` ? : , [] {} # a: a:b: #x 'q' "q"
"""
TEXTS = [
    *LOOKS_LIKE_SOMETHING_ELSE.split(),
    "",
    " ",
    "a b",
    " a",
    "a ",
    "a\nb",
    "a\n",
    "a\n\n",
    "\na",
    " a\nb",
    "a \nb",
    "\t",
    "a\tb\nc",
    "é",
    "\x85",
    "\u2028",
    "😀",
]


def read_by_both(text: str) -> Any:
    one, two = pyyaml.safe_load(text), YAML(typ="safe", pure=True).load(text)
    assert one == two
    return one


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_a_text_stays_a_text(text: str) -> None:
    value = {"a": text, "b": [text, {"c": text}], text: 1}
    assert read_by_both(yaml.dump(value)) == value


def test_plain_words_stay_plain() -> None:
    written = {
        "image": "ghcr.io/acme/gateway:1.2.3",
        "kind": "Deployment",
        "empty": {},
        "none": [],
        "args": ["--port", 8000],
    }
    assert yaml.dump(written) == (
        'image: ghcr.io/acme/gateway:1.2.3\nkind: Deployment\nempty: {}\nnone: []\nargs:\n- "--port"\n- 8000\n'
    )


@pytest.mark.parametrize("value", [1, -1, 0.5, 1e-5, 1e20, True, False, None], ids=repr)
def test_a_number_stays_a_number(value: object) -> None:
    assert read_by_both(yaml.dump({"a": value})) == {"a": value}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        yaml.dump({"a": value})


@pytest.mark.parametrize("value", [{1: 2}, {"a": object()}, {"a": b"x"}])
def test_what_is_no_plain_value_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        yaml.dump(value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=6), PLAIN, max_size=5))
def test_any_plain_value_is_read_back(value: dict[str, Any]) -> None:
    assert read_by_both(yaml.dump_all([value])) == (value or {})
