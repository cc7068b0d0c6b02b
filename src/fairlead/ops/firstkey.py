"""On a laptop nobody should have to make a key first: `up` makes one, and keeps it where its owner finds it again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

from fairlead.ops.layout import Layout
from fairlead.ops.runfile import replace
from fairlead.spec.types import Role, Spec
from fairlead.store.keys import id_of
from fairlead.store.stores import Place, open_keys

TENANT = "local"


def laptop_key(spec: Spec, place: Place, layout: Layout) -> str | None:
    """The key in clear, made now if there is none that works; None where keys are given out by people."""
    if spec.environment != "laptop":
        return None
    with contextlib.closing(open_keys(place)) as keys:
        kept = layout.laptop_key.read_text().strip() if layout.laptop_key.exists() else ""
        working = {key.id: key for key in keys.all() if key.state(time.time()) == "active"}
        found = working.get(id_of(kept))
        if found is not None and found.role in spec.access.roles:
            return kept
        role = widest(spec.access.roles)
        secret, _ = keys.create(
            tenant=TENANT, role=role, note="made by fairlead up", max_age_s=spec.access.keys.max_age
        )
        replace(layout.laptop_key, f"{secret}\n".encode())
        return secret


def widest(roles: Mapping[str, Role]) -> str:
    """The role that may do most; the first by name among equals."""
    return min(roles, key=lambda name: (-breadth(roles[name]), name))


def breadth(role: Role) -> int:
    """A rough size of a role's rights."""
    models = 1_000_000 if "*" in role.models else len(role.models)
    return models * len(role.operations)
