"""What `access.jwt` may say, and in which words it refuses the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairlead.render.gateway import jwt
from fairlead.spec.load import load

from .service import written

FILE = """
models: {{demo: {{source: demo:v1}}}}
access:
  jwt: {{{jwt}}}
"""
GOOD = {"issuer": "https://issuer.test", "audience": "fairlead", "jwks_url": "https://issuer.test/keys"}
MISTAKES = {
    "an HMAC": ({"algorithms": "[RS256, HS256]"}, "algorithms[1]", "must be 'RS256'"),
    "no signature": ({"algorithms": "[none]"}, "algorithms[0]", "must be 'RS256'"),
    "no algorithm": ({"algorithms": "[]"}, "algorithms", "needs at least 1"),
    "keys over plain HTTP": ({"jwks_url": "http://issuer.test/keys"}, "jwks_url", "fetched over https"),
    "keys from a file": ({"jwks_url": "file:///etc/keys.json"}, "jwks_url", "fetched over https"),
    "keys with a password": ({"jwks_url": "https://me:secret@issuer.test/"}, "jwks_url", "fetched over https"),
    "no issuer": ({"issuer": '""'}, "issuer", ""),
    "no time to notice": ({"stale_for": "5s"}, "stale_for", "must be at least"),
    "clocks an hour apart": ({"leeway": "1h"}, "leeway", "must be at most"),
    "a key that there is not": ({"secret": "x"}, "secret", "unknown key"),
    "several audiences": ({"audience": "[a, b]"}, "audience", "must be text"),
}


def text(changed: dict[str, str]) -> str:
    return FILE.format(jwt=", ".join(f"{name}: {value}" for name, value in {**GOOD, **changed}.items()))


@pytest.mark.parametrize(("changed", "field", "message"), MISTAKES.values(), ids=MISTAKES)
def test_what_the_file_may_not_say(tmp_path: Path, changed: dict[str, str], field: str, message: str) -> None:
    done = written(tmp_path, text(changed)).run("check", "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["subject"] == f"access.jwt.{field}"
    assert message in problem["message"]
    assert problem["where"].startswith("fairlead.yaml:5:")
    assert "secret@" not in done.stdout


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    done = written(tmp_path, FILE.format(jwt="audience: a")).run("check", "--json")
    told = {problem["message"] for problem in json.loads(done.stdout)["problems"]}
    assert told == {"'issuer' is missing", "'jwks_url' is missing"}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/k", "http://localhost/k", "http://[::1]:1/k", "https://a.test/k?v=2"]
)
def test_where_keys_may_be(tmp_path: Path, url: str) -> None:
    spec = load(written(tmp_path, text({"jwks_url": f'"{url}"'})).file)
    assert (jwt(spec.access.jwt) or {})["jwks_url"] == url
