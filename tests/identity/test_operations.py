"""Roles x operations: what is asked of a model, and what is asked of the gateway itself. Denied by default."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from fairlead.gateway import config as gateway_config
from fairlead.render.gateway import operations
from fairlead.spec import types
from fairlead.spec.types import Role
from gateway.conftest import Build, House
from gateway.upstream import eventually

from .service import written

ADMIN = ("keys", "status", "usage")
ROLES: dict[str, list[str]] = {
    "accountant": ["admin:usage"],
    "keeper": ["admin:keys", "chat"],
    "watcher": ["admin:status"],
    "root": ["chat", "admin:keys", "admin:status", "admin:usage"],
}


def test_compiler_and_gateway_know_the_same_admin_operations() -> None:
    assert types.ADMIN_OPERATIONS == gateway_config.ADMIN_OPERATIONS == tuple(f"admin:{name}" for name in ADMIN)


@pytest.fixture
def house(build: Build) -> House:
    def roles(config: dict[str, Any]) -> None:
        config["roles"] |= {name: {"models": ["m0"], "operations": found} for name, found in ROLES.items()}

    return build(change=roles)


def asked(house: House, key: str, page: str) -> tuple[int, Any]:
    with house.gateway.client(key) as client:
        answer = client.get(f"/admin/{page}")
    return answer.status_code, answer.json()


def taken_up(house: House, key: str) -> str:
    def known() -> bool:
        with house.gateway.client(key) as client:
            return client.get("/v1/models").status_code == 200

    assert eventually(known)
    return key


def test_each_role_may_do_what_it_names_and_nothing_else(house: House) -> None:
    for role, named in {**ROLES, "user": [], "nobody": [], "a role of no file": []}.items():
        key = taken_up(house, house.gateway.new_key(role=role))
        may = {page for page in ADMIN if f"admin:{page}" in named}
        told = {page: asked(house, key, page) for page in ADMIN}
        assert {page for page in ADMIN if told[page][0] == 200} == may, role
        assert {told[page][1]["error"]["code"] for page in set(ADMIN) - may} <= {"permission_denied"}
        assert {told[page][0] for page in set(ADMIN) - may} <= {403}
        assert house.gateway.chat(key=key).status_code == (200 if "chat" in named or role == "user" else 403)


def test_without_a_key_or_by_another_method_there_is_nothing(house: House) -> None:
    key = taken_up(house, house.gateway.new_key(role="root"))
    for page in ADMIN:
        assert asked(house, "sk-fl-000000000000-AAAA", page)[0] == 401
        with house.gateway.client(key) as client:
            assert client.post(f"/admin/{page}", json={}).status_code == 405
            assert client.get(f"/admin/{page}/x").status_code == 404
            assert client.get(f"/admin/{page}?a=1").status_code == 200


def test_a_tenant_sees_its_own_usage_and_no_other(house: House) -> None:
    keys = {name: house.gateway.new_key(tenant=name, role="root") for name in ("acme", "other")}
    for tenant, count in (("acme", 3), ("other", 1)):
        taken_up(house, keys[tenant])
        for _ in range(count):
            assert house.gateway.chat(key=keys[tenant], max_tokens=5).status_code == 200

    def requests(tenant: str) -> int:
        status, page = asked(house, keys[tenant], "usage")
        assert (status, page["tenant"], page["days"]) == (200, tenant, 31)
        assert {line["tenant"] for line in page["usage"]} <= {tenant}
        return sum(line["requests"] for line in page["usage"])

    assert eventually(lambda: requests("acme") == 3)
    assert eventually(lambda: requests("other") == 1)
    (line,) = asked(house, keys["acme"], "usage")[1]["usage"]
    assert (line["model"], line["operation"], line["completion_tokens"]) == ("m0", "chat", 15)


def test_a_tenant_sees_its_own_keys_and_never_a_secret(house: House) -> None:
    acme = house.gateway.new_key(tenant="acme", role="root")
    house.gateway.new_key(tenant="other")
    taken_up(house, acme)
    status, page = asked(house, acme, "keys")
    assert (status, page["tenant"]) == (200, "acme")
    assert page["keys"] == [{"id": acme.split("-")[2], "role": "root", "expires_at": None}]


def test_the_status_is_that_of_the_admin_listener(house: House) -> None:
    watcher = taken_up(house, house.gateway.new_key(role="watcher"))
    status, page = asked(house, watcher, "status")
    assert status == 200
    assert page["models"]["m0"] == house.gateway.admin("/status").json()["models"]["m0"]


def test_many_may_ask_at_once_and_leave_at_any_time(house: House) -> None:
    key = taken_up(house, house.gateway.new_key(role="root"))
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", house.gateway.port)) as wire:
            wire.sendall(f"GET /admin/usage HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n".encode())
    with house.gateway.client(key) as client:
        assert [client.get("/admin/usage").status_code for _ in range(5)] == [200] * 5
    assert eventually(lambda: house.gateway.admin("/status").json()["connections"] == 0)


MODELS = "models: {demo: {source: demo:v1}}\n"
MISTAKES = {
    "batch without batches": ("batch", "there is no Batch API that it would allow"),
    "an admin operation that there is not": ("'admin:everything'", "must be"),
    "a capital": ("Chat", "must be"),
    "an operation of no model": ("embeddings", "none of its models offers embeddings"),
}


@pytest.mark.parametrize(("operation", "message"), MISTAKES.values(), ids=MISTAKES)
def test_what_a_role_may_not_name(tmp_path: Path, operation: str, message: str) -> None:
    access = f'access: {{roles: {{r: {{models: ["*"], operations: [chat, {operation}]}}}}}}\n'
    done = written(tmp_path, MODELS + access).run("check", "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["subject"] == "access.roles.r.operations[1]"
    assert message in problem["message"]
    assert problem["where"].startswith("fairlead.yaml:4:")
    assert problem["hint"]


def test_a_role_for_the_gateway_alone_makes_no_model_usable(tmp_path: Path) -> None:
    access = 'access: {roles: {auditor: {models: ["*"], operations: ["admin:*"]}}}\n'
    (problem,) = json.loads(written(tmp_path, MODELS + access).run("check", "--json").stdout)["problems"]
    assert (problem["subject"], problem["message"]) == ("models.demo", "no role may use it")


def test_everything_of_admin_is_written_out() -> None:
    assert operations(Role(models=("*",), operations=("admin:*",))) == list(types.ADMIN_OPERATIONS)
    mixed = Role(models=("*",), operations=("admin:usage", "chat", "admin:*"))
    assert operations(mixed) == ["admin:usage", "chat", "admin:keys", "admin:status"]
