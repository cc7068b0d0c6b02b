"""Python beside the manifests: a refusal answered with 200, a load test that measures something else, a field gone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder
from fairlead.lint.rule import Check
from fairlead.lint.tree import Document

TUPLE_ANSWER = re.compile(r"return\s+\{[^{}]*\}\s*,\s*(4\d\d|5\d\d)\b")
FLASK = re.compile(r"\bflask\b|Flask\(")
CHARACTERS = re.compile(r"""len\([^\n]*(?:\.get\(["']text["']|\[["']text["']\]|\.text\b)""")
SUMMED = re.compile(r"sum\(\s*\w*tokens\w*\s*\)\s*/\s*sum\(\s*\w*latenc\w*\s*\)")
PROCESSOR = re.compile(r"vLLMEngineProcessorConfig\((?P<arguments>(?:[^()]|\([^()]*\))*)\)")
MODEL = re.compile(r"(?<![\w.])model\s*=")


def refusal_as_tuple(folder: Folder) -> Iterator[Hit]:
    """D-17: `return {...}, 401` is Flask's way; Ray Serve answers 200 with a list."""
    for document in folder.scripts("python"):
        if "serve.deployment" in document.text and not FLASK.search(document.text):
            for match in TUPLE_ANSWER.finditer(document.text):
                yield _at(document, match.start(), f"Serve sends this as 200 with a list, not as {match[1]}")


def wrong_throughput(folder: Folder) -> Iterator[Hit]:
    """D-34: characters for tokens, and a sum of latencies for time."""
    for document in folder.scripts("python"):
        if "latenc" in document.text:
            for match in CHARACTERS.finditer(document.text):
                yield _at(document, match.start(), "the length of a text is characters, not tokens: read `usage`")
            for match in SUMMED.finditer(document.text):
                yield _at(
                    document, match.start(), "tokens over the sum of latencies is no throughput: divide by wall time"
                )


def processor_model(folder: Folder) -> Iterator[Hit]:
    """D-37: the field is `model_source`, and the processor has to be built."""
    for document in folder.scripts("python"):
        for call in PROCESSOR.finditer(document.text):
            for match in MODEL.finditer(call["arguments"]):
                start = call.start("arguments") + match.start()
                yield _at(document, start, "vLLMEngineProcessorConfig has no `model`: it is `model_source`")


def _at(document: Document, offset: int, message: str) -> Hit:
    """A finding at an offset of a document's text. Columns are those of the text, without a page's indentation."""
    before = document.text[:offset]
    return Hit(document.file, document.first_line + before.count("\n"), offset - before.rfind("\n"), message)


CHECKS: Mapping[str, Check] = {"D-17": refusal_as_tuple, "D-34": wrong_throughput, "D-37": processor_model}
