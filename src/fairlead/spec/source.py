"""Where a model's weights come from, as text: every kind that can be fetched, and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fairlead.spec.problems import FieldError, nearest

DEMO_VERSIONS = ("v1", "v2")

# scheme -> what follows it, and how to write one
_REMOTE: Mapping[str, tuple[str, str]] = {
    "hf": (r"[\w.-]+/[\w.-]+(/[\w./+-]+)?@[\w./-]+", "hf://org/name@revision; the revision says which weights"),
    "s3": (r"[a-z0-9][a-z0-9.-]+/\S+", "s3://bucket/folder"),
    "gs": (r"[a-z0-9][a-z0-9._-]+/\S+", "gs://bucket/folder"),
    "az": (r"[a-z0-9][a-z0-9-]+/\S+", "az://container/folder"),
}


def check_source(source: str) -> str:
    """The source itself, or a `FieldError` that says how to write one of that kind."""
    scheme, separator, rest = source.partition("://")
    if separator:
        return _check_remote(source, scheme, rest)
    if source.startswith("demo:"):
        return _check_demo(source)
    if not source.startswith(("./", "../", "/", "~/")) or "\0" in source:
        hint = "a folder or .gguf file starts with ./ or /; else demo:v1, hf://, s3://, gs:// or az://"
        raise FieldError(f"{source[:60]!r} is no source of a model", hint)
    return source


def is_gguf(source: str) -> bool:
    """Whether it names one GGUF file and not a folder of weights."""
    return source.partition("@")[0].endswith(".gguf")


def _check_remote(source: str, scheme: str, rest: str) -> str:
    if scheme not in _REMOTE:
        raise FieldError(f"nothing fetches {scheme[:20]}:// sources", nearest(scheme, _REMOTE, otherwise="schemes"))
    pattern, example = _REMOTE[scheme]
    if not re.fullmatch(pattern, rest, re.ASCII) or ".." in rest.split("/"):
        raise FieldError(f"{source[:60]!r} is no {scheme}:// source", f"write {example}")
    return source


def _check_demo(source: str) -> str:
    version = source.removeprefix("demo:")
    if version not in DEMO_VERSIONS:
        known = ", ".join(f"demo:{known}" for known in DEMO_VERSIONS)
        raise FieldError(f"there is no demo model {version[:20]!r}", f"known: {known}")
    return source
