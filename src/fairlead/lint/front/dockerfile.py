"""A Dockerfile to its instructions, and the commands of its RUN lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairlead.lint.front.shell_text import parse_shell
from fairlead.lint.tree import Command, Word

INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)\Z", re.DOTALL)
WORD = re.compile(r"\S+")


def parse_dockerfile(text: str, first_line: int = 1) -> tuple[Command, ...]:
    """Each instruction as a command whose first word is FROM, ENV, USER ...; after a RUN, what it runs."""
    made: list[Command] = []
    for line, logical in _logical_lines(text, first_line):
        match = INSTRUCTION.match(logical)
        if match is None:
            continue
        name, rest = match[1].upper(), match[2]
        words = [Word(found[0], line, 1 + match.start(2) + found.start()) for found in WORD.finditer(rest)]
        made.append(Command((Word(name, line, 1), *words)))
        if name == "RUN":
            made.extend(parse_shell(rest, line, match.start(2))[0])
    return tuple(made)


def _logical_lines(text: str, first_line: int) -> Iterator[tuple[int, str]]:
    """Lines joined over a backslash at their end; comments left out."""
    held: list[str] = []
    start = first_line
    for number, line in enumerate(text.split("\n"), first_line):
        if line.lstrip().startswith("#"):
            continue
        start = start if held else number
        held.append(line)
        if not line.rstrip().endswith("\\"):
            yield start, "\n".join(held)
            held = []
    if held:
        yield start, "\n".join(held)
