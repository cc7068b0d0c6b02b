"""`python data_worker.py JOB.json FD`: rows through a model that Ray Serve runs, by Ray Data; results to a pipe.

It runs in the interpreter that has Ray, and stands on the standard library, Ray and vLLM alone. The job names the
deployment and a file of rows; each answered row is one line of JSON on the descriptor, in the order of the answers.
Rows travel as text: as columns, Arrow would give every row all keys that any row has.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

BATCH = 32  # rows that one call of the stage has in flight; several calls overlap
BLOCK = 64  # rows of a block: results come when a block is done


def main() -> None:
    """Answer all rows."""
    job, out = json.loads(Path(sys.argv[1]).read_text()), os.fdopen(int(sys.argv[2]), "w", buffering=1)
    import ray
    from ray.data.llm import ServeDeploymentProcessorConfig, build_processor

    ray.init(address=job["address"], log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = [json.loads(line) for line in Path(job["rows"]).read_text().splitlines()]
    config = ServeDeploymentProcessorConfig(
        deployment_name=job["deployment"],
        app_name=job["app"],
        dtype_mapping={"text": request_class(job["method"])},
        batch_size=BATCH,
        concurrency=1,
        should_continue_on_error=True,
    )
    processor = build_processor(
        config,
        preprocess=lambda row: {"method": job["method"], "dtype": "text", "request_kwargs": {"body": row["body"]}},
        postprocess=lambda row: {"custom_id": row["custom_id"], "answer": answer(row)},
        preprocess_map_kwargs={"num_cpus": 0},
        postprocess_map_kwargs={"num_cpus": 0},
    )
    for name in processor.list_stage_names():  # it only waits for Serve, and a CPU of its own it would never get
        processor.get_stage_by_name(name).map_batches_kwargs["num_cpus"] = 0
    dataset = ray.data.from_items(rows, override_num_blocks=max(1, len(rows) // BLOCK))
    for row in processor(dataset).iter_rows():
        out.write(json.dumps(told(row)) + "\n")


def request_class(method: str) -> type:
    """A class that makes a request of a row's text, as vLLM's own server would. Only the stage needs vLLM for it."""
    kind = {"chat": "ChatCompletionRequest", "completions": "CompletionRequest"}[method]

    class Request:
        def __new__(cls, request_id: str, idx_in_batch: int, body: str) -> Any:
            from ray.serve.llm import openai_api_models

            return getattr(openai_api_models, kind).model_validate_json(body)

    return Request


def answer(row: dict[str, Any]) -> str:
    """What the engine said, as text again: an answer or an error, without the other's keys, which Arrow adds."""
    mine = {"custom_id", "body", "method", "dtype", "request_kwargs", "request_id", "batch_uuid", "time_taken"}
    said = {key: plain(value) for key, value in row.items() if key not in mine and not key.startswith("__")}
    error = said.pop("error", None)
    return json.dumps({"error": error} if error else said)


def plain(value: Any) -> Any:
    """A column's value as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A line of the results; a row that failed in the pipeline says why."""
    if error := row.get("__inference_error__"):
        return {"custom_id": row["custom_id"], "error": error}
    return {"custom_id": row["custom_id"], "answer": row["answer"]}


if __name__ == "__main__":
    main()
