"""Who picks an engine is told what a request's priority is: by the gateway, never by a caller, and nobody else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairlead.gateway.tables import headers
from render.planned import rendered

from .conftest import Build, House
from .harness import question
from .upstream import eventually

HEADER = "x-llm-d-inference-objective"
OLD_HEADER = "x-gateway-inference-objective"
NAMES = {"interactive": "m0-interactive", "batch": "m0-batch"}
Asked = dict[str, str]
CASES: dict[str, tuple[str, Asked, str]] = {
    "in a hurry unless it says otherwise": ("user", {}, "m0-interactive"),
    "a request that may wait": ("user", {"x-fairlead-priority": "batch"}, "m0-batch"),
    "a word that we do not know": ("user", {"x-fairlead-priority": "gold"}, "m0-interactive"),
    "a role whose requests wait": ("slow", {}, "m0-batch"),
    "a caller who would be first": ("slow", {HEADER: "m0-interactive", OLD_HEADER: "m0-interactive"}, "m0-batch"),
    "a caller who names another": ("user", {HEADER.upper(): "system", OLD_HEADER: "system"}, "m0-interactive"),
}


def pooled(*, fair: bool) -> Callable[[dict[str, Any]], None]:
    """m0 stands behind an inference pool; with `fair` the role `slow` waits."""

    def change(config: dict[str, Any]) -> None:
        config["models"]["m0"]["objectives"] = NAMES
        config["roles"]["slow"] = config["roles"]["user"]
        if fair:
            config["fairness"] = {"max_in_flight": 4, "batch_roles": ["slow"]}

    return change


def told(house: House, role: str, fields: Asked, **more: Any) -> dict[str, str]:
    """The header fields that the upstream got for a request."""
    key = house.gateway.new_key(role=role)
    assert eventually(lambda: house.gateway.chat(key=key).status_code == 200)  # the key is known
    for one in house.replicas:
        one.forget()
    with house.gateway.client(key) as client:
        assert client.post("/v1/chat/completions", json=question(**more), headers=fields).status_code == 200
    [seen] = house.seen
    got: dict[str, str] = seen.fields
    return got


def test_a_picker_is_told_the_objective(build: Build) -> None:
    house = build(change=pooled(fair=True))
    for case, (role, fields, objective) in CASES.items():
        got = told(house, role, fields)
        assert (got.get(HEADER), got.get(OLD_HEADER)) == (objective, None), case


def test_it_is_told_without_turns_too_and_of_streams(build: Build) -> None:
    house = build(change=pooled(fair=False))
    assert told(house, "user", {"x-fairlead-priority": "batch"})[HEADER] == "m0-batch"
    assert told(house, "user", {"x-fairlead-priority": "batch"}, stream=True)[HEADER] == "m0-batch"
    assert told(house, "user", {}, stream=True)[HEADER] == "m0-interactive"


def test_an_engine_is_told_nothing(house: House) -> None:
    """Whatever the caller says."""
    got = told(house, "user", {HEADER: "system", OLD_HEADER: "system", "x-fairlead-priority": "batch"})
    assert not [name for name in got if "objective" in name or "priority" in name]


def test_a_request_to_an_engine_is_made_of_the_same_bytes_as_ever() -> None:
    """So it costs what it cost: both kinds of request share one piece, made when the tables are."""
    hurried, patient = headers("secret", None)
    assert hurried is patient
    assert hurried == b"authorization: Bearer secret\r\n"


@pytest.mark.parametrize("name", ["", "a b", "m0\r\nx: y", "-m0", "M0", "m0\n"])
def test_an_objective_that_is_no_name_is_refused(name: str) -> None:
    import msgspec

    from fairlead.gateway.config import Objectives

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"interactive": name, "batch": "m0-batch"}, Objectives)


def test_what_llm_d_is_rendered_with_is_what_its_picker_is_told(build: Build) -> None:
    """The 70B example: the rendered gateway.json tells names, and each is that of a rendered objective of its pool."""
    made = rendered("large", "llm-d")
    [table] = made.build.gateway["models"].values()
    objectives = {
        each.object["metadata"]["name"]: each.object["spec"]
        for each in made.files.manifests
        if each.object["kind"] == "InferenceObjective"
    }

    def change(config: dict[str, Any]) -> None:
        config["models"]["m0"]["objectives"] = table["objectives"]

    house = build(change=change)
    told_names = [told(house, "user", fields)[HEADER] for fields in ({}, {"x-fairlead-priority": "batch"})]
    first, last = (objectives[name] for name in told_names)
    assert first["poolRef"] == last["poolRef"]
    assert first["priority"] > last["priority"]
