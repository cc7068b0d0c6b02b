"""A problem that was found in the meaning of a file, brought back to its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fairlead.errors import Problem, UserError
from fairlead.spec.problems import Path
from fairlead.spec.yaml import Document


def located(error: UserError, document: Document) -> UserError:
    """The same problems, each with the place of the field that its subject names; what has a place keeps it."""
    problems = [each if each.where else placed(each, document) for each in error.problems]
    return UserError(problems=problems, exit_code=error.exit_code)


def placed(problem: Problem, document: Document) -> Problem:
    """The problem with its place, where its subject begins with something that stands in the file."""
    path = path_of(problem.subject, document.values)
    return replace(problem, where=document.where(path, of_key=True)) if path else problem


def path_of(subject: str, values: Any) -> Path:
    """`models.llama-3.1.pool` as steps into `values`, as far as they lead; names may hold dots."""
    path: list[str | int] = []
    while subject and isinstance(values, Mapping):
        key = max((each for each in values if f"{subject}.".startswith(f"{each}.")), key=len, default=None)
        if key is None:
            break
        path.append(key)
        values, subject = values[key], subject[len(key) + 1 :]
    return tuple(path)
