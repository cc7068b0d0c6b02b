"""The vendors' samples, unpacked once."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from lint.places import beside


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the 304 samples."""
    folder = tmp_path_factory.mktemp("samples")
    with tarfile.open(beside("data", "samples", "vendor-samples.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    return folder
