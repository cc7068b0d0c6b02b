"""vLLM: switches of engines that are gone, settings that contradict each other, code from strangers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit, Severity
from fairlead.lint.folder import Folder, hit
from fairlead.lint.rule import Check
from fairlead.lint.served import image_version
from fairlead.lint.tree import Map, Place

LAST_V0 = (0, 11)  # the release that removed it
SQUEEZELLM = re.compile(r"\bsqueezellm\b")


def engine_v0(folder: Folder) -> Iterator[Hit]:
    """D-05: the switch back to an engine that is gone."""
    for variable in folder.variables:
        if variable.name == "VLLM_USE_V1" and str(variable.value) in ("0", "False"):
            message = "VLLM_USE_V1=0 asks for an engine that is gone"
            place: Place = variable.holder.place(variable.key)
            yield Hit(variable.document.file, *place, message, severity=_severity(folder, variable.holder))


def eager_for_latency(folder: Folder) -> Iterator[Hit]:
    """D-13: one sequence at a time, without CUDA graphs, in the name of latency."""
    for document, holder, key in folder.having("enforce_eager"):
        if holder[key] is True and holder.get("max_num_seqs") == 1:
            yield hit(
                document, holder, key, "max_num_seqs: 1 with enforce_eager: true: each step is slower, none sooner"
            )


def squeezellm(folder: Folder) -> Iterator[Hit]:
    """D-40: a quantisation that vLLM has dropped, as a value or as advice."""
    for file in folder.files:
        if "squeezellm" in file.text and file.language != "python":
            for number, line in enumerate(file.text.split("\n"), 1):
                if match := SQUEEZELLM.search(line):
                    yield Hit(file.path, number, match.start() + 1, "vLLM has no quantisation `squeezellm` any more")


def trusts_remote_code(folder: Folder) -> Iterator[Hit]:
    """D-41: the model's repository may run its code here."""
    for document, holder, key in folder.having("trust_remote_code", "trustRemoteCode"):
        if holder[key] is True:
            yield hit(document, holder, key, "code from the model's repository is executed")
    for document, command in folder.commands():
        for word in command.words:
            found = word.text.find("--trust-remote-code")
            if found >= 0 and not command.name.startswith("#"):
                yield Hit(document.file, word.line, word.column + found, "code from the model's repository is executed")


def _severity(folder: Folder, entry: Map) -> Severity:
    """An error, unless the container's image is a vLLM that still had the engine."""
    version = image_version(folder.container_of(entry))
    return "warning" if version is not None and version < LAST_V0 else "error"


CHECKS: Mapping[str, Check] = {
    "D-05": engine_v0,
    "D-13": eager_for_latency,
    "D-40": squeezellm,
    "D-41": trusts_remote_code,
}
