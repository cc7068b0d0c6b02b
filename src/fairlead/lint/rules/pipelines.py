"""Pipelines: actions that somebody else can change, keys that do not expire, Python that is out of support."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder, value_hit
from fairlead.lint.rule import Check

SHA = re.compile(r"[0-9a-f]{40}$")
OLDEST_PYTHON = (3, 11)  # 3.10 is out of support since 2026-10-31 (PEP 619)


def moving_actions(folder: Folder) -> Iterator[Hit]:
    """D-30: tags that move, static keys, an interpreter that gets no fixes."""
    for document, holder, key in folder.having("uses", "aws-access-key-id", "aws-secret-access-key", "python-version"):
        if document.role != "workflow":
            continue
        value = holder[key]
        if key == "uses" and isinstance(value, str) and "@" in value and not value.startswith(("./", "docker://")):
            if not SHA.search(value):
                yield value_hit(document, holder, key, f"{value} is whatever its owner pushes under that tag")
        elif key.startswith("aws-"):
            yield Hit(
                document.file,
                *holder.place(key),
                "a static key in the pipeline: use OIDC (role-to-assume)",
                severity="error",
            )
        elif key == "python-version" and _old_python(str(value)):
            yield value_hit(document, holder, key, f"Python {value} gets no security fixes any more")


def _old_python(text: str) -> bool:
    match = re.match(r"(\d+)\.(\d+)", text)
    return bool(match) and (int(match[1]), int(match[2])) < OLDEST_PYTHON if match else False


CHECKS: Mapping[str, Check] = {"D-30": moving_actions}
