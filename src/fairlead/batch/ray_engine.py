"""Rows through the models that Ray Serve runs, by Ray Data, past the gateway: no limits and no budgets.

An Engine as batch/engines.py has it. The rows of one model and one operation are one dataset of `ray.data.llm`, worked
off by a process in the interpreter that has Ray (engine/ray/data_worker.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from fairlead.batch.engines import Deliver
from fairlead.engine.ray import data_worker
from fairlead.engine.ray.commands import Joined
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.store.batch_rows import Answer, Row

METHODS: Mapping[str, str] = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
TAIL_BYTES = 4000
UNDER_WAY = "batch-"  # of the folders of runs; one that was killed leaves its own


@dataclass(frozen=True, slots=True)
class RayDataEngine:
    """`models`: public name -> the name of the model on Ray that answers to it. `folder` is for rows under way."""

    folder: Path
    cluster: Joined
    app: str
    models: Mapping[str, str]

    def __call__(self, rows: Iterable[Row], deliver: Deliver) -> None:
        """Answer all rows. Raises UserError when Ray Data does not come to an end."""
        with tempfile.TemporaryDirectory(prefix=UNDER_WAY, dir=self.folder) as folder:
            for (model, method), (path, waiting) in self._sorted(rows, deliver, Path(folder)).items():
                self._run(model, method, path, waiting, deliver)

    def _sorted(
        self, rows: Iterable[Row], deliver: Deliver, folder: Path
    ) -> dict[tuple[str, str], tuple[Path, dict[str, Row]]]:
        """A file of rows for each model and operation, and the rows, less their bodies, by id."""
        found: dict[tuple[str, str], tuple[Path, dict[str, Row]]] = {}
        lines: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        for row in rows:
            model, method = self.models.get(row.model), METHODS.get(row.url)
            if model is None or method is None:
                what = f"no model {row.model!r} on Ray" if model is None else f"no {row.url} on Ray"
                deliver(row, Answer(row.custom_id, code="invalid_request", message=f"There is {what}."))
                continue
            path, waiting = found.setdefault((model, method), (folder / f"{len(found)}.jsonl", {}))
            body = {**msgspec.json.decode(row.body), "model": model}
            lines[model, method].append(
                msgspec.json.encode({"custom_id": row.custom_id, "body": msgspec.json.encode(body).decode()})
            )
            waiting[row.custom_id] = replace(row, body=b"")
        for key, (path, _) in found.items():
            path.write_bytes(b"\n".join(lines[key]) + b"\n")
        return found

    def _run(self, model: str, method: str, path: Path, waiting: dict[str, Row], deliver: Deliver) -> None:
        job = path.with_suffix(".job.json")
        deployment = f"LLMServer:{model.replace('/', '--').replace('.', '_')}"
        told = {"address": self.cluster.address, "app": self.app, "deployment": deployment, "method": method}
        job.write_text(json.dumps({**told, "rows": str(path)}))
        ours, theirs = os.pipe()
        log = path.with_suffix(".log")
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [self.cluster.python, data_worker.__file__, str(job), str(theirs)],
                env={**os.environ, **self.cluster.env},
                pass_fds=(theirs,),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        os.close(theirs)
        try:
            with os.fdopen(ours, "rb") as results:
                for line in results:
                    result = msgspec.json.decode(line)
                    deliver(waiting.pop(result["custom_id"]), answer_of(result))
        finally:
            worker.kill()
            worker.wait()
        if waiting:
            tail = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
            raise UserError(f"Ray Data left {len(waiting)} rows of {model} unanswered:\n{tail}", exit_code=EXIT_FAILED)


def answer_of(result: Mapping[str, Any]) -> Answer:
    """A line of the worker as the row's answer; the engine's own refusal keeps its status."""
    if "error" in result:
        return Answer(result["custom_id"], code="engine_error", message=result["error"][:500])
    body = msgspec.json.decode(result["answer"])
    error = body.get("error")
    status = 200 if not error else error.get("code") if isinstance(error.get("code"), int) else 500
    return Answer(result["custom_id"], int(status), body=result["answer"].encode())
