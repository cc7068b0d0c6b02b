"""A file to everything that a cluster needs: read, planned, rendered, checked; nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fairlead.errors import UserError
from fairlead.ops.schemas.checking import Told, check
from fairlead.ops.schemas.store import Pulled
from fairlead.plan.service import ServicePlan
from fairlead.render.build import Build
from fairlead.render.checks.registry import problem, problems
from fairlead.render.engines.refusals import engine_refusals
from fairlead.render.evidence import FILE as EVIDENCE_FILE
from fairlead.render.evidence import evidence
from fairlead.render.files import Files
from fairlead.render.provenance import FILE, Where, provenance
from fairlead.render.refusals import refusals
from fairlead.render.targets import TARGETS, build, rendered
from fairlead.spec import overlay
from fairlead.spec.load import located, read, resolve
from fairlead.spec.problems import dotted, nearest
from fairlead.spec.types import Spec
from fairlead.spec.yaml import Document

Planner = Callable[[Spec], ServicePlan]
"""What sizes a service."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was rendered, its texts by path, what pulled schemas say of it, and where each part of the file stands."""

    build: Build
    files: Files
    texts: Mapping[str, str]
    schemas: Told
    where: Where


def render_file(
    file: Path, environment: str | None, target: str | None, plan: Planner, *, schemas: Pulled | None = None
) -> Rendered:
    """A file for one environment and target. Raises UserError with every problem of the first step that fails.

    `target` None is the one that the file names; `schemas` are what custom objects are checked by.
    """
    document = read(file)
    spec = resolve(document, environment)
    here, _ = overlay.resolve(document, environment)
    found = refusals(spec)
    if found:
        raise UserError(problems=located(found, here))
    name = chosen(spec, target)
    made = build(spec, planned(spec, plan, here), name)
    found = engine_refusals(made)
    if found:
        raise UserError(problems=located(found, here))
    files = rendered(made)

    def where(origin: str) -> str:
        return place(here, origin)

    told = check(files.manifests, schemas)
    wrong = [*problems(made, files, where), *(problem("schema", fault, where) for fault in told.found.faults)]
    if wrong:
        raise UserError(problems=wrong)
    texts = {**files.texts(), FILE: provenance(files.manifests, where)}
    return Rendered(made, files, {**texts, EVIDENCE_FILE: evidence(texts)}, told, where)


def planned(spec: Spec, plan: Planner, document: Document) -> ServicePlan:
    """The plan. Raises UserError with the plan's problems, each with the line of what it is about."""
    try:
        return plan(spec)
    except UserError as error:
        found = [replace(each, where=each.where or place(document, each.subject)) for each in error.problems]
        raise UserError(problems=found, exit_code=error.exit_code) from None


def chosen(spec: Spec, target: str | None) -> str:
    """The target to render for. Raises UserError where there is none of that name."""
    name = target or (spec.deploy.target if spec.deploy else None)
    if name is None:
        raise UserError("render for what?", hint=f"give -t, or deploy.target, one of: {', '.join(TARGETS)}")
    if name not in TARGETS:
        raise UserError(f"there is no target {name!r}", hint=nearest(name, TARGETS, otherwise="targets"))
    return name


def place(document: Document, origin: str) -> str:
    """`fairlead.yaml:4` for a part of the spec, or for what it stands in where it is not written.

    Without its folder, so that the bytes are the same everywhere.
    """
    known = {dotted(path): path for path in document.key_at}
    parts = origin.split(".")
    written = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    path = next((known[name] for name in written if name in known), ())
    return f"{Path(document.file).name}:{document.position(path, of_key=True).line}"
