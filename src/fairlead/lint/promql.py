"""What can be told of a PromQL expression without evaluating it: the metrics it names, and how it calls functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:.]*)
    |(?P<number>[0-9][0-9a-zA-Z_.]*)|(?P<variable>\$\{?[\w:]+\}?)|(?P<mark>\S)""",
    re.VERBOSE,
)
LISTED = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2", "start", "end", *LISTED}
OPENING, CLOSING = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that an expression names, with the offset of its name."""

    name: str
    offset: int


def metrics(expression: str) -> Iterator[Metric]:
    """The metrics of an expression: names that are no function, no keyword and no label."""
    depth_of_labels = 0
    listed = False
    tokens = [match for match in TOKEN.finditer(expression) if match.lastgroup != "string"]
    for index, match in enumerate(tokens):
        text = match[0]
        follows = tokens[index + 1][0] if index + 1 < len(tokens) else ""
        if text in ("{", "["):
            depth_of_labels += 1
        elif text in ("}", "]"):
            depth_of_labels -= 1
        elif listed:
            listed = text != ")"
        elif match.lastgroup == "name" and not depth_of_labels:
            if text.lower() in LISTED and follows == "(":
                listed = True
            elif text.lower() not in WORDS and follows != "(":
                yield Metric(text, match.start())


def calls(expression: str, function: str) -> Iterator[tuple[int, list[str]]]:
    """(offset, arguments) of each call of a function."""
    for match in re.finditer(rf"\b{function}\s*\(", expression):
        arguments, depth, start = [], 1, match.end()
        for offset in range(match.end(), len(expression)):
            letter = expression[offset]
            depth += (letter in OPENING) - (letter in CLOSING)
            if depth == 0 or (depth == 1 and letter == ","):
                arguments.append(expression[start:offset].strip())
                start = offset + 1
            if depth == 0:
                break
        yield match.start(), arguments
