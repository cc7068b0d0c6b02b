"""Shell scripts to the commands that they run, and to the texts that they hand on in here-documents."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node

from fairlead.lint.front.grammar import parser, place, source
from fairlead.lint.tree import Command, Place, Word

ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
WRAPPERS = {"sudo", "exec", "nohup", "time", "command", "env"}


def parse_shell(text: str, first_line: int = 1, indent: int = 0) -> tuple[tuple[Command, ...], list[tuple[str, int]]]:
    """The commands in order, and the here-documents with the line on which each begins.

    Text that is no shell gives what could be made out of it; shellcheck is the judge of grammar.
    """
    commands, heredocs = [], []
    for node in _nodes(parser("bash").parse(text.encode()).root_node):
        if node.type in ("command", "variable_assignment"):
            if words := _unwrapped(tuple(_words(node, first_line, indent))):
                commands.append(Command(words))
        elif node.type == "heredoc_body":
            heredocs.append((source(node), first_line + node.start_point.row))
    return tuple(commands), heredocs


def _nodes(root: Node) -> Iterator[Node]:
    """Every node, in the order of the text."""
    open_ = [root]
    while open_:
        node = open_.pop()
        yield node
        open_.extend(reversed(node.children))


def _words(node: Node, first_line: int, indent: int) -> Iterator[Word]:
    """The words of a command; those after a redirection that the grammar took for its targets as well."""
    if node.type == "variable_assignment":
        yield _word(node, first_line, indent)
        return
    yield from (_word(child, first_line, indent) for child in node.named_children if child.type != "comment")
    parent = node.parent
    if parent is not None and parent.type == "redirected_statement":
        for redirect in parent.named_children:
            if redirect.type == "file_redirect":
                yield from (_word(each, first_line, indent) for each in redirect.named_children)


def _word(node: Node, first_line: int, indent: int) -> Word:
    at: Place = place(node, first_line, indent)
    text = source(node)
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return Word(text[1:-1] if quoted else text.replace('\\"', '"'), at.line, at.column)


def _unwrapped(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Without `sudo`, `env A=b` and the like in front, unless that is all there is."""
    rest = words
    while len(rest) > 1 and (rest[0].text in WRAPPERS or (len(words) > len(rest) and ASSIGNMENT.match(rest[0].text))):
        rest = rest[1:]
    return rest
