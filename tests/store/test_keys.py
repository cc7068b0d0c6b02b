"""A key is shown once, kept as a hash, and ends when it should."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fairlead.errors import UserError
from fairlead.store.keys import KeyStore, hash_of, id_of


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys.db")


def test_the_secret_is_nowhere_on_disk(store: KeyStore, tmp_path: Path) -> None:
    secret, key = store.create(tenant="t", role="r")
    assert key.hash == hash_of(secret.encode())
    assert id_of(secret) == key.id
    for path in tmp_path.iterdir():
        assert secret.partition(f"{key.id}-")[2].encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0, "others may not read the hashes"


def test_rotation_overlaps(store: KeyStore) -> None:
    _, old = store.create(tenant="t", role="r", note="n", max_age_s=1e6)
    _, new = store.rotate(old.id, overlap_s=60.0, max_age_s=1e6)
    keys = {key.id: key for key in store.all()}
    now = time.time()
    assert (new.tenant, new.role, new.note, new.replaces) == ("t", "r", "n", old.id)
    assert keys[old.id].state(now) == "active"
    assert keys[old.id].state(now + 61) == "expired"
    assert keys[new.id].state(now + 61) == "active"


def test_rotation_never_lengthens_a_life(store: KeyStore) -> None:
    _, old = store.create(tenant="t", role="r", max_age_s=10.0)
    store.rotate(old.id, overlap_s=1000.0, max_age_s=None)
    assert store.all()[0].state(time.time() + 11) == "expired"


def test_a_revoked_key_is_over(store: KeyStore) -> None:
    _, key = store.create(tenant="t", role="r")
    store.revoke(key.id)
    assert store.all()[0].state(time.time()) == "revoked"
    for attempt in (lambda: store.revoke(key.id), lambda: store.rotate(key.id, overlap_s=0, max_age_s=None)):
        with pytest.raises(UserError, match="revoked already"):
            attempt()
    with pytest.raises(UserError, match="no key"):
        store.revoke("000000000000")


def test_another_process_is_noticed(store: KeyStore, tmp_path: Path) -> None:
    before = store.version()
    assert store.version() == before
    other = KeyStore(tmp_path / "keys.db")
    other.create(tenant="t", role="r")
    assert store.version() != before


IDS = {
    "good": ("sk-fl-0123456789ab-rest", "0123456789ab"),
    "no prefix": ("0123456789ab-rest", ""),
    "another product's": ("sk-proj-0123456789ab-rest", ""),
    "too short": ("sk-fl-0123", ""),
    "empty": ("", ""),
}


@pytest.mark.parametrize(("secret", "expected"), IDS.values(), ids=IDS)
def test_id_of(secret: str, expected: str) -> None:
    assert id_of(secret) == expected
