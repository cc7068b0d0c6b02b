"""Definitions from the releases of their makers: each file fetched whole, tried again where that may help.

What a tag holds does not change. A file that is another one than at the last pull is refused until that is forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import httpx

from fairlead.catalog.releases import Release
from fairlead.errors import Problem, UserError
from fairlead.ops.schemas.received import Received, received
from fairlead.ops.schemas.store import Pulled

TIMEOUT_S = 30.0  # for one connect, or for one silence while reading
ATTEMPTS = 4
LARGEST_BYTES = 32 << 20  # KServe's largest definition has 3 MB
BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
Progress = Callable[[int, str], None]
"""(files done, the address that is next)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a release."""

    release: Release
    address: str


def wanted(releases: Iterable[Release], host: str) -> list[Wanted]:
    """Every file of these releases."""
    return [Wanted(release, address) for release in releases for address in release.addresses(host)]


def from_release(files: Iterable[Wanted], before: Pulled | None, progress: Progress) -> Iterator[Received]:
    """The definitions in these files. Raises UserError with all that could not be had, or is not what it was."""
    known = {each.source: each.received for each in before.kinds} if before else {}
    problems: list[Problem] = []
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as client:
        for done, file in enumerate(files):
            progress(done, file.address)
            try:
                yield from _definitions(client, file, known.get(file.address))
            except UserError as error:
                problems += error.problems
    if problems:
        raise UserError(problems=problems, exit_code=1)


def _definitions(client: httpx.Client, file: Wanted, before: str | None) -> list[Received]:
    """What a file holds. `before` is its SHA-256 at the last pull. Raises UserError."""
    try:
        content = fetched(client, file.address)
    except (httpx.HTTPError, httpx.InvalidURL, TooLargeError) as error:
        raise UserError(f"{file.address}: {_said(error)}", hint="or --from-folder, or --mirror") from None
    now = hashlib.sha256(content).hexdigest()
    if before not in {None, now}:
        raise UserError(
            f"{file.address} has changed since it was pulled: SHA-256 {str(before)[:16]} then, {now[:16]} now",
            hint=f"a tag does not move by itself: ask {file.release.repository}; `fairlead schemas forget` takes any",
        )
    found = list(received(content, file.address, file.release.tag))
    if not found:
        raise UserError(
            f"{file.address} holds no CustomResourceDefinition", hint="does the mirror have GitHub's paths?"
        )
    return found


class TooLargeError(Exception):
    """A file that cannot be a definition."""


class BusyError(httpx.HTTPError):
    """An answer that may be another one in a while."""


def fetched(client: httpx.Client, address: str) -> bytes:
    """A file's bytes; a broken connection and a server that is busy get more tries, with growing pauses between them.

    Raises httpx.HTTPError, TooLargeError.
    """
    import stamina

    for attempt in stamina.retry_context(on=(httpx.TransportError, BusyError), attempts=ATTEMPTS, timeout=None):
        with attempt:
            return _once(client, address)
    raise AssertionError("the last attempt returns or raises")


def _once(client: httpx.Client, address: str) -> bytes:
    content = bytearray()
    with client.stream("GET", address) as response:
        if response.status_code in BUSY:
            raise BusyError(f"HTTP {response.status_code}")
        response.raise_for_status()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > LARGEST_BYTES:
                raise TooLargeError(f"more than {LARGEST_BYTES >> 20} MiB")
    return bytes(content)


def _said(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return str(error) or type(error).__name__
