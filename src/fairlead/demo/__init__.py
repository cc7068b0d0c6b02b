"""The demo model, shipped with the package: a standard Hugging Face folder for each version."""

from pathlib import Path


def folder(version: str) -> Path:
    """The folder of `v1` or `v2`."""
    return Path(__file__).with_name(version)
