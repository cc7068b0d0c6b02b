"""Words that nothing stands behind: secrets that are not read, and security that is a boolean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder
from fairlead.lint.rule import Check
from fairlead.lint.tree import Map

OLD_TOKEN = "HUGGING_FACE_HUB_TOKEN"  # noqa: S105 (the name of a variable)
REFERENCE = re.compile(r"\$\{\w+\}\Z")
CONTROLS = {
    "authentication", "authorization", "data_encryption", "dataEncryption", "encryption", "network_policy",
    "networkPolicy", "audit", "audit_logging", "rate_limiting", "rateLimiting",
}  # fmt: skip
WORDS = {"rbac", "strict", "enabled", "on", "true", "jwt", "tls"}


def token_names(folder: Folder) -> Iterator[Hit]:
    """D-20: the old name of the token, and a reference that nobody expands."""
    for file in folder.files:
        if OLD_TOKEN in file.text and file.language != "python":
            for number, line in enumerate(file.text.split("\n"), 1):
                if (column := line.find(OLD_TOKEN)) >= 0:
                    yield Hit(file.path, number, column + 1, f"{OLD_TOKEN} is the old name of HF_TOKEN")
    for variable in folder.variables:
        if isinstance(variable.value, str) and REFERENCE.match(variable.value) and variable.document.language == "yaml":
            key = "value" if variable.key == "name" else variable.key
            place = variable.holder.values_at.get(key, variable.holder.at)
            message = f"{variable.value} is not expanded here: the variable is this text"
            yield Hit(variable.document.file, *place, message, severity="error")


def security_by_boolean(folder: Folder) -> Iterator[Hit]:
    """D-49: a `security` section of booleans and adjectives that no program reads."""
    for document, holder, key in folder.having("security"):
        section = holder[key]
        if isinstance(section, Map) and "apiVersion" not in holder and "settings" not in section:
            claimed = [name for name in section if name in CONTROLS and _is_a_word(section[name])]
            if len(claimed) >= 2:
                yield Hit(
                    document.file, *holder.place(key), f"{', '.join(claimed)}: said, and enforced by nothing here"
                )


def _is_a_word(value: object) -> bool:
    return isinstance(value, bool) or str(value).lower() in WORDS


CHECKS: Mapping[str, Check] = {"D-20": token_names, "D-49": security_by_boolean}
