"""Documents inside documents: serveConfigV2, files in ConfigMaps, steps of workflows, commands of containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.lint.front.shell_text import parse_shell
from fairlead.lint.tree import Command, Document, Map, Text, Word, as_map, dig, walk

SHELLS = {"sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/bash", "/bin/ash"}


def scripts(document: Document) -> Iterator[Document]:
    """What a YAML document runs: `run:` of workflow steps, `command` and `args` of containers."""
    for node in walk(document.root):
        if not isinstance(node, Map):
            continue
        if isinstance(node.get("run"), str) and document.role == "workflow":
            text = node["run"]
            yield _script(document, text, _first_line(node, "run"), None)
        if isinstance(node.get("command"), list) or isinstance(node.get("args"), list):
            yield from _container(document, node)


def texts(document: Document) -> Iterator[tuple[str, str, int, str]]:
    """Texts that are files themselves, as (language, text, first line, role)."""
    root = document.root
    config = dig(root, "spec", "serveConfigV2")
    if isinstance(config, str):
        yield "yaml", config, _first_line(root["spec"], "serveConfigV2"), "serve-config"
    if document.api == "v1/ConfigMap":
        contents = as_map(root.get("data"))
        for name, text in contents.items():
            if isinstance(text, str) and name.endswith((".yaml", ".yml", ".json")):
                language = "json" if name.endswith(".json") else "yaml"
                yield language, text, _first_line(contents, name), "config-file"


def _first_line(holder: Map, key: str) -> int:
    value: Any = holder[key]
    return value.first_line if isinstance(value, Text) else holder.values_at[key].line


def _script(document: Document, text: str, first_line: int, holder: Map | None) -> Document:
    commands, _ = parse_shell(text, first_line)
    return Document(document.file, "shell", text, first_line, None, commands, document.excerpt, "", document, holder)


def _container(document: Document, container: Map) -> Iterator[Document]:
    """The command of a container: a script after `sh -c`, else the words as they stand."""
    words: list[Word] = []
    for key in ("command", "args"):
        listed = container.get(key)
        if not isinstance(listed, list):
            continue
        for index, item in enumerate(listed):
            if words and words[0].text in SHELLS and isinstance(item, str) and _follows_dash_c(words):
                first = item.first_line if isinstance(item, Text) else listed.place(index).line  # type: ignore[attr-defined]
                yield _script(document, item, first, container)
                return
            place = listed.place(index)  # type: ignore[attr-defined]
            words.append(Word(str(item), place.line, place.column))
    if words:
        line = words[0].line
        commands = (Command(tuple(words)),)
        yield Document(document.file, "shell", "", line, None, commands, document.excerpt, "", document, container)


def _follows_dash_c(words: list[Word]) -> bool:
    """Whether the next word is the script: `-c`, `-lc`, `-exc` and the like stand before it."""
    last = words[-1].text
    return last.startswith("-") and not last.startswith("--") and last.endswith("c")
