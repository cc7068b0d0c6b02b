"""Rows for Ray Data: what Ray cannot answer is told a row at a time, and a worker that dies is told with its words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from fairlead.batch.ray_engine import RayDataEngine, answer_of
from fairlead.engine.ray.commands import Joined
from fairlead.engine.ray.data_worker import answer
from fairlead.errors import UserError
from fairlead.store.batch_rows import Answer, Row

NOBODY = Joined(sys.executable, "LOCALHOST:1", {"PYTHONPATH": ""})
MODELS = {"demo": "demo", "alias": "demo"}

RESULTS = {
    "an answer": ({"custom_id": "a", "answer": '{"choices":[]}'}, Answer("a", 200, body=b'{"choices":[]}')),
    "the engine's refusal": (
        {"custom_id": "a", "answer": '{"error":{"message":"no","code":400}}'},
        Answer("a", 400, body=b'{"error":{"message":"no","code":400}}'),
    ),
    "a refusal without a number": (
        {"custom_id": "a", "answer": '{"error":{"message":"no","code":null}}'},
        Answer("a", 500, body=b'{"error":{"message":"no","code":null}}'),
    ),
    "a row that broke": (
        {"custom_id": "a", "error": "ValueError: no"},
        Answer("a", code="engine_error", message="ValueError: no"),
    ),
}


@pytest.mark.parametrize(("result", "expected"), RESULTS.values(), ids=RESULTS)
def test_a_result_is_an_answer(result: dict[str, object], expected: Answer) -> None:
    assert answer_of(result) == expected


def test_an_answer_has_no_keys_of_an_error_nor_the_other_way_round() -> None:
    """Rows of one block have all keys that any of them has."""
    good = {"custom_id": "a", "body": "{}", "choices": [{"index": 0}], "usage": None, "error": None, "__index": 1}
    bad = {"custom_id": "b", "body": "{}", "choices": None, "usage": None, "error": {"message": "no", "code": 400}}
    assert json.loads(answer(good)) == {"choices": [{"index": 0}], "usage": None}
    assert json.loads(answer(bad)) == {"error": {"message": "no", "code": 400}}


def test_what_ray_does_not_serve_is_told_row_by_row(tmp_path: Path) -> None:
    rows = [row("a", "far", "/v1/chat/completions"), row("b", "demo", "/v1/embeddings")]
    told: dict[str, Answer] = {}
    RayDataEngine(tmp_path, NOBODY, "fleet", MODELS)(rows, lambda row, answer: told.update({row.custom_id: answer}))
    assert "no model 'far' on Ray" in told["a"].message
    assert "no /v1/embeddings on Ray" in told["b"].message


def test_a_worker_that_dies_is_told_with_its_words(tmp_path: Path) -> None:
    """This interpreter has no Ray."""
    told: list[Answer] = []
    with pytest.raises(UserError, match="left 2 rows of demo unanswered") as refusal:
        RayDataEngine(tmp_path, NOBODY, "fleet", MODELS)(
            [row("a", "demo"), row("b", "alias")], lambda row, answer: told.append(answer)
        )
    assert "No module named 'ray'" in str(refusal.value)
    assert told == []
    assert list(tmp_path.iterdir()) == []


def row(custom_id: str, model: str, url: str = "/v1/chat/completions") -> Row:
    return Row(custom_id, url, model, json.dumps({"model": model, "messages": []}).encode(), 1)
