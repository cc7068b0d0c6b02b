"""A peer is a command line, its headers and its version; a peer that cannot be had says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class Missing(Exception):
    """This peer cannot run here. The text is the reason, as the report prints it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer lives: programs in `cache`, configuration, logs and state in `work` (fresh for each run)."""

    cache: Path
    work: Path
    port: int
    upstream_ports: tuple[int, ...]

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The replicas as host:port."""
        return tuple(f"127.0.0.1:{port}" for port in self.upstream_ports)

    def write(self, name: str, text: str) -> Path:
        """Write a configuration file into the work folder."""
        path = self.work / name
        path.write_text(text)
        return path


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a peer that is ready to start."""

    argv: tuple[str, ...]
    version: str
    headers: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ready_s: float = 90.0
    beside: tuple[str, ...] = ()  # a server that it needs, run on the rig's core and not counted
