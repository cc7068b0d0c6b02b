"""Times by the clock, as Kubernetes, KubeRay, KEDA and Velero read them alike."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from fairlead.spec.problems import FieldError

CRON = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))


def check_cron(text: str) -> str:
    """Five fields of numbers, ranges, lists and steps. Raises FieldError."""
    fields = text.split()
    hint = "minute hour day month weekday, for example 0 7 * * 1-5"
    if len(fields) != len(CRON):
        raise FieldError(f"{text[:60]!r} is no cron expression", hint)
    for field, (name, least, most) in zip(fields, CRON, strict=True):
        for item in field.split(","):
            match = re.fullmatch(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?", item, re.ASCII)
            bounds = [int(bound) for bound in match.groups()[:2] if bound] if match else [most + 1]
            if not all(least <= bound <= most for bound in bounds) or bounds != sorted(bounds):
                raise FieldError(f"{item[:20]!r} is no {name} of a cron expression", hint)
    return text


Cron = Annotated[str, AfterValidator(check_cron)]
