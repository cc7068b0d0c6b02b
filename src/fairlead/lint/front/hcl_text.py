"""Terraform to trees with positions: a block is a mapping under its type, its labels under `labels`; values that are
expressions stay their source text, so `var.region` is the string `var.region`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tree_sitter import Node

from fairlead.lint.front.grammar import parser, place, source
from fairlead.lint.front.yaml_text import DEEPEST, Broken
from fairlead.lint.tree import Map, Place, Seq


def parse_hcl(text: str, first_line: int = 1, indent: int = 0) -> Map:
    """The file as one mapping: block type -> list of blocks, attribute -> value. Raises Broken."""
    root = parser("hcl").parse(text.encode()).root_node
    if root.has_error:
        raise Broken("not HCL", place(_first_error(root), first_line, indent))
    made = Map(Place(first_line, 1))
    for body in root.named_children:
        if body.type == "body":
            _body(body, made, _Offset(first_line, indent), 0)
    return made


class _Offset:
    def __init__(self, first_line: int, indent: int) -> None:
        self.first_line, self.indent = first_line, indent

    def of(self, node: Node) -> Place:
        return place(node, self.first_line, self.indent)


def _first_error(node: Node) -> Node:
    while True:
        inner = next((child for child in node.children if child.has_error or child.is_missing), None)
        if inner is None or node.type == "ERROR":
            return node
        node = inner


def _body(body: Node, into: Map, offset: _Offset, depth: int) -> None:
    if depth > DEEPEST:
        raise Broken(f"nested deeper than {DEEPEST} levels", offset.of(body), bound=True)
    for child in body.named_children:
        if child.type == "attribute":
            name, value = child.named_children[0], child.named_children[1]
            _put(into, source(name), _value(value, offset, depth + 1), offset.of(name), offset.of(value))
        elif child.type == "block":
            _block(child, into, offset, depth + 1)


def _block(block: Node, into: Map, offset: _Offset, depth: int) -> None:
    kind, made, labels = "", Map(offset.of(block)), Seq(offset.of(block))
    for child in block.named_children:
        if child.type in ("identifier", "string_lit") and not kind:
            kind = source(child)
        elif child.type in ("identifier", "string_lit"):
            labels.append(source(child).strip('"'))
            labels.items_at.append(offset.of(child))
        elif child.type == "body":
            _body(child, made, offset, depth)
    if labels:
        _put(made, "labels", labels, made.at, made.at)
    if kind not in into:
        _put(into, kind, Seq(made.at), made.at, made.at)
    holder = into[kind]
    if isinstance(holder, Seq):
        holder.append(made)
        holder.items_at.append(made.at)


def _value(node: Node, offset: _Offset, depth: int) -> Any:
    """A literal as Python's value, a list or an object as Seq or Map, anything else as its source text."""
    if depth > DEEPEST:
        raise Broken(f"nested deeper than {DEEPEST} levels", offset.of(node), bound=True)
    inner = node.named_children
    if node.type in ("expression", "literal_value", "collection_value") and len(inner) == 1:
        return _value(inner[0], offset, depth + 1)
    if node.type in _LITERALS:
        return _LITERALS[node.type](source(node))
    if node.type == "tuple":
        return _tuple(node, offset, depth + 1)
    if node.type == "object":
        return _object(node, offset, depth + 1)
    return source(node).strip('"')


_LITERALS: Mapping[str, Callable[[str], Any]] = {
    "string_lit": lambda text: text[1:-1],
    "numeric_lit": lambda text: int(text) if text.isdigit() else float(text),
    "bool_lit": lambda text: text == "true",
}


def _tuple(node: Node, offset: _Offset, depth: int) -> Seq:
    made = Seq(offset.of(node))
    for item in node.named_children:
        if item.type == "expression":
            made.append(_value(item, offset, depth))
            made.items_at.append(offset.of(item))
    return made


def _object(node: Node, offset: _Offset, depth: int) -> Map:
    made = Map(offset.of(node))
    for item in node.named_children:
        if item.type == "object_elem" and len(item.named_children) >= 2:
            key, value = item.named_children[0], item.named_children[-1]
            _put(made, source(key).strip('"'), _value(value, offset, depth), offset.of(key), offset.of(value))
    return made


def _put(into: Map, key: str, value: Any, key_at: Place, value_at: Place) -> None:
    into[key] = value
    into.keys_at[key], into.values_at[key] = key_at, value_at
