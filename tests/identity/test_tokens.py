"""Tokens at the door of the real gateway: good ones are let in as who they say, all others are refused unserved."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

import pytest

from gateway.conftest import House

from .attacks import FOREIGN_RSA, attacks, header, payload
from .issuer import ALGORITHM, RSA_KEY, Issuer, issuing, raw_token, token

Guarded = tuple[House, Issuer]


def asked(house: House, bearers: list[str], path: str = "/v1/models") -> list[tuple[int, str]]:
    """Status and error code for each token, on one connection."""
    caller = http.client.HTTPConnection("127.0.0.1", house.gateway.port, timeout=20.0)
    found = []
    for bearer in bearers:
        caller.request("GET", path, headers={"Authorization": f"Bearer {bearer}"})
        answer = caller.getresponse()
        told = json.loads(answer.read())
        found.append((answer.status, told.get("error", {}).get("code", "")))
    caller.close()
    return found


@pytest.mark.parametrize("name", ALGORITHM)
def test_a_good_token_is_served_as_who_it_names(guarded: Guarded, name: str) -> None:
    house, _ = guarded
    answer = house.gateway.chat(key=token(name, tenant=f"tenant-{name}", sub="alice@example.com"))
    assert answer.status_code == 200, answer.text
    row = house.gateway.ledger_row(answer.headers["x-request-id"])
    assert (row["tenant"], row["model"]) == (f"tenant-{name}", "m0")
    assert row["key_id"].startswith("jwt-")
    assert "alice" not in str(row)


GOOD: dict[str, dict[str, Any]] = {
    "several audiences": {"aud": ["other", "fairlead"]},
    "several roles": {"role": ["unknown", "user", "chatter"]},
    "expired a moment ago": {"exp_in": -5},
    "not valid for a moment yet": {"nbf_in": 5},
    "a type of RFC 9068": {"head": {"typ": "at+jwt"}},
    "a full media type": {"head": {"typ": "application/at+JWT"}},
    "no type": {"head": {"typ": "JWT"}},
    "headers that mean nothing": {"head": {"jku": "https://elsewhere.test/", "x5t": "x", "extra": {"a": 1}}},
}


@pytest.mark.parametrize("said", GOOD.values(), ids=GOOD)
def test_what_a_good_token_may_say(guarded: Guarded, said: dict[str, Any]) -> None:
    house, _ = guarded
    said = {
        (name.removesuffix("_in")): (int(time.time()) + value if name.endswith("_in") else value)
        for name, value in said.items()
    }
    assert asked(house, [token(**said)]) == [(200, "")]


def test_no_attack_gets_in(guarded: Guarded) -> None:
    house, _ = guarded
    house.replicas[0].forget()
    with issuing() as theirs:
        theirs.keys = {"own": FOREIGN_RSA, "rsa": FOREIGN_RSA}
        tried = attacks(theirs.url)
        named = {name: made for name, made in tried.items() if "\n" not in made}
        statuses = dict(zip(named, asked(house, list(named.values())), strict=True))
        assert theirs.fetches == 0
    assert len(statuses) > 200
    assert {name: told for name, told in statuses.items() if told[0] != 401} == {}
    assert {code for _, code in statuses.values()} <= {"invalid_token", "invalid_api_key"}
    assert house.seen == []
    assert asked(house, [token()]) == [(200, "")]  # and the door still opens


def test_a_role_that_the_file_does_not_know_may_do_nothing(guarded: Guarded) -> None:
    house, _ = guarded
    for role in ("root", None, [], ["root"], {"user": True}, 1, [["user"]], "USER"):
        assert asked(house, [token(role=role)]) == [(403, "permission_denied")], role


def test_a_token_is_held_to_its_role(guarded: Guarded) -> None:
    house, _ = guarded
    with house.gateway.client(token(role="chatter")) as client:
        assert client.post("/v1/completions", json={"model": "m0", "prompt": "a"}).status_code == 403
        assert client.post("/v1/embeddings", json={"model": "m0", "input": "a"}).status_code == 403
        assert [entry["id"] for entry in client.get("/v1/models").json()["data"]] == ["m0"]


def test_a_token_without_a_kid_is_taken_where_one_key_fits(guarded: Guarded) -> None:
    house, _ = guarded
    bare = raw_token(json.dumps({"alg": "RS256"}), payload(), RSA_KEY)
    assert asked(house, [bare]) == [(200, "")]


def test_api_keys_work_beside_tokens(guarded: Guarded) -> None:
    house, _ = guarded
    assert house.gateway.chat().status_code == 200
    changed = house.gateway.key[:-1] + ("A" if house.gateway.key[-1] != "A" else "B")
    assert asked(house, [changed]) == [(401, "invalid_api_key")]


def test_no_token_is_in_the_log_or_in_an_answer(guarded: Guarded) -> None:
    house, _ = guarded
    good, bad = token(sub="subject-in-clear"), raw_token(header(kid="nobody"), payload(), FOREIGN_RSA)
    assert house.gateway.chat(key=good).status_code == 200
    refused = house.gateway.chat(key=bad)
    assert refused.status_code == 401
    state = [path for path in house.gateway.state_dir.rglob("*") if path.is_file()]
    written = [house.gateway.log_path.read_bytes(), refused.content, *(path.read_bytes() for path in state)]
    for made in (good, bad):
        for part in (*made.split("."), "subject-in-clear"):
            assert not any(part.encode() in text for text in written)
