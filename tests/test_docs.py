"""The reference says what the code does, and a console block in the docs is a command that exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer.main

from fairlead.cli.main import app
from fairlead.cli.service_plan_command import DEFAULT

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^\s*(?:\$ )?fairlead ([a-z]+)(.*)$", re.MULTILINE)
MAKE = re.compile(r"\bmake ([a-z][a-z-]+)\b")


def reference() -> dict[str, str]:
    """The pages as tools/reference.py would write them now."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


def test_the_reference_is_up_to_date() -> None:
    written = {path.name: path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert written == reference(), "run `make docs`"


def console_blocks(page: Path) -> str:
    return "\n".join(re.findall(r"^```(?:console|bash|sh)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_docs_exist(page: Path) -> None:
    root = typer.main.get_command(app)
    commands = dict(getattr(root, "commands", {}))
    for name, rest in COMMAND.findall(console_blocks(page)):
        assert name in commands, f"{page.name}: fairlead {name}"
        command = commands[name]
        words = shlex.split(rest, comments=True)
        inner = getattr(command, "commands", None)
        if inner is not None:
            command = inner[words.pop(0)] if words and words[0] in inner else inner[DEFAULT]
        options = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        unknown = {word for word in words if word.startswith("-") and word not in options}
        assert not unknown, f"{page.name}: fairlead {name} has no {unknown}"


def test_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        quoted = "\n".join([console_blocks(page), *re.findall(r"`(make [a-z-]+)`", page.read_text())])
        assert set(MAKE.findall(quoted)) <= targets, page.name


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
