"""Where rows come from and results go: files here, or objects in `s3://`, `gs://`, `az://`; lines of JSON or Parquet.

What is not a local file of JSON Lines is made one in the run's own folder first, so that all else reads one format.
Parquet holds a row in the columns `custom_id`, `method`, `url` and `body` (a struct, or JSON as text).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fairlead.engine.sources.bucket import explained, store_options
from fairlead.errors import UserError
from fairlead.store.batch_rows import answered, tokens_of

if TYPE_CHECKING:
    from types import ModuleType

REMOTE = ("s3://", "gs://", "az://")
PARQUET = ".parquet"
CHUNK_BYTES = 1 << 20
ROWS_AT_ONCE = 1000  # of a Parquet file, in memory


def is_remote(place: str) -> bool:
    """Whether it is in an object store."""
    return place.startswith(REMOTE)


def check_place(place: str, *, output: bool = False) -> None:
    """Raises UserError for what is neither JSON Lines nor Parquet, or cannot be read or written here."""
    if not place.endswith((".jsonl", PARQUET)):
        raise UserError(f"{place} is neither JSON Lines nor Parquet", hint="name it .jsonl or .parquet")
    if place.endswith(PARQUET):
        parquet()
    if not is_remote(place) and not (Path(place).parent if output else Path(place)).exists():
        raise UserError("no such folder" if output else "no such file", where=place)


def local_rows(place: str, folder: Path, environ: Mapping[str, str]) -> Path:
    """The input as a local file of JSON Lines. Raises UserError."""
    path = Path(place)
    if is_remote(place):
        path = folder / f"input{PARQUET if place.endswith(PARQUET) else '.jsonl'}"
        if not path.exists():
            whole(path, download(place, environ))
    if not place.endswith(PARQUET):
        return path
    lines = folder / "rows.jsonl"
    if not lines.exists():
        whole(lines, parquet_rows(path))
    return lines


def publish(results: Path, place: str, environ: Mapping[str, str]) -> None:
    """Put the results where they were asked for, whole or not at all. Raises UserError."""
    if place.endswith(PARQUET):
        made = results.with_suffix(PARQUET)
        write_parquet(results, made)
        results = made
    if is_remote(place):
        upload(results, place, environ)
        return
    fresh = Path(f"{place}.new")
    shutil.copyfile(results, fresh)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(place)


def exists(place: str, environ: Mapping[str, str]) -> bool:
    """Whether something is there already. Raises UserError when the store does not say."""
    if not is_remote(place):
        return Path(place).exists()
    import obstore
    from obstore.store import from_url

    folder, _, name = place.rpartition("/")
    with explained(place):
        store = from_url(folder, **store_options(place, environ))
        try:
            obstore.head(store, name)
        except FileNotFoundError:
            return False
        return True


def whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that is there only when it is whole."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.writelines(pieces)
    fresh.replace(path)


def download(place: str, environ: Mapping[str, str]) -> Iterator[bytes]:
    """An object's bytes. Raises UserError."""
    import obstore
    from obstore.store import from_url

    folder, _, name = place.rpartition("/")
    with explained(place):
        store = from_url(folder, **store_options(place, environ))
        for chunk in obstore.get(store, name).stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(chunk)


def upload(path: Path, place: str, environ: Mapping[str, str]) -> None:
    """A file as an object. Raises UserError."""
    import obstore
    from obstore.store import from_url

    folder, _, name = place.rpartition("/")
    with explained(place):
        store = from_url(folder, **store_options(place, environ))
        obstore.put(store, name, path)


def parquet() -> ModuleType:
    """pyarrow.parquet. Raises UserError where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError("Parquet needs pyarrow", hint="pip install 'fairlead[parquet]'") from None
    module: ModuleType = pyarrow.parquet
    return module


def parquet_rows(path: Path) -> Iterator[bytes]:
    """A Parquet file as lines of JSON. Raises UserError for what is none."""
    import pyarrow

    try:
        with parquet().ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    yield msgspec.json.encode(as_row(row)) + b"\n"
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"no Parquet file: {str(error)[:200]}", where=str(path)) from error


def as_row(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row as the API has them: a body in JSON is read, and what a struct leaves empty is left out."""
    body = columns.get("body")
    if isinstance(body, str):
        body = msgspec.Raw(body.encode())
    return {"method": "POST", **without_nothing(columns), "body": without_nothing(body)}


def without_nothing(value: Any) -> Any:
    """Without the keys that hold null: a struct has all keys of all rows."""
    if isinstance(value, dict):
        return {key: without_nothing(item) for key, item in value.items() if item is not None}
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


def write_parquet(results: Path, path: Path) -> None:
    """Results as columns: the id, the HTTP status, the answer's JSON as text, and its tokens."""
    import pyarrow

    texts, numbers = ("custom_id", "body"), ("status_code", "prompt_tokens", "completion_tokens")
    columns = [(name, pyarrow.string()) for name in texts] + [(name, pyarrow.int64()) for name in numbers]
    schema = pyarrow.schema(columns)
    with results.open("rb") as lines, parquet().ParquetWriter(path, schema) as writer:
        while rows := [columns_of(line) for line in islice(lines, ROWS_AT_ONCE)]:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def columns_of(line: bytes) -> dict[str, Any]:
    """A line of the results."""
    answer = answered(line)
    used = tokens_of(answer.body)
    return {
        "custom_id": answer.custom_id,
        "body": answer.body.decode(),
        "status_code": answer.status,
        "prompt_tokens": used.prompt,
        "completion_tokens": used.completion,
    }
