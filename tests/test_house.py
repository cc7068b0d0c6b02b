"""The house keeps its own rules: who may import whom, what the pure rooms may not touch, and how large things get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "fairlead"
FILES = sorted(SOURCE.rglob("*.py"))

# anybody may import these; "" is fairlead itself (its version)
LEAVES = {"errors", "units", "signals", "variables", "addresses", "demo", ""}
MAY_IMPORT: dict[str, set[str]] = {
    "spec": set(),
    "catalog": set(),
    "policy": set(),
    "store": set(),
    "engine": set(),
    "schemas": {"spec"},
    "plan": {"catalog", "spec"},
    "render": {"plan", "catalog", "spec", "schemas"},
    "lint": {"plan", "catalog", "spec"},
    "gateway": {"policy", "store"},
    "batch": {"engine", "policy", "store", "spec"},
    "ops": {"render", "plan", "catalog", "spec", "store", "engine", "batch", "lint", "schemas"},
    "console": {"ops"},
    "cli": {"ops", "render", "plan", "catalog", "spec", "store", "engine", "batch", "lint", "gateway", "console"},
}
PURE = {"spec", "schemas", "catalog", "plan", "render", "lint", "policy"}
IMPURE_MODULES = {"asyncio", "httpx", "os", "random", "secrets", "socket", "subprocess", "threading", "time", "uuid"}
LONGEST_FILE = 400
LONGEST_FUNCTION = 50
LONGER_FOR_A_REASON: dict[str, str] = {}


def room(path: Path) -> str:
    """The package of a file; modules of the root are rooms of their own."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also late."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def rooms_imported(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    parts = [name.split(".") for name in imports(path)]
    rooms = {names[1] for names in parts if names[0] == "fairlead" and len(names) > 1}
    return {name for name in rooms if (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path: Path) -> None:
    here = room(path)
    if here in LEAVES:
        assert rooms_imported(path) <= LEAVES
        return
    assert rooms_imported(path) - {here} - LEAVES <= MAY_IMPORT[here], f"{here} may import {MAY_IMPORT[here]}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if room(path) in PURE], ids=lambda path: str(path.relative_to(SOURCE))
)
def test_pure_rooms_touch_nothing(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path)} & IMPURE_MODULES == set()


def test_nothing_is_too_large() -> None:
    found = [f"{path.relative_to(SOURCE)}: {lines} lines" for path in FILES if (lines := length(path)) > LONGEST_FILE]
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION and node.name not in LONGER_FOR_A_REASON:
                    found.append(f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}: {lines} lines")
    assert found == []


def length(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_only_words_print() -> None:
    """Ruff forbids print everywhere but in cli/; this forbids environment reads outside the edge."""
    readers = {
        str(path.relative_to(SOURCE))
        for path in FILES
        if "os.environ[" in path.read_text() or "os.getenv" in path.read_text()
    }
    assert readers == set()
