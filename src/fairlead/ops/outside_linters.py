"""Other people's linters, run where they are installed and told in our words: general rules are theirs, not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairlead.lint.finding import Finding, Severity
from fairlead.lint.front.read import File

LONGEST_S = 300
SEVERITIES: Mapping[str, Severity] = {"error": "error", "warning": "warning"}
Told = Callable[[Sequence[str]], Iterator[Finding]]


def findings(files: Sequence[File]) -> list[Finding]:
    """What the installed ones find in the files that are theirs."""
    found: list[Finding] = []
    for name, (is_theirs, run) in LINTERS.items():
        theirs = [file.path for file in files if is_theirs(file)]
        if theirs and shutil.which(name):
            found.extend(run(theirs))
    return found


def _shellcheck(paths: Sequence[str]) -> Iterator[Finding]:
    for comment in _json(["shellcheck", "--format=json1", *paths]).get("comments", ()):
        rule, severity = f"SC{comment['code']}", SEVERITIES.get(comment["level"], "info")
        place = (comment["file"], comment["line"], comment["column"])
        yield _finding(rule, severity, place, comment["message"])


def _hadolint(paths: Sequence[str]) -> Iterator[Finding]:
    for told in _json(["hadolint", "--format=json", "--no-fail", *paths]):
        severity = SEVERITIES.get(told["level"], "info")
        yield _finding(told["code"], severity, (told["file"], told["line"], told["column"]), told["message"])


def _checkov(paths: Sequence[str]) -> Iterator[Finding]:
    told = _json(["checkov", "--quiet", "--compact", "--output=json", *(f"--file={path}" for path in paths)])
    for run in told if isinstance(told, list) else [told]:
        for check in run.get("results", {}).get("failed_checks", ()):
            line = (check.get("file_line_range") or [1])[0]
            path = next((path for path in paths if path.endswith(check["file_path"].lstrip("/"))), check["file_path"])
            yield _finding(check["check_id"], "warning", (path, max(line, 1), 1), check["check_name"])


def _json(command: Sequence[str]) -> Any:
    """What a command prints, as JSON; {} where it prints nothing or runs too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        return json.loads(done.stdout) if done.stdout.strip() else {}
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {}


def _finding(rule: str, severity: Severity, place: tuple[str, int, int], message: str) -> Finding:
    return Finding(rule, severity, *place, message, f"see the page of {rule}")


LINTERS: Mapping[str, tuple[Callable[[File], bool], Told]] = {
    "shellcheck": (lambda file: file.language == "shell", _shellcheck),
    "hadolint": (lambda file: file.language == "dockerfile", _hadolint),
    "checkov": (lambda file: file.language in ("hcl", "dockerfile") and not file.path.endswith(".tfvars"), _checkov),
}
