"""A gateway with the batch API, and rows to ask it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gateway.conftest import build, house, shared_house

__all__ = ["build", "house", "shared_house"]


def row(number: int, **fields: Any) -> dict[str, Any]:
    """A row whose answer has `number % 7 + 1` tokens."""
    body = {
        "model": "m0",
        "messages": [{"role": "user", "content": f"question {number}"}],
        "max_tokens": number % 7 + 1,
    }
    return {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body, **fields}


def write(path: Path, rows: Iterable[Any]) -> Path:
    """Rows as JSON Lines; a text stands as it is."""
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
