"""The pulled definitions in the user's cache: what the last pull brought, whole or not at all; checked when read.

$XDG_CACHE_HOME/fairlead/schemas/    (~/.cache without it)
  manifest.json                      the date, and of each kind its source, its version and its digests
  GROUP/KIND.json                    the definition, without descriptions
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from fairlead.errors import UserError
from fairlead.ops.schemas.received import Received
from fairlead.schemas.crd import Crd

MANIFEST = "manifest.json"
AGAIN = "fairlead schemas pull brings them again"


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind that was pulled. `received` is the SHA-256 of the file that it came in, `stored` of what is kept."""

    group: str
    kind: str
    served: tuple[str, ...]
    source: str
    version: str
    received: str
    stored: str

    @property
    def path(self) -> str:
        """Where it is kept, below the folder."""
        return f"{self.group}/{self.kind}.json"


@dataclass(frozen=True)
class Pulled:
    """What a pull brought: where it is, when and from where (`cluster`, `release`, `folder`), and its kinds."""

    folder: Path
    date: str
    origin: str
    kinds: tuple[Kept, ...]

    @cached_property
    def _by_identity(self) -> Mapping[tuple[str, str], Kept]:
        return {(each.group, each.kind): each for each in self.kinds}

    def find(self, group: str, kind: str) -> Kept | None:
        """The record of a kind."""
        return self._by_identity.get((group, kind))

    def lookup(self, group: str, kind: str) -> Crd | None:
        """The definition of a kind, None where none was pulled. Raises UserError where it was changed since."""
        kept = self.find(group, kind)
        if kept is None:
            return None
        try:
            content = (self.folder / kept.path).read_bytes()
        except OSError as error:
            raise UserError(f"{self.folder / kept.path} cannot be read: {error.strerror}", hint=AGAIN) from None
        if hashlib.sha256(content).hexdigest() != kept.stored:
            raise UserError(f"{self.folder / kept.path} is not what was pulled", hint=AGAIN)
        try:
            return Crd(**json.loads(content))
        except TypeError:
            raise UserError(f"{self.folder} was pulled by another version of Fairlead", hint=AGAIN) from None

    def as_json(self) -> dict[str, object]:
        """The manifest, as it is kept and shown."""
        return {"date": self.date, "from": self.origin, "kinds": [asdict(each) for each in self.kinds]}


def place(environ: Mapping[str, str], home: Path) -> Path:
    """Where schemas are kept. XDG's variable counts where it is an absolute path (XDG Base Directory Specification)."""
    given = Path(environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else home / ".cache") / "fairlead" / "schemas"


def keep(folder: Path, origin: str, found: Mapping[tuple[str, str], Received], now: datetime) -> Pulled:
    """Put what was received in the place of what was there; a run that dies halfway changes nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".schemas-") as name:
        fresh = Path(name) / "fresh"
        kinds = tuple(_write(fresh, each) for _, each in sorted(found.items()))
        date = now.astimezone(UTC).isoformat(timespec="seconds")
        made = Pulled(folder, date, origin, kinds)
        (fresh / MANIFEST).write_text(json.dumps(made.as_json(), indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(Path(name) / "old")
        fresh.rename(folder)
    return made


def pulled(folder: Path) -> Pulled | None:
    """What the last pull brought; None before the first. Raises UserError for a manifest that is none."""
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        kinds = tuple(Kept(**{**each, "served": tuple(each["served"])}) for each in told["kinds"])
        return Pulled(folder, told["date"], told["from"], kinds)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / MANIFEST} cannot be read: {error}", hint=AGAIN) from None


def clear(folder: Path) -> None:
    """Take away what was pulled."""
    shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, each: Received) -> Kept:
    crd = each.crd
    content = json.dumps(asdict(crd), separators=(",", ":")).encode()
    stored = hashlib.sha256(content).hexdigest()
    kept = Kept(crd.group, crd.kind, tuple(crd.served), each.address, each.version, each.sha256, stored)
    (folder / kept.path).parent.mkdir(parents=True, exist_ok=True)
    (folder / kept.path).write_bytes(content)
    return kept
