"""The batch example of OpenAI's documentation with the official client; the same file runs with openai 1.x, 2.x, 3.x.

Reads BASE_URL, API_KEY and MODEL from the environment; prints the version, then each result's id and text.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import openai

client = openai.OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key=os.environ["API_KEY"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batchinput.jsonl"
        path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(20)))
        with path.open("rb") as opened:
            file = client.files.create(file=opened, purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"description": "nightly eval job"},
    )
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    assert batch.output_file_id, batch
    text = client.files.content(batch.output_file_id).text
    assert [each.id for each in client.batches.list(limit=10)] == [batch.id]
    ids = sorted(json.loads(line)["custom_id"] for line in text.splitlines())
    print(json.dumps({"version": openai.__version__, "status": batch.status, "ids": ids}))


def row(number: int) -> object:
    messages = [{"role": "user", "content": f"question {number}"}]
    body = {"model": os.environ["MODEL"], "messages": messages, "max_tokens": 8}
    return {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


main()
