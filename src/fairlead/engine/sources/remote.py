"""A remote place lists its model files and reads each from any offset; what it is stays behind this.

Only files directly at the place are taken, and only those that an engine reads: pickled weights (`.bin`, `.pt`) can run
code and are never fetched. As no name with a separator passes, none can lead out of the cache folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MODEL_FILE = re.compile(r"\w[\w.+-]*\.(safetensors|gguf|json|jinja|txt|model|tiktoken)", re.ASCII | re.IGNORECASE)


class BrokenOffError(Exception):
    """The connection ended before the file did; reading on from where it stopped may help."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file. `version` changes when the content does; `sha256` is empty where the place states none."""

    name: str
    size_bytes: int
    version: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """`revision` is the immutable one that the files belong to, empty for a bucket.

    `read(file, offset)` yields the bytes from `offset` on; raises BrokenOffError or UserError.
    """

    revision: str
    files: tuple[RemoteFile, ...]
    read: Callable[[RemoteFile, int], Iterator[bytes]]


def is_model_file(name: str) -> bool:
    """Whether the name, which has no folder, is one that an engine reads."""
    return MODEL_FILE.fullmatch(name) is not None
