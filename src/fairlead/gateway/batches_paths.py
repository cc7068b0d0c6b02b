"""Which paths are the Files and Batch API's; apart from it, since every gateway asks and few have one."""

from __future__ import annotations

FILES, BATCHES = b"/v1/files", b"/v1/batches"


def is_batches(path: bytes) -> bool:
    """Whether a path belongs to the API."""
    return path in {FILES, BATCHES} or path.startswith((FILES + b"/", BATCHES + b"/"))


def is_upload(method: bytes, path: bytes) -> bool:
    """Whether the body is a file's."""
    return method == b"POST" and path == FILES
