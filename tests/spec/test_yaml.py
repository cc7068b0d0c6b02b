"""Reading YAML: plain values with positions, strict where YAML is lax, and no input that hangs or blows up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import UserError
from fairlead.spec.yaml import MAX_BYTES, Position, parse

VALUES = {
    "text": ("a: demo", "demo"),
    "a whole number": ("a: 8080", 8080),
    "hexadecimal": ("a: 0x10", 16),
    "octal": ("a: 0o17", 15),
    "a leading zero is decimal": ("a: 010", 10),
    "a number": ("a: 0.5", 0.5),
    "infinity": ("a: .inf", float("inf")),
    "true": ("a: true", True),
    "yes is text": ("a: yes", "yes"),
    "nothing": ("a:", None),
    "a date is text": ("a: 2026-01-31", "2026-01-31"),
    "quoted digits are text": ("a: '1'", "1"),
    "text of several lines": ("a: |\n  b\n  c\n", "b\nc\n"),
    "an alias": ("b: &x [1]\na: *x", [1]),
    "a merge": ("b: &x {p: 1, q: 2}\na: {<<: *x, q: 3}", {"q": 3, "p": 1}),
    "a merge of two, the first wins": ("b: [&x {p: 1}, &y {p: 2, q: 2}]\na: {<<: [*x, *y]}", {"p": 1, "q": 2}),
    "too many digits for a number": ("a: " + "9" * 5000, "9" * 5000),
}

REFUSED = {
    "an open bracket": ("a: [1", "f:1:6"),
    "a colon too many": ("a: b: c", "f:1:5"),
    "a tab": ("a:\n\tb: 1", "f:2:1"),
    "two documents": ("a: 1\n---\nb: 1", "f:2:1"),
    "an unknown alias": ("a: *x", "f:1:4"),
    "a key twice": ("a: 1\nb: 2\na: 3", "f:3:1"),
    "a key that is a number": ("1: a", "f:1:1"),
    "a key that is a list": ("? [a]\n: b", "f:1:3"),
    "a tag": ("a: !!python/name:os.system x", "f:1:4"),
    "a merge of text": ("a: {<<: b}", "f:1:5"),
    "a list at the top": ("- a", "f:1:1"),
    "nothing at all": ("# only a comment", "f:1:1"),
    "a control character": ("a: \x01", "f"),
    "an alias to what it stands in": ("a: &x [*x]", "f:1:4"),
    "a merge of what it stands in": ("a: &x {b: {<<: *x}}", "f:1:11"),
    "many levels": ("a: " + "[" * 50_000, "f"),
    "many levels of lines": ("- " * 30_000, "f"),
    "more levels than a spec has": ("a: " + "[" * 50 + "]" * 50, "f:1:24"),
    "a large file": ("a: " + "b" * MAX_BYTES, "f"),
}


@pytest.mark.parametrize(("text", "value"), VALUES.values(), ids=VALUES)
def test_a_value_is_what_yaml_1_2_says(text: str, value: object) -> None:
    assert parse(text, file="f").values["a"] == value


@pytest.mark.parametrize(("text", "where"), REFUSED.values(), ids=REFUSED)
def test_a_bad_form_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse(text, file="f")
    assert refusal.value.problems[0].where == where


def test_every_duplicate_key_is_told_at_once() -> None:
    with pytest.raises(UserError) as refusal:
        parse("a: {b: 1, b: 2}\nc: 1\nc: 2\n", file="f")
    assert [problem.where for problem in refusal.value.problems] == ["f:1:11", "f:3:1"]


def test_aliases_of_aliases_cannot_blow_it_up() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 15))
    with pytest.raises(UserError, match="aliases included"):
        parse(f"l0: &l0 [1]\n{levels}", file="f")


def test_merges_of_merges_cannot_blow_it_up() -> None:
    levels = "\n".join(f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, 15))
    with pytest.raises(UserError, match="aliases included"):
        parse(f"l0: &l0 {{a: 1}}\n{levels}", file="f")


def test_positions_are_those_of_keys_and_values() -> None:
    document = parse("models:\n  demo: {source: x}\n  list: [1,\n    2]\n", file="f")
    assert document.position(("models", "demo"), of_key=True) == Position(2, 3)
    assert document.position(("models", "demo", "source")) == Position(2, 18)
    assert document.position(("models", "list", 1)) == Position(4, 5)


def test_what_is_not_written_stands_where_its_nearest_parent_does() -> None:
    document = parse("models:\n  demo: {source: x}\n", file="f")
    assert document.position(("models", "demo", "replicas")) == Position(2, 3)
    assert document.position(("gateway", "port")) == Position(1, 1)


@given(st.text(alphabet=" \n:-[]{}&*!|>'\"#%@`,?ab1<~\t", max_size=60))
def test_any_text_is_values_or_a_user_error(text: str) -> None:
    try:
        document = parse(text, file="f")
    except UserError as refusal:
        assert all(problem.where.startswith("f") for problem in refusal.problems)  # noqa: PT017
    else:
        assert set(document.key_at) >= {(key,) for key in document.values}
