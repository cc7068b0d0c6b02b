"""Overlays and profiles: what differs is merged in, keeps its own line, and the profile follows the environment."""

from __future__ import annotations

import pytest

from fairlead.spec.diff import differences
from fairlead.spec.load import load
from fairlead.spec.types import OpenVinoModel

from .conftest import Tell, Write

BASE = """
models:
  demo: {source: ./model, operations: [chat, completions], max_queue: 7}
routes:
  fast: {model: demo}
access: {roles: {user: {models: ["*"]}}}
gateway: {port: 8000, timeout: 60s}
environments:
  production:
    models: {demo: {operations: [chat], max_queue: null}}
    routes: {fast: null, slow: {model: demo, timeout: 1h}}
    gateway: {host: 0.0.0.0}
  eu:
    environment: staging
    gateway: {timeout: 30s}
"""


def test_without_an_environment_no_overlay_counts(write: Write) -> None:
    spec = load(write(BASE))
    assert (spec.environment, spec.gateway.host, set(spec.routes)) == ("laptop", "127.0.0.1", {"fast"})


def test_mappings_merge_lists_replace_and_null_deletes(write: Write) -> None:
    spec = load(write(BASE), "production")
    demo = spec.models["demo"]
    assert isinstance(demo, OpenVinoModel)
    assert (demo.source, demo.operations, demo.max_queue) == ("./model", ("chat",), 64)
    assert set(spec.routes) == {"slow"}
    assert (spec.gateway.host, spec.gateway.port, spec.gateway.timeout) == ("0.0.0.0", 8000, 60.0)


def test_an_environment_of_the_three_sets_the_profile_without_any_overlay(write: Write) -> None:
    spec = load(write(BASE), "staging")
    assert spec.environment == "staging"
    assert spec.access.keys.max_age == 90 * 86_400


def test_an_overlay_of_another_name_may_choose_its_profile(write: Write) -> None:
    spec = load(write(BASE), "eu")
    assert (spec.environment, spec.gateway.timeout) == ("staging", 30.0)


PROFILES = {"laptop": (1, "365d", "10s"), "staging": (1, "90d", "30s"), "production": (2, "90d", "30s")}


@pytest.mark.parametrize("environment", PROFILES)
def test_a_profile_gives_defaults(write: Write, environment: str) -> None:
    spec = load(write(BASE.partition("environments:")[0]), environment).model_dump(mode="json")
    found = (
        spec["models"]["demo"]["replicas"],
        spec["access"]["keys"]["max_age"],
        spec["gateway"]["drain_timeout"],
    )
    assert found == PROFILES[environment]


def test_what_is_written_wins_over_a_profile(write: Write) -> None:
    text = BASE.replace("max_queue: 7", "max_queue: 7, replicas: 5").replace("port: 8000", "drain_timeout: 1s")
    spec = load(write(text), "production")
    assert isinstance(spec.models["demo"], OpenVinoModel)
    assert (spec.models["demo"].replicas, spec.gateway.drain_timeout) == (5, 1.0)


def test_a_laptop_without_roles_gets_one_for_everything(write: Write) -> None:
    roles = load(write("models: {demo: {source: demo:v1}}\n")).access.roles
    assert {name: role.models for name, role in roles.items()} == {"user": ("*",)}


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_elsewhere_roles_must_be_written(tell: Tell, environment: str) -> None:
    (problem,) = tell("models: {demo: {source: ./model}}\n", environment)
    assert problem.message == "'roles' is missing"


MISTAKES = {
    "a wrong value": ("gateway: {port: many}", "7:21", "gateway.port"),
    "an unknown key": ("gateway: {prot: 1}", "7:15", "gateway.prot"),
    "a wrong new part": ("routes: {new: {model: nobody}}", "7:27", "routes.new.model"),
    "a contradiction": ("gateway: {admin_port: 8080}", "7:27", "gateway.admin_port"),
    "a deletion of nothing": ("models: {dmeo: null}", "7:20", "environments.staging.models.dmeo"),
    "what is fixed": ("name: other", "7:5", "environments.staging.name"),
    "overlays in overlays": ("environments: {}", "7:5", "environments.staging.environments"),
    "a list": ("[]", "7:5", "environments.staging"),
}


@pytest.mark.parametrize(("overlay", "place", "subject"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_an_overlay_points_into_the_overlay(tell: Tell, overlay: str, place: str, subject: str) -> None:
    base = "models: {demo: {source: demo:v1}}\naccess: {roles: {user: {models: ['*']}}}\n"
    (problem,) = tell(f"{base}environments:\n  staging:\n    {overlay}\n", "staging")
    assert problem.where.endswith(f"fairlead.yaml:{place}")
    assert problem.subject == subject


def test_a_mistake_in_the_base_keeps_its_line_under_an_overlay(tell: Tell) -> None:
    text = (
        "models: {demo: {source: demo:v1, replicas: two}}\nenvironments: {laptop: {models: {demo: {max_queue: 1}}}}\n"
    )
    (problem,) = tell(text, "laptop")
    assert problem.where.endswith("fairlead.yaml:3:44")


def test_an_unknown_environment_names_the_nearest(tell: Tell) -> None:
    (problem,) = tell("models: {demo: {source: demo:v1}}\nenvironments: {europe: {}}\n", "euorpe")
    assert (problem.message, problem.hint) == ("there is no environment 'euorpe'", "did you mean europe?")


def test_differences_are_of_the_resolved_specs(write: Write) -> None:
    path = write(BASE)
    found = {item.path: (item.left, item.right) for item in differences(load(path), load(path, "production"))}
    assert found == {
        "environment": ("laptop", "production"),
        "models.demo.replicas": ("1", "2"),
        "models.demo.max_queue": ("7", "64"),
        "models.demo.operations": ('["chat", "completions"]', '["chat"]'),
        "routes.fast.model": ("demo", None),
        "routes.fast.timeout": ("null", None),
        "routes.slow.model": (None, "demo"),
        "routes.slow.timeout": (None, "1h"),
        "access.keys.max_age": ("365d", "90d"),
        "gateway.host": ("127.0.0.1", "0.0.0.0"),
        "gateway.drain_timeout": ("10s", "30s"),
    }


def test_a_spec_does_not_differ_from_itself(write: Write) -> None:
    path = write(BASE)
    assert differences(load(path, "laptop"), load(path)) == []
