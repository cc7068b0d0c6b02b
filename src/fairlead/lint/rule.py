"""A rule is words (what, why, fix, evidence, a bad and a good case: data) and a check (a function), under one id."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from fairlead.lint.finding import Hit, Severity

if TYPE_CHECKING:
    from fairlead.lint.folder import Folder

Check = Callable[["Folder"], Iterator[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is told of a rule. `bad` and `good` are the contents of a file called `file`."""

    id: str
    family: str
    title: str
    severity: Severity
    why: str
    fix: str
    evidence: str
    file: str
    bad: str
    good: str
    fixes_itself: bool = False


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order of the ids."""
    found: dict[str, Rule] = {}
    for entry in resources.files("fairlead.lint").joinpath("words").iterdir():
        if entry.name.endswith(".toml"):
            family = entry.name.removesuffix(".toml")
            found |= {rule: _rule(rule, family, words) for rule, words in tomllib.loads(entry.read_text()).items()}
    return dict(sorted(found.items()))


def _rule(rule: str, family: str, words: dict[str, Any]) -> Rule:
    plain = {name: value for name, value in words.items() if isinstance(value, str)}
    return Rule(id=rule, family=family, fixes_itself=bool(words.get("fixes_itself")), **plain)  # type: ignore[arg-type]


@cache
def known_names() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """What vLLM and Ray read: the tables of `data/known_names.toml`, lists as sets."""
    return {
        part: {name: frozenset(listed) for name, listed in table.items() if isinstance(listed, list)}
        for part, table in facts("known_names.toml").items()
    }


@cache
def facts(name: str) -> Mapping[str, Any]:
    """A file of facts from the linter's data folder."""
    text = resources.files("fairlead.lint").joinpath("data", name).read_text(encoding="utf-8")
    return tomllib.loads(text)
