"""A small whole file that each test changes in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from fairlead.errors import Problem, UserError
from fairlead.spec.load import load

Write = Callable[[str], Path]
Tell = Callable[..., tuple[Problem, ...]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write `fairlead.yaml`; the header is added where the text has none."""

    def write(text: str) -> Path:
        text = dedent(text).lstrip("\n")
        header = "" if "apiVersion" in text else "apiVersion: fairlead/v1\nname: demo\n"
        path = tmp_path / "fairlead.yaml"
        path.write_text(header + text)
        return path

    return write


@pytest.fixture
def tell(write: Write) -> Tell:
    """The problems of a file."""

    def tell(text: str, environment: str | None = None) -> tuple[Problem, ...]:
        with pytest.raises(UserError) as refusal:
            load(write(text), environment)
        return refusal.value.problems

    return tell
