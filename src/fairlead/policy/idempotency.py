"""One key, one run: the same body again gets the first answer, another body is refused; the tenant is part of the key.

A key is `new`, `in progress`, `done`, or `too large` when its answer was; what may happen in which state stands in
`NEXT`, and what a request is told in `VERDICT`. A run that failed leaves the key new: it was not charged, so it may be
tried again. A run has a deadline of its own, so that only what has ended expires.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

NEXT: Mapping[tuple[str, str], str] = {
    ("new", "begin"): "in progress",
    ("in progress", "finish"): "done",
    ("in progress", "fail"): "new",
    ("in progress", "outgrow"): "too large",
    ("done", "expire"): "new",
    ("too large", "expire"): "new",
}
VERDICT: Mapping[tuple[str, bool], str] = {  # (state, whether the body is the same) -> what is done with a request
    ("new", True): "run",
    ("in progress", True): "wait",
    ("in progress", False): "refuse",
    ("done", True): "replay",
    ("done", False): "refuse",
    ("too large", True): "lost",
    ("too large", False): "refuse",
}


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a key. `answer` is there once it is done."""

    state: str
    body_hash: bytes
    expires_at: float
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`run` it, `wait` for the one that runs, `replay` the answer, `refuse` another body, say that the answer is `lost`
    because it was too large to keep, or that there is no room (`full`).
    """

    action: str
    answer: bytes = b""


def judge(record: Record | None, body_hash: bytes, now: float) -> Verdict:
    """What becomes of a request whose key is in this state."""
    if record is None or has_expired(record, now):
        return Verdict(VERDICT["new", True])
    action = VERDICT[record.state, record.body_hash == body_hash]
    return Verdict(action, record.answer if action == "replay" else b"")


def has_expired(record: Record, now: float) -> bool:
    """Whether a key is new again."""
    return record.expires_at <= now and (record.state, "expire") in NEXT


class IdempotencyKeys:
    """The keys of one gateway, bounded in number and bytes; the oldest answers go first, a running request never.

    `life_s` and `most_bytes` may be changed; they count for keys that begin after it. `size`: bytes of all answers.
    """

    def __init__(self, *, life_s: float, most_bytes: int, most_keys: int = 10_000) -> None:
        self.life_s = life_s
        self.most_bytes = most_bytes
        self._most_keys = most_keys
        self.size = 0
        self._records: dict[tuple[str, str], Record] = {}  # in the order of their expiry: all live equally long

    def __len__(self) -> int:
        return len(self._records)

    def begin(self, tenant: str, key: str, body_hash: bytes, now: float) -> Verdict:
        """What to do with a request that carries a key; `run` marks the key as in progress."""
        self.expire(now)
        verdict = judge(self._records.get((tenant, key)), body_hash, now)
        if verdict.action != "run":
            return verdict
        if not self._make_room(keys=1, size=0):
            return Verdict("full")
        self._put((tenant, key), Record(NEXT["new", "begin"], body_hash, now + self.life_s))
        return verdict

    def finish(self, tenant: str, key: str, answer: bytes | None) -> None:
        """The run that began with this key has ended: this answer is replayed. None: it was too large to hold."""
        record = self._records[tenant, key]
        if answer is None or not self._make_room(keys=0, size=len(answer)):
            state, answer = NEXT[record.state, "outgrow"], b""
        else:
            state = NEXT[record.state, "finish"]
        self._put((tenant, key), Record(state, record.body_hash, record.expires_at, answer))

    def fail(self, tenant: str, key: str) -> None:
        """The run that began with this key has come to nothing: the key is new again."""
        if NEXT[self._records[tenant, key].state, "fail"] == "new":
            self._drop((tenant, key))

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        for key, record in list(self._oldest(now)):
            if has_expired(record, now):
                self._drop(key)

    def _oldest(self, now: float) -> Iterator[tuple[tuple[str, str], Record]]:
        for key, record in self._records.items():
            if record.expires_at > now:
                return
            yield key, record

    def _make_room(self, *, keys: int, size: int) -> bool:
        """Drop finished answers until so many more keys and bytes fit; whether they do."""
        while len(self._records) + keys > self._most_keys or self.size + size > self.most_bytes:
            oldest = next((key for key, record in self._records.items() if record.state != "in progress"), None)
            if oldest is None or size > self.most_bytes:
                return False
            self._drop(oldest)
        return True

    def _put(self, key: tuple[str, str], record: Record) -> None:
        old = self._records.get(key)
        self.size += len(record.answer) - (len(old.answer) if old else 0)
        self._records[key] = record

    def _drop(self, key: tuple[str, str]) -> None:
        self.size -= len(self._records.pop(key).answer)
