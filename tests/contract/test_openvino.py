"""The embedded engine keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from contract.checks import CHECKS
from contract.endpoint import Endpoint
from contract.engines import openvino


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with openvino(tmp_path_factory.mktemp("openvino")) as running:
        yield running


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_contract(endpoint: Endpoint, check: Callable[[Endpoint], None]) -> None:
    check(endpoint)
