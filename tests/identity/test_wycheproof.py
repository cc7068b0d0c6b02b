"""Google's vectors for signatures in JSON, through the very code that reads a key set and judges a token."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fairlead.gateway.config import ASYMMETRIC
from fairlead.gateway.jwt import Keys, Rejected, verified
from fairlead.gateway.keyset import NoKeySet, keys_of

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "security"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no vectors: {FOLDER} is not there")


def groups(subject: str = "signature") -> list[dict[str, Any]]:
    file = FOLDER / f"wycheproof_json_web_{subject}_test.json"
    found: list[dict[str, Any]] = json.loads(file.read_text())["testGroups"]
    return found


def keys_for(group: dict[str, Any]) -> Keys:
    """As if the issuer published the group's key; nothing where it is none that a key set may hold."""
    try:
        shown = group.get("public") or group["private"]
        return keys_of(json.dumps(shown if "keys" in shown else {"keys": [shown]}).encode())
    except NoKeySet:
        return {}


def taken(token: str, keys: Keys) -> bool:
    try:
        verified(token.encode(), keys, sorted(ASYMMETRIC))
    except Rejected:
        return False
    return True


def test_no_invalid_token_is_taken() -> None:
    invalid = [(group, test) for group in groups() for test in group["tests"] if test["result"] == "invalid"]
    assert len(invalid) == 355
    assert [test["tcId"] for group, test in invalid if taken(test["jws"], keys_for(group))] == []


def test_valid_tokens_are_taken_where_their_key_is_for_their_algorithm() -> None:
    """Of 46 valid ones 10 are by HS256, and 4 by a key whose own `alg` is another one; the other 32 all pass."""
    counted: Counter[str] = Counter()
    for group in groups():
        for test in group["tests"]:
            if test["result"] != "valid":
                continue
            algorithm = json.loads(urlsafe_b64decode(test["jws"].split(".")[0] + "=="))["alg"]
            fits = group.get("public", group["private"]).get("alg") == algorithm
            kind = "symmetric" if algorithm.startswith("HS") else "fitting" if fits else "another alg"
            counted[f"{kind}, {'taken' if taken(test['jws'], keys_for(group)) else 'refused'}"] += 1
    assert counted == {"fitting, taken": 32, "another alg, refused": 4, "symmetric, refused": 10}


def test_no_bad_key_is_used() -> None:
    """Among them a key of the wrong use, curve, type or size, with the exponent 1, and one that can be factored."""
    invalid = [(group, test) for group in groups("key") for test in group["tests"] if test["result"] == "invalid"]
    assert len(invalid) == 21
    assert [test["tcId"] for group, test in invalid if taken(test["jws"], keys_for(group))] == []
    (good,) = [group for group in groups("key") if group["tests"][0]["tcId"] == 5]
    assert taken(good["tests"][0]["jws"], keys_for(good))
