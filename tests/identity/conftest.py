"""Fixtures of the gateway's tests, with an issuer beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.conftest import build

from .issuer import Issuer, issuing

__all__ = ["build"]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer
