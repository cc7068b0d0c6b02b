"""Who an API key speaks for, as the store knows it: for explanations; the gateway has tables of its own."""

from __future__ import annotations

import contextlib
import hmac
from dataclasses import dataclass

from fairlead.spec.explain import Status
from fairlead.spec.problems import Path
from fairlead.store.keys import hash_of, id_of
from fairlead.store.stores import Place, open_keys


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a credential speaks for; `refused` says why it does not count, `rule` which part of the file says so.

    `status` is then the gateway's answer.
    """

    key: str = ""
    tenant: str = ""
    role: str = ""
    refused: str = ""
    rule: Path = ("access", "keys")
    status: Status = 401


def caller_by_key(place: Place, key: str, now: float) -> Caller:
    """The caller behind a whole key, or behind a key's id, as an operator knows it."""
    key_id = id_of(key) or key
    with contextlib.closing(open_keys(place)) as keys:
        found = next((each for each in keys.all() if each.id == key_id), None)
    if found is None:
        return Caller(refused="there is no such key")
    if key != key_id and not hmac.compare_digest(hash_of(key.encode()), found.hash):
        return Caller(found.id, refused="there is a key of this id, but its secret is another")
    state = found.state(now)
    refused = "" if state == "active" else f"the key is {state}"
    return Caller(found.id, found.tenant, found.role, refused)
