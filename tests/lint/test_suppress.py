"""A comment takes a finding away only with a reason; what it does not need is told."""

from __future__ import annotations

import pytest

from fairlead.lint.front.read import read
from fairlead.lint.run import lint

CASES = {
    "same line": ("trust_remote_code: true  # fairlead: ignore D-41 because pinned\n", []),
    "line before": ("# fairlead: ignore D-41 because pinned\ntrust_remote_code: true\n", []),
    "no reason": ("trust_remote_code: true  # fairlead: ignore D-41\n", ["D-41", "L-03"]),
    "empty reason": ("trust_remote_code: true  # fairlead: ignore D-41 because\n", ["D-41", "L-03"]),
    "another rule": ("trust_remote_code: true  # fairlead: ignore D-40 because x\n", ["D-41", "L-04"]),
    "two lines below": ("# fairlead: ignore D-41 because x\n\ntrust_remote_code: true\n", ["L-04", "D-41"]),
    "two rules": ("# fairlead: ignore D-41, D-40 because x\ntrust_remote_code: true\n", ["L-04"]),
}


@pytest.mark.parametrize(("text", "rules"), CASES.values(), ids=CASES)
def test_comments(text: str, rules: list[str]) -> None:
    assert [each.rule for each in lint([read("a.yaml", text.encode())]).findings] == rules


def test_a_page_has_comments_too() -> None:
    page = (
        "<!-- fairlead: ignore D-29 because the old name is explained -->\nuse the ingress-nginx/ingress-nginx chart\n"
    )
    report = lint([read("a.md", page.encode())])
    assert report.findings == ()
    assert [each.rule for each in report.suppressed] == ["D-29"]
