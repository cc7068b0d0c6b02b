"""Whom an exchange answers, as it sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fairlead.gateway.answers import Refusal

if TYPE_CHECKING:
    from fairlead.gateway.exchange import Exchange


class Client(Protocol):
    """Whom an exchange answers: a connection, or what stands between it and one."""

    @property
    def speaks_11(self) -> bool:
        """Whether it understands chunks."""

    def must_close(self) -> bool:
        """Whether this answer is its connection's last."""

    def send(self, data: bytes) -> None:
        """A piece of the answer, its head included."""

    def answered(self) -> None:
        """The answer is whole."""

    def break_off(self, refusal: Refusal) -> None:
        """A stream that has begun ends with an error."""

    def outlived(self, exchange: Exchange) -> bool:
        """The connection is gone: whether the exchange goes on all the same."""
