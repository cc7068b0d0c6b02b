"""`hf://org/name[/folder or file.gguf][@revision]`: the hub says what there is, and plain HTTP ranges bring it.

Without a revision the one that `main` names now is taken and recorded: a later start never gets other weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from fairlead.engine.sources.remote import BrokenOffError, Remote, RemoteFile, is_model_file
from fairlead.errors import UserError

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0  # for one connect, or for one silence while reading; not for the whole file
PLACE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<path>[\w./+-]+?))?(?:@(?P<revision>[\w./-]+))?", re.ASCII)
REFUSED = {
    401: ("wants a valid token", "set HF_TOKEN to a token that may read it"),
    403: ("may not be read with this token", "ask for access on its page, then set HF_TOKEN"),
    404: ("is not there", "check the name and the revision; a private one needs HF_TOKEN"),
}


@dataclass(frozen=True, slots=True)
class Place:
    repo: str
    path: str
    revision: str


def parse(rest: str) -> Place:
    """`org/name/folder@revision` taken apart; the revision is `main` when none is named."""
    found = PLACE.fullmatch(rest)
    if not found or ".." in rest.split("/"):
        raise UserError(f"hf://{rest} is not of the form hf://org/name@revision")
    return Place(found["repo"], (found["path"] or "").strip("/"), found["revision"] or "main")


def open_hub(rest: str, env: Mapping[str, str]) -> Remote:
    """List the model files. Raises UserError when the hub refuses or cannot be reached."""
    place, endpoint, token = parse(rest), env.get("HF_ENDPOINT") or None, env.get("HF_TOKEN") or None
    commit, files = _listing(place, endpoint=endpoint, token=token)

    def read(file: RemoteFile, offset: int) -> Iterator[bytes]:
        from huggingface_hub import hf_hub_url

        path = "/".join(part for part in (_folder_of(place), file.name) if part)
        url = hf_hub_url(place.repo, path, revision=commit, endpoint=endpoint)
        return _read_url(url, offset, token=token, subject=f"hf://{place.repo}/{path}")

    return Remote(commit, files, read)


def _listing(place: Place, *, endpoint: str | None, token: str | None) -> tuple[str, tuple[RemoteFile, ...]]:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.errors import HTTPError as HubHTTPError  # type: ignore[attr-defined]  # its client's base error

    api = HfApi(endpoint=endpoint, token=token)
    try:
        found = api.model_info(place.repo, revision=place.revision, files_metadata=True, timeout=TIMEOUT_S)
    except HfHubHTTPError as error:
        raise _refused(f"hf://{place.repo}@{place.revision}", error.response.status_code) from error
    except (HubHTTPError, OSError) as error:
        raise UserError(
            f"the model hub cannot be reached for hf://{place.repo}: {type(error).__name__}",
            hint="check the network and HF_ENDPOINT, or name a folder on disk",
        ) from error
    files = tuple(
        RemoteFile(name, item.size or 0, item.blob_id or "", item.lfs.sha256 if item.lfs else "")
        for item in found.siblings or ()
        if (name := _name_below(item.rfilename, place))
    )
    return found.sha or place.revision, files


def _name_below(path: str, place: Place) -> str:
    """The file's name when it lies directly in the folder asked for, or is the file asked for; else empty."""
    folder, _, name = path.rpartition("/")
    wanted = path == place.path if is_model_file(place.path.rpartition("/")[2]) else folder == place.path
    return name if wanted and is_model_file(name) else ""


def _folder_of(place: Place) -> str:
    folder, _, name = place.path.rpartition("/")
    return folder if is_model_file(name) else place.path


def _read_url(url: str, offset: int, *, token: str | None, subject: str) -> Iterator[bytes]:
    """Yield the bytes from `offset` on. The token stays with the hub: httpx drops it on the way to another host."""
    headers = {"accept-encoding": "identity"} | ({"authorization": f"Bearer {token}"} if token else {})
    if offset:
        headers["range"] = f"bytes={offset}-"
    try:
        with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT_S) as response:
            if response.status_code >= 400:
                raise _refused(subject, response.status_code)
            yield from _rest_of(response, offset)
    except httpx.TransportError as error:
        raise BrokenOffError(f"{subject}: {type(error).__name__}") from error


def _rest_of(response: httpx.Response, offset: int) -> Iterator[bytes]:
    """The body from `offset` on, also when the server does not know ranges and sends it all."""
    skip = 0 if response.status_code == 206 else offset
    for chunk in response.iter_raw(CHUNK_BYTES):
        if len(chunk) > skip:
            yield chunk[skip:]
        skip = max(0, skip - len(chunk))


def _refused(subject: str, status: int) -> UserError:
    message, hint = REFUSED.get(status, (f"cannot be fetched: HTTP {status}", "try again later"))
    return UserError(f"{subject} {message}", hint=hint)
