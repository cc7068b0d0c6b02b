"""A Markdown page to its blocks of code, each with the line and the indentation at which its text begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LANGUAGES = {
    "yaml": "yaml", "yml": "yaml", "json": "json", "terraform": "hcl", "hcl": "hcl", "tf": "hcl",
    "bash": "shell", "sh": "shell", "shell": "shell", "console": "shell", "zsh": "shell",
    "python": "python", "py": "python", "groovy": "groovy", "jenkinsfile": "groovy", "dockerfile": "dockerfile",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code of a page."""

    language: str
    text: str
    first_line: int
    indent: int


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page; a language that we do not read gives none."""
    from markdown_it import MarkdownIt

    lines = page.split("\n")
    for token in MarkdownIt("commonmark").parse(page):
        if token.type == "fence" and token.map is not None:
            language = LANGUAGES.get((token.info.split() or [""])[0].lower())
            if language is not None:
                yield Block(language, token.content, token.map[0] + 2, _indent(lines, token.map[0]))


def _indent(lines: list[str], opening: int) -> int:
    """How many columns a list or a quote puts before the block's text."""
    return len(lines[opening]) - len(lines[opening].lstrip(" >"))
