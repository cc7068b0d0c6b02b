"""One gateway with two replicas serves all tests that leave it as they found it; the others start their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .harness import Gateway, compiled, running
from .upstream import Upstream, upstream


@dataclass(frozen=True, slots=True)
class House:
    """A gateway and the replicas behind its model `m0`."""

    gateway: Gateway
    replicas: tuple[Upstream, ...]

    @property
    def seen(self) -> list[Any]:
        return [request for one in self.replicas for request in one.record.seen]

    @property
    def open(self) -> int:
        return sum(one.record.open for one in self.replicas)

    @property
    def cancelled(self) -> int:
        return sum(one.record.cancelled for one in self.replicas)


Build = Callable[..., House]


@pytest.fixture(scope="session")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        replicas = tuple(stack.enter_context(upstream()) for _ in range(2))
        folder = tmp_path_factory.mktemp("gateway")
        config = compiled(folder / "state", {"m0": replicas})
        yield House(stack.enter_context(running(config, folder)), replicas)


@pytest.fixture
def house(shared_house: House) -> House:
    """The shared gateway, with well-mannered replicas."""
    for one in shared_house.replicas:
        one.forget()
    return shared_house


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Start a gateway of one's own: `build(replicas=2, change=fn, **limits)`; `change` edits the compiled file."""
    with ExitStack() as stack:

        def start(
            *, replicas: int = 1, change: Callable[[dict[str, Any]], Any] | None = None, **limits: float
        ) -> House:
            engines = tuple(stack.enter_context(upstream()) for _ in range(replicas))
            config = compiled(tmp_path / "state", {"m0": engines}, **limits)
            if change:
                change(config)
            return House(stack.enter_context(running(config, tmp_path)), engines)

        yield start
