"""The planned examples, each planned once: a search takes seconds, and what is rendered of it milliseconds."""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path

from fairlead.ops.rendering import Rendered, render_file
from fairlead.plan.constants import shipped
from fairlead.plan.place import service_plan
from fairlead.plan.service import ServicePlan
from fairlead.spec.load import load

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("large", "production", "tiers")
CLOUDS = ("aws", "azure", "gcp")
TODAY = datetime.date(2026, 11, 21)


def file(name: str) -> Path:
    return EXAMPLES / name / "fairlead.yaml"


@cache
def planned(name: str, environment: str | None = None) -> ServicePlan:
    return service_plan(load(file(name), environment), shipped(), TODAY, folder=file(name).parent)


def rendered(name: str, target: str | None = None, environment: str | None = None) -> Rendered:
    """An example for a target; for its own where none is given."""
    return render_file(file(name), environment, target, lambda spec: planned(name, environment))


def environment_of(name: str, cloud: str) -> str | None:
    """The overlay of an example that is called like a cloud; none for the cloud of the file itself."""
    return None if cloud == planned(name).cloud else cloud


def written(made: Rendered, folder: Path) -> Path:
    """The files of a rendering, below `folder`."""
    for path, text in made.texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
