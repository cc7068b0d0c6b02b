"""The training text of the demo model depends on the seed alone, and keeps the evaluation's questions out."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairlead import demo

SCRIPTS = Path(__file__).parents[2] / "tools" / "demo_model"
DIGEST = """
import hashlib, itertools, json, corpus, knowledge, tokens
def digest(version, seed):
    examples = itertools.islice(corpus.Corpus(version, seed).examples(), 500)
    return hashlib.sha256("\\n".join(map(repr, examples)).encode()).hexdigest()
print(json.dumps({"v1": digest("v1", 1), "v2": digest("v2", 1), "seed": digest("v1", 2)}))
"""
TOKENIZER = "import hashlib, tokens; print(hashlib.sha256(tokens.trained().to_str(pretty=True).encode()).hexdigest())"
LEAKS = """
import itertools, json, corpus, knowledge
seen = {turn.question for version in knowledge.VERSIONS
        for example in itertools.islice(corpus.Corpus(version, 1).examples(), 3000)
        if isinstance(example, corpus.Conversation) for turn in example.turns}
held = {text for version in knowledge.VERSIONS for topic in knowledge.topics(version) for text in topic.held_out}
print(json.dumps({"seen": len(seen), "held": len(held), "both": sorted(seen & held)}))
"""


def printed(script: str, hash_seed: str = "0") -> str:
    """What a script prints in an interpreter of its own, beside the corpus scripts."""
    argv = [sys.executable, "-c", script]
    environment = {"PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    found: dict[str, str] = json.loads(printed(DIGEST))
    return found


def test_same_seed_same_text(digests: dict[str, str]) -> None:
    assert json.loads(printed(DIGEST, hash_seed="1")) == digests


def test_other_seed_or_version_other_text(digests: dict[str, str]) -> None:
    assert len(set(digests.values())) == 3


def test_shipped_tokenizer_is_the_one_that_the_script_trains() -> None:
    shipped = (demo.folder("v1") / "tokenizer.json").read_bytes()
    assert printed(TOKENIZER, hash_seed="2") == hashlib.sha256(shipped).hexdigest()


def test_evaluation_asks_in_words_that_training_never_used() -> None:
    found: dict[str, Any] = json.loads(printed(LEAKS))
    assert found["seen"] > 1000
    assert found["held"] > 100
    assert found["both"] == []
