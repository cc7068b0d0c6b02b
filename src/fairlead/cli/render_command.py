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
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops.folder import Change, changes, write
from fairlead.ops.overlaid import Overlaid, overlaid
from fairlead.ops.rendering import Planner, render_file
from fairlead.ops.schemas.store import Pulled, place, pulled
from fairlead.render.targets import TARGETS


def render(
    file: Annotated[Path, typer.Argument(help="The file to read.", show_default=True)] = Path("fairlead.yaml"),
    target: Annotated[str | None, typer.Option("-t", "--target", help="What to render for; see --list.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")] = Path("rendered"),
    environment: Annotated[str | None, typer.Option("-e", "--environment", help="Render for this environment.")] = None,
    overlays: Annotated[
        str | None, typer.Option(help="Environments, with commas: a Kustomize base and overlays.")
    ] = None,
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
    if overlays is None:
        made = render_file(file, environment, target, planner(file), schemas=known())
        texts, renderings = made.texts, [made]
    else:
        whole = render_overlays(file, named(overlays, environment), target)
        texts, renderings = whole.texts, list(whole.renderings.values())
    looking = show_diff or check
    found = changes(out, texts) if looking else write(out, texts, force=force)
    if as_json:
        listed = [{"path": change.path, "state": change.state, "edited": change.edited} for change in found]
        told = {"folder": str(out), "target": renderings[0].build.target, "files": len(texts), "changes": listed}
        seen = [each.schemas.as_json() for each in renderings]
        told["schemas"] = seen[0] if overlays is None else dict(zip(whole.renderings, seen, strict=True))
        typer.echo(json.dumps(told, indent=2))
    elif show_diff:
        typer.echo("".join(change.diff() for change in found), nl=False)
    else:
        show_changes(found, out, len(texts))
    if not as_json:
        for line in dict.fromkeys(each.schemas.line() for each in renderings):
            typer.echo(line, err=show_diff)
    if check and found:
        raise typer.Exit(EXIT_FAILED)


def known() -> Pulled | None:
    """The schemas that were pulled."""
    return pulled(place(os.environ, Path.home()))


def named(overlays: str, environment: str | None) -> list[str]:
    """The environments of --overlays. Raises UserError where they are fewer than two, or -e says another."""
    names = list(dict.fromkeys(name.strip() for name in overlays.split(",") if name.strip()))
    if environment is not None:
        raise UserError("--overlays and -e both say which environments", hint="give one of them")
    if len(names) < 2:
        raise UserError("--overlays needs two environments at least", hint="--overlays staging,production")
    return names


def render_overlays(file: Path, environments: Sequence[str], target: str | None) -> Overlaid:
    """Every environment, and what they share taken out."""
    schemas = known()
    return overlaid({name: render_file(file, name, target, planner(file), schemas=schemas) for name in environments})


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
