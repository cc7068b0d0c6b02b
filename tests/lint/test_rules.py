"""Every rule has words, evidence, a check, a bad case that it finds and a good case that it leaves alone."""

from __future__ import annotations

import pytest

from fairlead.lint.front.read import read
from fairlead.lint.rule import Rule, rules
from fairlead.lint.rules import CHECKS
from fairlead.lint.run import BEYOND_BOUNDS, IDLE, NO_REASON, TEMPLATE, UNREADABLE, lint

OWN = {UNREADABLE, BEYOND_BOUNDS, NO_REASON, IDLE, TEMPLATE}


def test_each_check_has_words_and_each_word_a_check() -> None:
    assert set(rules()) == set(CHECKS) | OWN


def test_all_defects_of_the_documents_have_a_rule() -> None:
    assert {f"D-{number:02}" for number in range(1, 50)} <= set(CHECKS)


@pytest.mark.parametrize("rule", rules().values(), ids=rules())
def test_the_words_say_something(rule: Rule) -> None:
    assert rule.severity in ("error", "warning", "info")
    for words in (rule.title, rule.why, rule.fix, rule.evidence):
        assert len(words) > 8, rule.id
    assert rule.bad.strip()
    assert rule.good.strip()
    assert rule.bad != rule.good


def found(rule: Rule, text: str) -> list[str]:
    only = {rule.id, "L-01", "D-41"} if rule.id.startswith("L-") else {rule.id, "L-01"}
    report = lint([read(rule.file, text.removeprefix("\n").encode())], only=only)
    return [finding.rule for finding in report.findings]


@pytest.mark.parametrize("rule", rules().values(), ids=rules())
def test_the_bad_case_is_found(rule: Rule) -> None:
    assert set(found(rule, rule.bad)) == {rule.id}


@pytest.mark.parametrize("rule", rules().values(), ids=rules())
def test_the_good_case_is_left_alone(rule: Rule) -> None:
    assert found(rule, rule.good) == []
