"""`s3://`, `gs://`, `az://`: one object store client; endpoints and credentials are each cloud's own variables.

The client reads them from the process environment by itself: AWS_*, GOOGLE_*, AZURE_* (a key, a workload identity, or
the machine's own). `URL/folder` takes the model files in that folder, `URL/file.gguf` that one file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fairlead.engine.sources.remote import BrokenOffError, Remote, RemoteFile, is_model_file
from fairlead.errors import UserError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHUNK_BYTES = 1 << 20
VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}

REFUSED = {401: "may not be read", 403: "may not be read", 404: "is not there"}


def open_bucket(url: str, env: Mapping[str, str]) -> Remote:
    """List the model files. Raises UserError when the store refuses or cannot be reached."""
    from obstore.store import from_url

    folder, _, last = url.rstrip("/").rpartition("/")
    name = last if is_model_file(last) else ""
    with explained(url):
        store = from_url(folder if name else url.rstrip("/"), **store_options(url, env))
        files = tuple(_describe(item) for item in _listed(store, name) if is_model_file(item["path"]))

    def read(file: RemoteFile, offset: int) -> Iterator[bytes]:
        return _read_object(store, file, offset, url=url)

    return Remote("", files, read)


def store_options(url: str, env: Mapping[str, str]) -> dict[str, Any]:
    """Plain HTTP only to an endpoint that the user himself gave as http://."""
    endpoint = {
        "s3": env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL", ""),
        "gs": env.get("GOOGLE_BASE_URL", ""),
        "az": env.get("AZURE_STORAGE_ENDPOINT", ""),
    }[url.partition(":")[0]]
    return {"client_options": {"allow_http": True}} if endpoint.startswith("http://") else {}


def _listed(store: ObjectStore, name: str) -> list[Any]:
    import obstore

    return [obstore.head(store, name)] if name else list(obstore.list_with_delimiter(store)["objects"])


def _describe(item: Mapping[str, Any]) -> RemoteFile:
    version = item.get("e_tag") or item["last_modified"].isoformat()
    return RemoteFile(item["path"], item["size"], version)


def _read_object(store: ObjectStore, file: RemoteFile, offset: int, *, url: str) -> Iterator[bytes]:
    import obstore

    with explained(url, started=True):
        found = obstore.get(store, file.name, options={"range": {"offset": offset}} if offset else {})
        for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(chunk)


@contextmanager
def explained(url: str, *, started: bool = False) -> Iterator[None]:
    """Turn the client's errors into ours; an unknown one in the middle of a file is worth another try."""
    from obstore import exceptions

    try:
        yield
    except (exceptions.BaseError, OSError, ValueError) as error:
        told = REFUSED.get(_status(error))
        if started and not told:
            raise BrokenOffError(f"{url}: {_first_line(error)}") from error
        variables = VARIABLES[url.partition(":")[0]]
        raise UserError(
            f"{url} {told or 'cannot be read'}: {_first_line(error)}", hint=f"check the URL and {variables}"
        ) from error


def _status(error: BaseException) -> int:
    """The HTTP status behind the error: by its class where there is one for it, else from its text."""
    from obstore import exceptions

    if isinstance(error, (exceptions.NotFoundError, FileNotFoundError)):
        return 404
    if isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError)):
        return 403
    stated = re.search(r"status code: (\d{3})", str(error))
    return int(stated[1]) if stated else 0


def _first_line(error: BaseException) -> str:
    """Short, and without the query of any URL in it: there stand signatures and tokens."""
    return re.sub(r"\?\S+", "?...", str(error).partition("\n")[0])[:200]
