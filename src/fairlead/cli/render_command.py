"""`render`: the file as everything that a cluster needs. What is written was checked before."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.show import console, table
from fairlead.errors import EXIT_FAILED
from fairlead.ops.folder import Change, changes, write
from fairlead.ops.rendering import Planner, render_file
from fairlead.ops.schemas.store import place, pulled
from fairlead.render.targets import TARGETS


def render(
    file: Annotated[Path, typer.Argument(help="The file to read.", show_default=True)] = Path("fairlead.yaml"),
    target: Annotated[str | None, typer.Option("-t", "--target", help="What to render for; see --list.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")] = Path("rendered"),
    environment: Annotated[str | None, typer.Option("-e", "--environment", help="Render for this environment.")] = None,
    show_diff: Annotated[bool, typer.Option("--diff", help="Show what would change; write nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 if the folder is not up to date.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were edited by hand.")] = False,
    list_targets: Annotated[bool, typer.Option("--list", help="List the targets.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write all that a cluster needs for a file: manifests, and where each of them comes from.

    Example: fairlead render fairlead.yaml -t vllm -o rendered
    """
    if list_targets:
        show_targets(as_json=as_json)
        return
    made = render_file(file, environment, target, planner(file), schemas=pulled(place(os.environ, Path.home())))
    looking = show_diff or check
    found = changes(out, made.texts) if looking else write(out, made.texts, force=force)
    if as_json:
        listed = [{"path": change.path, "state": change.state, "edited": change.edited} for change in found]
        told = {"folder": str(out), "target": made.build.target, "files": len(made.texts), "changes": listed}
        told["schemas"] = made.schemas.as_json()
        typer.echo(json.dumps(told, indent=2))
    elif show_diff:
        typer.echo("".join(change.diff() for change in found), nl=False)
    else:
        show_changes(found, out, len(made.texts))
    if not as_json:
        typer.echo(made.schemas.line(), err=show_diff)
    if check and found:
        raise typer.Exit(EXIT_FAILED)


def planner(file: Path) -> Planner:
    """The plan of a spec, today, with the constants that were fitted on measurements."""
    from fairlead.plan.constants import shipped
    from fairlead.plan.place import service_plan

    return lambda spec: service_plan(spec, shipped(), datetime.date.today(), folder=file.parent)


def show_targets(*, as_json: bool) -> None:
    """What can be rendered for."""
    if as_json:
        typer.echo(json.dumps({name: target.summary for name, target in TARGETS.items()}, indent=2))
        return
    shown = table(("target", "what it is"))
    for name, target in TARGETS.items():
        shown.add_row(name, target.summary)
    console().print(shown)


def show_changes(found: Sequence[Change], out: Path, count: int) -> None:
    """What changed, and how many files there are."""
    for change in found:
        typer.echo(f"{change.state:8} {out / change.path}{'  (edited by hand)' if change.edited else ''}")
    typer.echo(f"{out}: {count} files, {len(found) or 'none'} changed")
