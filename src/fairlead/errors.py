"""An error says what is wrong, where, and what to do; several wrongs are told together.

`UserError` is the only exception that the command line catches: anything else that escapes is our own
bug and shows a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_OK = 0
EXIT_FAILED = 1  # the thing was tried and did not work
EXIT_USER = 2  # the input is wrong; nothing was tried


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `where` is `file:line:column`, `subject` the dotted path of the field."""

    message: str
    where: str = ""
    subject: str = ""
    hint: str = ""

    def text(self) -> str:
        """The problem as the user reads it: one line, and the hint below it.

        fairlead.yaml:14:5  models.llama: 16.1 GB of weights do not fit
                            hint: use a larger pool
        """
        place = f"{self.where}  " if self.where else ""
        subject = f"{self.subject}: " if self.subject else ""
        first = f"{place}{subject}{self.message}"
        return f"{first}\n{' ' * len(place)}hint: {self.hint}" if self.hint else first

    def as_json(self) -> dict[str, str]:
        """The problem as `--json` prints it."""
        return {"where": self.where, "subject": self.subject, "message": self.message, "hint": self.hint}


class UserError(Exception):
    """Something that the user can mend. Carries every problem found, and the exit code."""

    def __init__(
        self,
        message: str = "",
        *,
        where: str = "",
        hint: str = "",
        problems: Sequence[Problem] = (),
        exit_code: int = EXIT_USER,
    ) -> None:
        self.problems = tuple(problems) or (Problem(message, where=where, hint=hint),)
        self.exit_code = exit_code
        super().__init__("\n".join(problem.text() for problem in self.problems))
