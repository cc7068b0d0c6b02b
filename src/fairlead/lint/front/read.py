"""One file's bytes to its documents. A file that cannot be read gives one problem, never an exception."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fairlead.lint.finding import Hit
from fairlead.lint.front import embedded
from fairlead.lint.front.dockerfile import parse_dockerfile
from fairlead.lint.front.hcl_text import parse_hcl
from fairlead.lint.front.json_text import parse_json
from fairlead.lint.front.markdown import blocks
from fairlead.lint.front.shell_text import parse_shell
from fairlead.lint.front.yaml_text import Broken, parse_yaml
from fairlead.lint.tree import Document

LARGEST = 10_000_000  # bytes; the API server refuses objects above 1.5 MB (etcd's default)
SUFFIXES = {
    ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".tf": "hcl", ".tfvars": "hcl", ".sh": "shell", ".bash": "shell",
    ".py": "python", ".md": "page", ".markdown": "page", ".txt": "page", ".groovy": "groovy",
    ".dockerfile": "dockerfile",
}  # fmt: skip
NAMES = {"dockerfile": "dockerfile", "containerfile": "dockerfile", "jenkinsfile": "groovy"}
HEREDOC = re.compile(r"^\s*apiVersion:", re.MULTILINE)
GROOVY_SCRIPT = re.compile(r"\bsh\s*(?:\(\s*)?(?P<quote>'''|\"\"\"|'|\")(?P<script>.*?)(?P=quote)", re.DOTALL)
TEMPLATE = re.compile(r"\{\{-?\s*[\w.$(/\"]")


@dataclass(frozen=True, slots=True)
class File:
    """What was read of one file. `text` is "" where it could not be read."""

    path: str
    language: str
    text: str
    documents: tuple[Document, ...]
    unreadable: tuple[Hit, ...] = ()  # grammar
    beyond_bounds: tuple[Hit, ...] = ()  # size, depth, bytes that are no text
    templates: tuple[Hit, ...] = ()  # Helm templates before they are rendered


def language_of(path: str) -> str:
    """The language by the file's name; "" for files that are not read."""
    name = path.rpartition("/")[2].lower()
    for known, language in NAMES.items():
        if name == known or name.startswith(known + "."):
            return language
    return SUFFIXES.get("." + name.rpartition(".")[2] if "." in name else "", "")


def too_large(path: str, size: int) -> File:
    """What is told of a file that nobody reads: `size` bytes are more than LARGEST."""
    message = f"{size / 1e6:.0f} MB are more than the {LARGEST / 1e6:.0f} MB that are read"
    return File(path, language_of(path), "", (), beyond_bounds=(Hit(path, 1, 1, message),))


def read(path: str, content: bytes) -> File:
    """The documents of a file, by its name."""
    if len(content) > LARGEST:
        return too_large(path, len(content))
    language = language_of(path)
    text = content.decode("utf-8", "replace").replace("\r\n", "\n").removeprefix("\ufeff")
    if b"\0" in content or text.count("\ufffd") * 10 > len(text):
        return File(path, language, "", (), beyond_bounds=(Hit(path, 1, 1, "not a text"),))
    reader = _Reader(path)
    reader.take(language, text, 1, 0)
    return File(
        path,
        language,
        text,
        tuple(reader.documents),
        tuple(reader.unreadable),
        tuple(reader.beyond_bounds),
        tuple(reader.templates),
    )


class _Reader:
    """Collects the documents of one file, those inside others included."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.documents: list[Document] = []
        self.unreadable: list[Hit] = []
        self.beyond_bounds: list[Hit] = []
        self.templates: list[Hit] = []

    def take(self, language: str, text: str, first_line: int, indent: int, *, excerpt: bool = False) -> None:
        """Add the documents of a text."""
        if language == "page":
            self._page(text)
        elif language in ("yaml", "json", "hcl"):
            self._trees(language, text, first_line, indent, excerpt=excerpt)
        elif language == "shell":
            self._shell(text, first_line, indent, excerpt=excerpt)
        elif language == "groovy":
            commands = tuple(command for script in _groovy(text, first_line) for command in script)
            self._add(Document(self.path, language, text, first_line, None, commands, excerpt))
        elif language == "dockerfile":
            commands = parse_dockerfile(text, first_line)
            self._add(Document(self.path, language, text, first_line, None, commands, excerpt))
        elif language == "python":
            self._add(Document(self.path, language, text, first_line, excerpt=excerpt))

    def _page(self, text: str) -> None:
        for block in blocks(text):
            self.take(block.language, block.text, block.first_line, block.indent, excerpt=True)

    def _shell(self, text: str, first_line: int, indent: int, *, excerpt: bool) -> None:
        commands, heredocs = parse_shell(text, first_line, indent)
        self._add(Document(self.path, "shell", text, first_line, None, commands, excerpt))
        for inner, line in heredocs:
            if HEREDOC.search(inner):
                self._trees("yaml", inner, line, indent, excerpt=excerpt)

    def _trees(
        self,
        language: str,
        text: str,
        first_line: int,
        indent: int,
        *,
        excerpt: bool = False,
        role: str = "",
        parent: Document | None = None,
    ) -> None:
        try:
            for root in _PARSERS[language](text, first_line, indent):
                if isinstance(root, str) and excerpt:  # a block that says `yaml` and holds a command
                    self._shell(text, first_line, indent, excerpt=excerpt)
                    return
                part = role or _role(self.path, root)
                self._tree(Document(self.path, language, text, first_line, root, (), excerpt, part, parent))
        except Broken as error:
            self._broken(error, text)

    def _tree(self, document: Document) -> None:
        self._add(document)
        for script in embedded.scripts(document):
            self._add(script)
        for language, text, first_line, role in embedded.texts(document):
            self._trees(language, text, first_line, 0, excerpt=document.excerpt, role=role, parent=document)

    def _add(self, document: Document) -> None:
        self.documents.append(document)

    def _broken(self, error: Broken, text: str) -> None:
        hit = Hit(self.path, error.place.line, error.place.column, error.message)
        if error.bound:
            self.beyond_bounds.append(hit)
        elif TEMPLATE.search(text):
            self.templates.append(hit)
        else:
            self.unreadable.append(hit)


def _role(path: str, root: Any) -> str:
    """What a tree is, where its place or its keys say so."""
    if not isinstance(root, dict):
        return ""
    if "/.github/workflows/" in f"/{path}" or ("jobs" in root and ("on" in root or "true" in root)):
        return "workflow"
    return "serve-config" if "applications" in root and "apiVersion" not in root else ""


def _groovy(text: str, first_line: int) -> Iterator[tuple[Any, ...]]:
    for found in GROOVY_SCRIPT.finditer(text):
        line = first_line + text.count("\n", 0, found.start("script"))
        yield parse_shell(found["script"], line)[0]


_PARSERS: dict[str, Callable[[str, int, int], Iterator[Any]]] = {
    "yaml": parse_yaml,
    "json": lambda text, line, indent: iter([parse_json(text, line, indent)]),
    "hcl": lambda text, line, indent: iter([parse_hcl(text, line, indent)]),
}
