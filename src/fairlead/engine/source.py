"""A model source becomes a folder or a GGUF file on this disk, fetched once, checked always.

    demo:v1, demo:v2                      shipped with the package
    models/qwen, weights.gguf             on this disk, relative to the file that names it
    hf://org/name@revision                a model hub
    s3://bucket/folder, gs://, az://      an object store

A cache folder `<digest of the source>/` appears by one rename when all its files are there; until then they stand in
`<digest>.<digest of the listing>.part/`, where an interrupted run goes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import fairlead
from fairlead.engine.sources import manifest
from fairlead.engine.sources.bucket import open_bucket
from fairlead.engine.sources.download import Progress, download
from fairlead.engine.sources.hub import open_hub
from fairlead.engine.sources.remote import Remote
from fairlead.errors import UserError

Open = Callable[[str, Mapping[str, str]], Remote]
REMOTES: Mapping[str, Open] = {
    "hf": lambda url, env: open_hub(url.removeprefix("hf://"), env),
    "s3": open_bucket,
    "gs": open_bucket,
    "az": open_bucket,
}
DEMO_FOLDER = Path(fairlead.__file__).parent / "demo"


def fetch(
    source: str,
    cache: Path,
    *,
    base: Path,
    progress: Progress | None = None,
    verify: bool = False,
    env: Mapping[str, str] = os.environ,
) -> Path:
    """The folder (safetensors) or the `.gguf` file of `source`. Raises UserError.

    `base` is what a relative path starts from; `verify` hashes cached files even when size and time are unchanged;
    `env` gives HF_ENDPOINT, HF_TOKEN and the object stores' endpoints.
    """
    scheme, separator, _ = source.partition("://")
    if source.startswith("demo:"):
        return _demo_folder(source.removeprefix("demo:"))
    if not separator:
        return _local_path(base / Path(source).expanduser())
    if scheme not in REMOTES:
        raise UserError(f"{source}: no such kind of source", hint="use " + ", ".join(f"{name}://" for name in REMOTES))
    return _fetch_remote(source, cache, opener=REMOTES[scheme], progress=progress or _silent, verify=verify, env=env)


def _demo_folder(version: str) -> Path:
    known = sorted(path.parent.name for path in DEMO_FOLDER.glob("*/config.json"))
    if version not in known:
        raise UserError(
            f"demo:{version}: no such demo model", hint="use " + " or ".join(f"demo:{name}" for name in known)
        )
    return DEMO_FOLDER / version


def _local_path(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path}: no such model folder or file", hint="a path is relative to the file that names it")
    if path.is_file() and path.suffix != ".gguf":
        raise UserError(f"{path} is not a model", hint="name a .gguf file, or the folder that holds config.json")
    return path if path.is_file() else _model_in(path, names=sorted(item.name for item in path.iterdir()))


def _model_in(folder: Path, *, names: list[str]) -> Path:
    """The folder when it holds a Hugging Face model, or the one GGUF file in it."""
    ggufs = [name for name in names if name.endswith(".gguf")]
    if "config.json" in names and any(name.endswith(".safetensors") for name in names):
        return folder
    if len(ggufs) == 1:
        return folder / ggufs[0]
    if ggufs:
        raise UserError(f"{folder} holds several models", hint="name one: " + ", ".join(ggufs))
    raise UserError(f"{folder} holds no model", hint="needed: config.json with .safetensors files, or one .gguf file")


def _fetch_remote(
    source: str, cache: Path, *, opener: Open, progress: Progress, verify: bool, env: Mapping[str, str]
) -> Path:
    folder = cache / _digest(source)
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{folder.name}.lock"):
        if not folder.exists():
            _fill(folder, source, remote=opener(source, env), progress=progress)
        _check(folder, verify=verify)
    return _model_in(folder / "files", names=sorted(item.name for item in (folder / "files").iterdir()))


def _fill(folder: Path, source: str, *, remote: Remote, progress: Progress) -> None:
    _refuse_without_weights(source, names=[file.name for file in remote.files])
    part = folder.with_name(f"{folder.name}.{_listing_digest(remote)}.part")
    _drop_other_parts(folder, keep=part)
    hashes = download(remote, part / "files", progress)
    manifest.write(manifest.describe(source, remote.revision, hashes, part / "files"), part / manifest.NAME)
    part.rename(folder)


def _refuse_without_weights(source: str, *, names: list[str]) -> None:
    """Before a byte is fetched: a repository of pickled weights would only fail later."""
    if not any(name.endswith((".safetensors", ".gguf")) for name in names):
        raise UserError(
            f"{source} holds no .safetensors or .gguf file",
            hint="name the folder that holds them; other formats are not read",
        )


def _drop_other_parts(folder: Path, *, keep: Path) -> None:
    """Leavings of an older listing: the remote has changed since, so they will never be continued."""
    for stale in folder.parent.glob(f"{folder.name}.*.part"):
        if stale != keep:
            shutil.rmtree(stale)


def _check(folder: Path, *, verify: bool) -> None:
    fetched = manifest.read(folder / manifest.NAME)
    if damaged := list(manifest.damaged(fetched, folder / "files", verify=verify)):
        raise UserError(
            f"cached model files of {fetched.source} have changed: {', '.join(damaged)}",
            hint=f"delete {folder}; the model is then fetched again",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _listing_digest(remote: Remote) -> str:
    return _digest(repr((remote.revision, sorted((file.name, file.size_bytes, file.version) for file in remote.files))))


def _silent(name: str, done_bytes: int, total_bytes: int) -> None:
    """The progress of one who does not ask for it."""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the kernel lets go of it when its holder dies."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
