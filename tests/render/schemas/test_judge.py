"""What an API server refuses a custom object for, one sentence each; the definition is small, the rules are all."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fairlead.schemas.crd import crds
from fairlead.schemas.judge import Judge, Verdict
from fairlead.schemas.kinds import is_custom
from fairlead.spec.problems import dotted

TEXT = {"type": "string"}
SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9, "exclusiveMaximum": True},
        "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "share": {"type": "number"},
        "mode": {"type": "string", "enum": ["fast", "safe"], "default": "safe"},
        "note": {"type": "string", "nullable": True},
        "day": {"type": "string", "pattern": "^((?i)sun|mon)day$"},
        "since": {"type": "string", "format": "date-time"},
        "far": {"type": "string", "$ref": "http://127.0.0.1:9/no-such-schema"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": TEXT}},
        "labels": {"type": "object", "additionalProperties": TEXT},
        "tags": {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
        "ports": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": TEXT, "namespace": TEXT}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "inner": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}},
        "left": {"type": "string", "x-kubernetes-validations": [{"rule": "quantity(self) == quantity('1')"}]},
    },
    "x-kubernetes-validations": [
        {"rule": "self.mode != 'fast' || self.size < 5", "message": "fast is small"},
        {"rule": "!has(self.share) || self.share + 0.5 <= 2.5", "message": "too much", "fieldPath": ".share"},
        {"rule": "!has(self.ports) || self.ports.all(p, !has(p.__namespace__))", "message": "no namespaces"},
        {"rule": "self.size >= oldSelf.size", "message": "it never shrinks"},
    ],
}  # fmt: skip
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "description": "a thing", "properties": {"spec": SPEC}}
                },
            },
            {"name": "v1beta1", "served": False, "schema": {"openAPIV3Schema": {}}},
        ],
    },
}
GOOD: dict[str, Any] = {
    "apiVersion": "example.com/v1",
    "kind": "Thing",
    "metadata": {"name": "one", "labels": {"app": "a"}},
    "spec": {"size": 3},
}
[DEFINITION] = crds(CRD)
JUDGE = Judge(lambda group, kind: DEFINITION if (group, kind) == ("example.com", "Thing") else None)


def verdict(**changes: Any) -> Verdict:
    """The good object with some fields of its specification changed."""
    made = copy.deepcopy(GOOD)
    made["spec"].update(changes)
    found = JUDGE.verdict(made)
    assert found is not None
    return found


FINE: dict[str, dict[str, Any]] = {
    "the least": {},
    "a number without a fraction is an integer": {"size": 3.0},
    "a port by its number": {"port": 80},
    "a port by its name": {"port": "http"},
    "a null that may be one": {"note": None},
    "a null that may not be one is as if not written": {"mode": None},
    "a pattern of RE2 with a flag in it": {"day": "MONday"},
    "a reference, which is not followed": {"far": "x"},
    "a date": {"since": "2026-11-21T20:00:00Z"},
    "unknown fields where they are kept": {"free": {"b": 1, "a": "x"}},
    "any name where all are alike": {"labels": {"a.b/c": "x"}},
    "an integer where a number is wanted, also to a rule": {"share": 2},
    "a resource in a resource": {"inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {}}, "spec": {}}},
}  # fmt: skip
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a field that is not there": ({"sise": 3}, "spec.sise: unknown field; did you mean size?"),
    "a required field left out": ({"size": None}, "spec: 'size' is a required property"),
    "a text for a number": ({"size": "3"}, "spec.size: '3' is no integer"),
    "a truth for a number": ({"size": True}, "spec.size: True is no integer"),
    "below the least": ({"size": 0}, "spec.size: 0 is less than the minimum of 1"),
    "at a bound that is left out": ({"size": 9}, "spec.size: 9 is greater than or equal to the maximum of 9"),
    "more than 32 bits": ({"size": -(2**40)}, "spec.size: -1099511627776 is not a 'int32'"),
    "a list for a port": ({"port": [80]}, "spec.port: [80] is neither an integer nor a string"),
    "a word that is none of them": ({"mode": "slow"}, "spec.mode: 'slow' is not one of ['fast', 'safe']"),
    "a newline after the end of a pattern": ({"day": "monday\n"}, "spec.day: 'monday\\n' does not match"),
    "no date": ({"since": "yesterday"}, "spec.since: 'yesterday' is not a 'date-time'"),
    "a wrong type below what is kept": ({"free": {"a": 1}}, "spec.free.a: 1 is no string"),
    "a number in a map of texts": ({"labels": {"a": 1}}, "spec.labels.a: 1 is no string"),
    "twice in a set": ({"tags": ["a", "b", "a"]}, 'spec.tags[2]: "a" is there twice'),
    "twice by its key": ({"ports": [{"name": "a"}, {"name": "a"}]}, 'spec.ports[1]: {"name": "a"} is there twice'),
    "a null in a list": ({"tags": [None]}, "spec.tags[0]: None is no string"),
    "a resource without its kind": ({"inner": {"apiVersion": "v1", }}, "spec.inner: 'kind' is a required"),
    "a rule, with a default in it": ({"size": 8, "mode": "fast"}, "spec: fast is small"),
    "a rule that names its field": ({"share": 2.25}, "spec.share: too much"),
    "a rule over a name that CEL keeps": ({"ports": [{"name": "a", "namespace": "b"}]}, "spec: no namespaces"),
}  # fmt: skip


@pytest.mark.parametrize("changes", FINE.values(), ids=FINE)
def test_it_is_taken(changes: dict[str, Any]) -> None:
    assert verdict(**changes).findings == ()


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_it_is_refused(changes: dict[str, Any], message: str) -> None:
    told = [
        f"{dotted(each.path)}: {each.message}{f'; {each.hint}' if each.hint else ''}"
        for each in verdict(**changes).findings
    ]
    assert any(each.startswith(message) for each in told), told


METADATA: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({}, "metadata.name"),
    "a name with a capital": ({"name": "One"}, "metadata.name"),
    "a number for a name": ({"name": 1}, "metadata.name"),
    "a label that is too long": ({"name": "a", "labels": {"a": "x" * 64}}, "metadata.labels.a"),
    "a label's name with a space": ({"name": "a", "labels": {"a b": "x"}}, "metadata.labels.a b"),
    "a note that is a number": ({"name": "a", "annotations": {"a": 1}}, "metadata.annotations.a"),
    "a namespace with a dot": ({"name": "a", "namespace": "a.b"}, "metadata.namespace"),
    "a field that metadata lacks": ({"name": "a", "label": {}}, "metadata.label"),
}


@pytest.mark.parametrize(("metadata", "path"), METADATA.values(), ids=METADATA)
def test_metadata_is_refused(metadata: dict[str, Any], path: str) -> None:
    found = JUDGE.verdict({**GOOD, "metadata": metadata})
    assert found is not None
    assert [dotted(each.path) for each in found.findings] == [path]


def test_a_version_that_is_not_served_is_refused() -> None:
    found = JUDGE.verdict({**GOOD, "apiVersion": "example.com/v1beta1"})
    assert found is not None
    assert [(each.message, each.hint) for each in found.findings] == [("v1beta1 of Thing is not served", "served: v1")]


def test_what_no_definition_knows_gets_no_verdict() -> None:
    assert JUDGE.verdict({**GOOD, "kind": "Other"}) is None


def test_rules_that_cannot_be_run_are_counted_and_not_judged() -> None:
    assert (verdict().rules_run, verdict().rules_left) == (3, 0)
    assert (verdict(left="2").rules_run, verdict(left="2").rules_left) == (3, 1)
    assert (verdict(size="3").rules_run, verdict(size="3").rules_left) == (0, 0)


def test_a_judge_does_not_change_what_it_looks_at() -> None:
    before = copy.deepcopy(GOOD)
    JUDGE.verdict(GOOD)
    assert before == GOOD


def test_custom_is_what_kubernetes_does_not_serve_itself() -> None:
    own = ("v1", "apps/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1")
    others = ("ray.io/v1", "gateway.networking.k8s.io/v1", "leaderworkerset.x-k8s.io/v1")
    assert [is_custom({"apiVersion": each}) for each in own + others] == [False] * len(own) + [True] * len(others)
