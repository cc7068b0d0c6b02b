"""What stands beside the checkout, where it does: the documents, the good examples and the vendors' samples."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"


def beside(*names: str) -> Path:
    """A path beside the checkout; the test is skipped where it is not there."""
    path = SHARED.joinpath(*names)
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path
