"""Fixtures of the gateway's tests, with an issuer beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.conftest import House, build
from gateway.harness import compiled, running
from gateway.upstream import upstream

from .issuer import Issuer, issuing, rules

__all__ = ["build"]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Issuer]]:
    """A gateway that takes an issuer's tokens, for all tests of a module that leave both as they found them."""
    with ExitStack() as stack:
        issuer = stack.enter_context(issuing())
        engine = stack.enter_context(upstream())
        folder = tmp_path_factory.mktemp("guarded")
        config = {**compiled(folder / "state", {"m0": (engine,)}), "jwt": rules(issuer.url)}
        yield House(stack.enter_context(running(config, folder)), (engine,)), issuer
