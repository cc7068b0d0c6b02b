"""Rows for batches, and what they were answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TOPICS = (
    "What is Fairlead?",
    "Who are you?",
    "What is a KV cache?",
    "What does TTFT mean?",
    "What is 3 plus 4?",
    "hello",
)


def rows(count: int) -> list[dict[str, Any]]:
    """Greedy questions; each row has another set of keys than the one before."""
    made = []
    for number in range(count):
        body: dict[str, Any] = {
            "model": "demo",
            "messages": [{"role": "user", "content": TOPICS[number % len(TOPICS)]}],
            "temperature": 0,
            "max_tokens": 8 + number % 32,
        }
        if number % 3 == 0:
            body["stop"] = ["."]
        if number % 5 == 0:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"enum": ["a", "b"]}},
            }
        made.append({"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
    return made


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def answers(path: Path) -> dict[str, tuple[str, str, int]]:
    """custom_id -> text, reason of its end, tokens; each id once."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found: dict[str, tuple[str, str, int]] = {}
    for line in lines:
        body = line["response"]["body"]
        choice = body["choices"][0]
        told = (choice["message"]["content"], choice["finish_reason"], body["usage"]["completion_tokens"])
        assert found.setdefault(line["custom_id"], told) is told, "answered twice"
    return found
