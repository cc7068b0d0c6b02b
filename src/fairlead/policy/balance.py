"""Least in-flight work over the replicas that take requests; ties go round, so that no replica is everybody's first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar


class Replica(Protocol):
    """What the choice looks at."""

    in_flight: int
    up: bool


R = TypeVar("R", bound=Replica)


def pick(replicas: Sequence[R], turn: int, avoid: Collection[R] = ()) -> R | None:
    """The replica with the least work, or None when none is up. `turn` is where the round starts.

    Replicas in `avoid` (those that already failed this request) are passed over.
    """
    best: R | None = None
    count = len(replicas)
    for step in range(count):
        replica = replicas[(turn + step) % count]
        if not replica.up or replica in avoid:
            continue
        if not replica.in_flight:
            return replica
        if best is None or replica.in_flight < best.in_flight:
            best = replica
    return best
