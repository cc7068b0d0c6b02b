"""A cached model is used only when its files still are what was fetched: the manifest beside them says what that is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class FileRecord:
    sha256: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """`revision` is the commit that the files came from; empty for a bucket."""

    source: str
    revision: str
    files: Mapping[str, FileRecord]


def describe(source: str, revision: str, hashes: Mapping[str, str], folder: Path) -> Manifest:
    """The manifest of files just fetched into `folder`, whose SHA-256 are `hashes`."""
    return Manifest(source, revision, {name: _record(folder / name, sha256) for name, sha256 in sorted(hashes.items())})


def _record(path: Path, sha256: str) -> FileRecord:
    stat = path.stat()
    return FileRecord(sha256, stat.st_size, stat.st_mtime_ns)


def write(manifest: Manifest, path: Path) -> None:
    """As JSON, for `read` and for people."""
    path.write_text(json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n")


def read(path: Path) -> Manifest:
    """What `write` wrote."""
    found = json.loads(path.read_text())
    return Manifest(
        found["source"], found["revision"], {name: FileRecord(**fields) for name, fields in found["files"].items()}
    )


def damaged(manifest: Manifest, folder: Path, *, verify: bool) -> Iterator[str]:
    """The names of the files that are gone or changed. Same size and time pass as unchanged unless `verify`."""
    for name, fetched in manifest.files.items():
        if not _unchanged(folder / name, fetched, verify=verify):
            yield name


def _unchanged(path: Path, fetched: FileRecord, *, verify: bool) -> bool:
    if not path.is_file():
        return False
    stat = path.stat()
    if not verify and (stat.st_size, stat.st_mtime_ns) == (fetched.size_bytes, fetched.mtime_ns):
        return True
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == fetched.sha256
