"""Tensors come out of a safetensors file one at a time and as numpy; bfloat16, which numpy lacks, widens to float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fairlead.errors import UserError

STORED: Mapping[str, str] = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
HEADER_LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the limit of the reference implementation


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one tensor lies; `read()` loads it."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int  # from the start of the file, in bytes

    def read(self) -> NDArray[Any]:
        """The values: float16 stays, float32 stays, bfloat16 becomes float32 (exact)."""
        count = int(np.prod(self.shape, dtype=np.int64))
        flat = np.fromfile(self.path, dtype=STORED[self.dtype], count=count, offset=self.offset)
        if self.dtype == "BF16":
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        return flat.reshape(self.shape)


def open_tensors(paths: Sequence[Path]) -> dict[str, StoredTensor]:
    """Every tensor of these files by name. Raises UserError on a broken file or a type that we do not convert."""
    return {name: tensor for path in paths for name, tensor in _tensors(path)}


def _tensors(path: Path) -> Iterator[tuple[str, StoredTensor]]:
    header, start = _header(path)
    size = path.stat().st_size
    for name, entry in sorted(header.items()):
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if entry["dtype"] not in STORED:
            raise UserError(
                f"tensor {name} has type {entry['dtype']}",
                where=str(path),
                hint=f"convert the weights to one of {', '.join(STORED)}",
            )
        if start + end > size:
            raise UserError(f"tensor {name} ends beyond the file", where=str(path), hint="fetch the model again")
        yield name, StoredTensor(path, entry["dtype"], tuple(entry["shape"]), start + begin)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    broken = UserError("this is not a safetensors file", where=str(path), hint="fetch the model again")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(HEADER_LENGTH_BYTES), "little")
        if not 0 < length <= MAX_HEADER_BYTES:
            raise broken
        try:
            header = msgspec.json.decode(file.read(length), type=dict[str, Any])
        except msgspec.DecodeError:
            raise broken from None
    return header, HEADER_LENGTH_BYTES + length
