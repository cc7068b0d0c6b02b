"""`fairlead access explain` says what the gateway does, and names the line of the file that it follows from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from fairlead.spec.explain import decide
from fairlead.spec.load import load
from gateway.upstream import eventually, upstream

from .issuer import AUDIENCE, ISSUER, Issuer, issuing, token
from .service import Service, ports, up, written

FILE = """
models:
  near: {{engine: remote, urls: ["{url}"], operations: [chat, embeddings]}}
  far: {{engine: remote, urls: ["{url}"], operations: [chat, completions, responses]}}
routes:
  quick: {{model: near, timeout: 5s}}
access:
  jwt: {{issuer: "{issuer}", audience: {audience}, jwks_url: "{jwks}", role_claim: groups}}
  roles:
    basic: {{models: [quick], operations: [chat]}}
    wide: {{models: ["*"], operations: [chat, embeddings, completions, "admin:usage"]}}
    root: {{models: [far], operations: [responses, "admin:*"]}}
gateway: {{{ports}}}
"""
PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "responses": "/v1/responses",
}
ADMIN = ("admin:keys", "admin:status", "admin:usage")


class House:
    """A running service, its issuer and a key for each role."""

    def __init__(self, service: Service, url: str) -> None:
        self.service = service
        self.url = url
        self.keys = {role: self.key(role) for role in ("basic", "wide", "root")}

    def key(self, role: str) -> str:
        made: dict[str, Any] = self.service.json("keys", "create", "--tenant", "acme", "--role", role)
        return str(made["key"])

    def status(self, key: str, operation: str, model: str) -> int:
        with httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=20.0, verify=False
        ) as client:
            if operation in ADMIN:
                return client.get(f"/admin/{operation.removeprefix('admin:')}").status_code
            return client.post(PATHS[operation], json={"model": model, "messages": []}).status_code

    def explained(self, *words: str, model: str = "near") -> dict[str, Any]:
        done = self.service.run("access", "explain", "--model", model, "--json", *words)
        told: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if told["allowed"] else 1)
        return told


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Issuer]]:
    with ExitStack() as stack:
        engine, issuer = stack.enter_context(upstream()), stack.enter_context(issuing())
        text = FILE.format(url=engine.url, issuer=ISSUER, audience=AUDIENCE, jwks=issuer.url, ports=ports())
        service = written(tmp_path_factory.mktemp("explain"), text)
        told = stack.enter_context(up(service))
        yield House(service, told["url"]), issuer


def test_the_gateway_does_what_is_explained(house: tuple[House, Issuer]) -> None:
    running, _ = house
    spec = load(running.service.file)
    differences = []
    for role, key in running.keys.items():
        assert eventually(lambda key=key: running.status(key, "chat", "near") != 401)  # type: ignore[misc]
        for operation in (*PATHS, *ADMIN):
            for model in ("near", "far", "quick", "no-such-model"):
                done, said = running.status(key, operation, model), decide(spec, role, operation, model).status
                if done != said:
                    differences.append((role, operation, model, done, said))
    assert differences == []


def test_the_rule_is_named_with_its_line(house: tuple[House, Issuer]) -> None:
    running, _ = house
    cases = {
        ("basic", "chat", "quick"): (200, "access.roles.basic.models[0]", "quick]"),
        ("basic", "chat", "near"): (403, "access.roles.basic.models", "[quick]"),
        ("basic", "embeddings", "quick"): (403, "access.roles.basic.operations", "[chat]}"),
        ("wide", "completions", "far"): (200, "access.roles.wide.models[0]", '"*"]'),
        ("wide", "completions", "near"): (400, "models.near.operations", "[chat, embeddings]"),
        ("wide", "admin:usage", ""): (200, "access.roles.wide.operations[3]", '"admin:usage"'),
        ("root", "admin:usage", ""): (200, "access.roles.root.operations[1]", '"admin:*"'),
        ("wide", "admin:keys", ""): (403, "access.roles.wide.operations", "[chat, embeddings, completions"),
        ("wide", "chat", "other"): (404, "models", "near:"),
        ("other", "chat", "near"): (403, "access.roles", "basic:"),
    }
    lines = running.service.file.read_text().splitlines()
    for (role, operation, model), (status, rule, text) in cases.items():
        told = running.explained("--role", role, "--operation", operation, model=model)
        assert (told["status"], told["rule"]) == (status, rule), told
        file, line, column = told["where"].split(":")
        assert file == "fairlead.yaml"
        assert lines[int(line) - 1][int(column) - 1 :].startswith(text), told


def test_a_key_is_explained_by_its_secret_or_its_id(house: tuple[House, Issuer]) -> None:
    running, _ = house
    key = running.key("basic")
    key_id = key.split("-")[2]
    for given in (key, key_id):
        told = running.explained("--key", given, model="quick")
        assert (told["allowed"], told["key"], told["tenant"], told["role"]) == (True, key_id, "acme", "basic")
        assert key not in str(told)
    wrong = running.explained("--key", key[:-1] + ("A" if key[-1] != "A" else "B"))
    assert (wrong["status"], wrong["rule"]) == (401, "access.keys")
    assert running.explained("--key", "0" * 12)["reason"] == "there is no such key"
    running.service.json("keys", "revoke", key_id)
    assert running.explained("--key", key)["reason"] == "the key is revoked"
    by_words = running.service.run("access", "explain", "--key", running.keys["wide"], "--model", "near")
    assert by_words.stdout.startswith("allowed: 'wide' may use chat on near")
    assert "fairlead.yaml:12:" in by_words.stdout


TOKENS: dict[str, tuple[dict[str, Any], int, str]] = {
    "good": ({"role": None, "groups": ["staff", "basic", "wide"]}, 200, "access.roles.basic.models[0]"),
    "no role of ours": ({"groups": ["staff"]}, 403, "access.jwt.role_claim"),
    "another audience": ({"aud": "other", "groups": "basic"}, 401, "access.jwt.audience"),
    "another issuer": ({"iss": "other", "groups": "basic"}, 401, "access.jwt.issuer"),
    "expired": ({"exp": 1, "groups": "basic"}, 401, "access.jwt.leeway"),
    "unknown key": ({"head": {"kid": "other"}, "groups": "basic"}, 401, "access.jwt.jwks_url"),
    "no tenant": ({"tenant": None, "groups": "basic"}, 401, "access.jwt.tenant_claim"),
    "another algorithm": ({"head": {"alg": "PS256"}, "groups": "basic"}, 401, "access.jwt.algorithms"),
}


@pytest.mark.parametrize(("said", "status", "rule"), TOKENS.values(), ids=TOKENS)
def test_a_token_is_judged_as_the_gateway_does(
    house: tuple[House, Issuer], said: dict[str, Any], status: int, rule: str
) -> None:
    running, _ = house
    made = token(**said)
    told = running.explained("--token", made, model="quick")
    assert (told["status"], told["rule"]) == (status, rule)
    assert running.status(made, "chat", "quick") == status
    assert made.split(".")[1] not in json.dumps(told)


def test_what_cannot_be_asked_is_told(tmp_path: Path) -> None:
    service = written(tmp_path, "models: {demo: {source: demo:v1}}\n")
    for words, message in (
        (("--role", "user"), "chat is asked of a model"),
        (("--model", "demo"), "whose access?"),
        (("--role", "user", "--token", "x", "--model", "demo"), "whose access?"),
        (("--role", "user", "--model", "demo", "--operation", "chats"), "--operation chats is unknown"),
        (("--key", "0" * 12, "--model", "demo"), "nothing has run here yet"),
    ):
        done = service.run("access", "explain", *words)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    denied = service.run("access", "explain", "--token", "x.y.z", "--model", "demo")
    assert (denied.returncode, "no tokens are taken" in denied.stdout) == (1, True)
