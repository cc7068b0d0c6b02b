"""The tree-sitter grammars, loaded once, and what both of their readers need of a node."""

from __future__ import annotations

from functools import cache

from tree_sitter import Language, Node, Parser

from fairlead.lint.tree import Place


@cache
def parser(name: str) -> Parser:
    """The parser of `bash` or `hcl`."""
    import tree_sitter_bash
    import tree_sitter_hcl

    modules = {"bash": tree_sitter_bash, "hcl": tree_sitter_hcl}
    return Parser(Language(modules[name].language()))


def source(node: Node) -> str:
    """A node's text."""
    return (node.text or b"").decode("utf-8", "replace")


def place(node: Node, first_line: int, indent: int = 0) -> Place:
    """Where a node stands in the file that its text was cut from."""
    return Place(first_line + node.start_point.row, 1 + indent + node.start_point.column)
