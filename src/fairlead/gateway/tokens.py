"""Tokens become callers once; after that a token is one look-up by its hash, until it expires or the keys change."""

from __future__ import annotations

import hashlib

from fairlead.gateway import answers
from fairlead.gateway.admission import KeysPending
from fairlead.gateway.config import Jwt
from fairlead.gateway.head import Refused
from fairlead.gateway.jwt import Identity, Rejected, UnknownKey, identify, presented
from fairlead.gateway.keyset import KeySet
from fairlead.gateway.tables import Caller, Tables, caller_for

REMEMBERED_TOKENS = 10_000  # some 5 MB; a service with more callers at once checks some tokens twice
PATIENCE_S = 10.0  # a gateway that starts waits so long for its first key set before it takes API keys without it


class Tokens:
    """The issuer whose tokens one gateway takes. Void when the tables change."""

    def __init__(self, rules: Jwt, keyset: KeySet) -> None:
        self.rules = rules
        self.keyset = keyset
        self._callers: dict[bytes, Caller] = {}

    def caller_of(self, token: bytes, tables: Tables, wall_now: float) -> Caller:
        """Who a token speaks for. Raises Refused (401, 403, 503), KeysPending."""
        if not self.keyset.usable():
            self._expect(token)
            fetch = self.keyset.refetch()
            if fetch is not None and self.keyset.fetched_at is None:
                raise KeysPending(fetch)
            raise Refused(answers.NO_KEY_SET)
        digest = hashlib.sha256(token).digest()
        caller = self._callers.get(digest)
        if caller is not None and caller.expires_at > wall_now:
            return caller
        identity = self._identify(token, wall_now)
        caller = caller_for(
            tables,
            key_id=identity.key_id,
            tenant=identity.tenant,
            role=role_of(identity, tables),
            expires_at=identity.expires_at,
        )
        if len(self._callers) >= REMEMBERED_TOKENS:
            self._callers.clear()
        self._callers[digest] = caller
        return caller

    def forget(self) -> None:
        """Check every token again: the keys or the rights have changed."""
        self._callers.clear()

    def _expect(self, token: bytes) -> None:
        """Refuse what no key set would make good, such as another service's key."""
        try:
            presented(token, self.rules.algorithms)
        except Rejected as error:
            raise Refused(answers.wrong_token(str(error))) from error

    def _identify(self, token: bytes, wall_now: float) -> Identity:
        try:
            return identify(token, self.keyset.keys, self.rules, wall_now)
        except UnknownKey as error:
            fetch = self.keyset.refetch()
            if fetch is not None:
                raise KeysPending(fetch) from error
            if self.keyset.failing:  # a new key of the issuer's perhaps, and we cannot know
                raise Refused(answers.NO_KEY_SET) from error
            raise Refused(answers.wrong_token(str(error))) from error
        except Rejected as error:
            raise Refused(answers.wrong_token(str(error))) from error

    def unready(self) -> str | None:
        """Why to wait with traffic. The keys' absence later on is no reason: API keys still work."""
        waited = self.keyset.now() - self.keyset.begun_at
        if self.keyset.fetched_at is None and waited < PATIENCE_S:
            trouble = f": {self.keyset.trouble}" if self.keyset.trouble else ""
            return f"the key set for tokens has not been fetched yet{trouble}"
        return None


def role_of(identity: Identity, tables: Tables) -> str:
    """The first of the token's roles that the file knows. Raises Refused (403): without one nothing is allowed."""
    role = next((role for role in identity.roles if role in tables.config.roles), None)
    if role is None:
        raise Refused(answers.no_role(identity.roles))
    return role
