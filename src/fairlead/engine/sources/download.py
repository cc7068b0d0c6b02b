"""A file counts as fetched when all its bytes are on the disk and hash to what the remote states; never before.

What an interrupted run left is hashed and continued, so a 16 GB file is not fetched twice.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead.engine.sources.remote import BrokenOffError, Remote, RemoteFile
from fairlead.errors import UserError

if TYPE_CHECKING:
    from hashlib import _Hash

Progress = Callable[[str, int, int], None]  # (file name, bytes done, bytes in all)
READ_BYTES = 1 << 20


def download(remote: Remote, folder: Path, progress: Progress) -> dict[str, str]:
    """Bring every file into `folder`; return the SHA-256 of each by name. Raises UserError."""
    folder.mkdir(parents=True, exist_ok=True)
    with _disk_full_explained(folder):
        _check_space(remote, folder)
        return {file.name: _download_file(remote, file, folder / file.name, progress) for file in remote.files}


def _check_space(remote: Remote, folder: Path) -> None:
    there = sum(path.stat().st_size for path in folder.iterdir())
    missing = sum(file.size_bytes for file in remote.files) - there
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise UserError(
            f"{folder} has room for {free / 1e9:.1f} GB, and {missing / 1e9:.1f} GB are to be fetched",
            hint="make room, or put the cache folder on a larger disk",
        )


def _download_file(remote: Remote, file: RemoteFile, target: Path, progress: Progress) -> str:
    """Fetch, or fetch on, one file; return its SHA-256. Reading is tried again as long as a try brings bytes."""
    sha256 = _continue_hash(target, file)
    while (have := _size_of(target)) < file.size_bytes:
        try:
            _append(remote.read(file, have), target, file, sha256=sha256, progress=progress)
        except BrokenOffError as error:
            if _size_of(target) == have:
                raise UserError(
                    f"the download broke off: {error}", hint="run it again: it goes on from there"
                ) from error
    progress(file.name, _size_of(target), file.size_bytes)
    _check(file, target, sha256.hexdigest())
    return sha256.hexdigest()


def _append(chunks: Iterator[bytes], target: Path, file: RemoteFile, *, sha256: _Hash, progress: Progress) -> None:
    have = before = _size_of(target)
    with target.open("ab", buffering=0) as out:  # unbuffered: what was hashed is what is in the file
        for chunk in chunks:
            out.write(chunk)
            sha256.update(chunk)
            have += len(chunk)
            progress(file.name, min(have, file.size_bytes), file.size_bytes)
            if have > file.size_bytes:
                break  # more than listed: the check below refuses it
        os.fsync(out.fileno())
    if have == before:
        raise BrokenOffError(f"{file.name}: the server sent nothing")


def _continue_hash(target: Path, file: RemoteFile) -> _Hash:
    """The hash of what an earlier run left; leavings that are too long cannot be of this file."""
    if _size_of(target) > file.size_bytes:
        target.unlink()
    sha256 = hashlib.sha256()
    target.touch()
    with target.open("rb") as part:
        while chunk := part.read(READ_BYTES):
            sha256.update(chunk)
    return sha256


def _check(file: RemoteFile, target: Path, sha256: str) -> None:
    if _size_of(target) == file.size_bytes and file.sha256 in ("", sha256):
        return
    got = f"{_size_of(target)} bytes, sha256 {sha256[:16]}"
    target.unlink()
    raise UserError(
        f"{file.name} does not match its checksum: fetched {got}; listed {file.size_bytes} bytes, {file.sha256[:16]}",
        hint="run it again; if it stays, the file is damaged where it comes from",
    )


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _disk_full_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"the disk under {folder} is full", hint="make room and run it again") from error
