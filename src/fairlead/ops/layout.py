"""Where a service keeps its state: `.fairlead/` beside its file, readable by its owner alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one service."""

    file: Path
    state: Path

    @classmethod
    def beside(cls, file: Path) -> Layout:
        """The layout of the service that `file` declares."""
        return cls(file.resolve(), file.resolve().parent / ".fairlead")

    def make(self) -> None:
        """Create the folders."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        self.cache.mkdir(exist_ok=True)

    @property
    def gateway_json(self) -> Path:
        """What the gateway runs by."""
        return self.state / "gateway.json"

    @property
    def authority(self) -> Path:
        """The certificate of the local authority, where `gateway.tls.self_signed` makes one."""
        return self.state / "tls" / "ca.crt"

    @property
    def run_json(self) -> Path:
        """What runs now, for `status` and `down`."""
        return self.state / "run.json"

    @property
    def lock(self) -> Path:
        """Locked by the `up` that runs."""
        return self.state / "lock"

    @property
    def keys(self) -> Path:
        """The API keys' hashes."""
        return self.state / "keys.db"

    @property
    def laptop_key(self) -> Path:
        """The key that `up` made on a laptop, in clear, for its owner's eyes."""
        return self.state / "key"

    @property
    def ledger(self) -> Path:
        """The usage ledger."""
        return self.state / "ledger.db"

    @property
    def journal(self) -> Path:
        """The journal that fills the ledger."""
        return self.state / "journal"

    @property
    def ray(self) -> Path:
        """What a Ray cluster is told: its token, and what it has to serve."""
        return self.state / "ray"

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.state / "logs"

    @property
    def cache(self) -> Path:
        """Fetched and converted models."""
        return self.state / "cache"
