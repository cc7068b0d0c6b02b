"""Secrets in clear: in environments, in images, in any text that ends in a repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder
from fairlead.lint.rule import Check

TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{34,}|sk-(?:proj-)?[A-Za-z0-9_-]{32,}|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}|xox[bap]-[0-9A-Za-z-]{20,}"
    r"|AIza[0-9A-Za-z_-]{35})\b"
)
PRIVATE_KEY = re.compile(r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----")
SECRET_NAME = re.compile(r"(?:^|_)(?:TOKEN|PASSWORD|SECRET|API_?KEY|SECRET_ACCESS_KEY)$", re.IGNORECASE)
PLACEHOLDER = re.compile(r"(?i)^$|[<>$]|your|change|example|placeholder|xxx|dummy|none|null|empty|test|\*\*\*|^.{0,7}$")


def token_in_text(folder: Folder) -> Iterator[Hit]:
    """SEC-01: what has the form of a real token or private key."""
    for file in folder.files:
        for pattern in (TOKEN, PRIVATE_KEY):
            for match in pattern.finditer(file.text):
                before = file.text[: match.start()]
                line, column = before.count("\n") + 1, match.start() - before.rfind("\n")
                shown = match[0][:8]
                yield Hit(file.path, line, column, f"{shown}... has the form of a real secret")


def secret_in_environment(folder: Folder) -> Iterator[Hit]:
    """SEC-02: a password or key as the literal value of a variable."""
    for variable in folder.variables:
        value = variable.value
        if isinstance(value, str) and SECRET_NAME.search(variable.name) and not PLACEHOLDER.search(value):
            key = "value" if variable.key == "name" else variable.key
            place = variable.holder.values_at.get(key, variable.holder.at)
            yield Hit(variable.document.file, *place, f"{variable.name} is written out in the manifest")


def secret_in_image(folder: Folder) -> Iterator[Hit]:
    """SEC-03: a secret that becomes a layer of an image."""
    for document in folder.scripts("dockerfile"):
        for command in document.commands:
            if command.name in ("ENV", "ARG"):
                for word in command.words[1:]:
                    name, equals, value = word.text.partition("=")
                    if equals and SECRET_NAME.search(name) and not PLACEHOLDER.search(value.strip("\"'")):
                        yield Hit(document.file, word.line, word.column, f"{name} stays in the image's history")


CHECKS: Mapping[str, Check] = {
    "SEC-01": token_in_text,
    "SEC-02": secret_in_environment,
    "SEC-03": secret_in_image,
}
