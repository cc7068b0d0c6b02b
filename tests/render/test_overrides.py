"""A merge patch is applied last, as RFC 7386 says it; what it makes is checked, and one for nothing is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.errors import UserError
from fairlead.render.checks.registry import problems
from fairlead.render.overrides import merged
from fairlead.render.targets import rendered

from .plans import SERVICE, built

# the cases of RFC 7386, appendix A
RFC = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC, ids=map(str, range(len(RFC))))
def test_merged(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


def with_override(patch: str, name: str = "chat-gateway") -> str:
    return f"{SERVICE}  overrides:\n    - {{kind: Service, name: {name}, patch: {patch}}}\n"


def test_an_override_is_in_the_object_and_noted_there() -> None:
    made = rendered(built(with_override("{metadata: {labels: {team: search}}}")))
    [service] = [each.object for each in made.manifests if each.title == "Service/chat-gateway"]
    assert service["metadata"]["labels"]["team"] == "search"
    assert service["metadata"]["labels"]["app.kubernetes.io/instance"] == "chat"
    assert service["metadata"]["annotations"]["fairlead.dev/overridden"] == "deploy.overrides[0]"


def test_what_an_override_makes_is_checked() -> None:
    build = built(with_override("{spec: {selector: {app: other}}}"))
    assert any("selects no pod" in problem.message for problem in problems(build, rendered(build)))


def test_an_override_for_nothing_is_refused_with_the_likely_one() -> None:
    with pytest.raises(UserError, match="did you mean Service/chat-gateway"):
        rendered(built(with_override("{}", name="chat-gatway")))
