"""`schemas pull|list|forget`: the definitions of custom kinds that `render` checks by."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fairlead.catalog.releases import HOST, releases
from fairlead.cli.show import console, table
from fairlead.errors import UserError
from fairlead.ops.schemas import store
from fairlead.ops.schemas.received import Received, by_kind, refuse_without_libraries
from fairlead.ops.schemas.store import Pulled

app = typer.Typer(
    help="The definitions of custom kinds that `render` checks by: pull, list, forget.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def pull(
    cluster: Annotated[
        bool, typer.Option("--from-cluster", help="From the cluster of the kubeconfig in force.")
    ] = False,
    release: Annotated[bool, typer.Option("--from-release", help="From the makers' releases on GitHub.")] = False,
    folder: Annotated[Path | None, typer.Option("--from-folder", help="From YAML files: a folder or one file.")] = None,
    context: Annotated[str | None, typer.Option(help="With --from-cluster: this context of the kubeconfig.")] = None,
    mirror: Annotated[str, typer.Option(help="With --from-release: a mirror that has GitHub's paths.")] = HOST,
    as_json: AsJson = False,
) -> None:
    """Bring the definitions of custom kinds into the user's cache, in the place of those that are there.

    Example: fairlead schemas pull --from-cluster
    """
    if [cluster, release, folder is not None].count(True) != 1:
        raise UserError("pull from where?", hint="one of --from-cluster, --from-release, --from-folder DIR")
    if (context is not None and not cluster) or (mirror != HOST and not release):
        raise UserError("--context goes with --from-cluster, and --mirror with --from-release")
    refuse_without_libraries()
    place = here()
    if folder is not None:
        from fairlead.ops.schemas.from_folder import from_folder

        origin, found = "folder", by_kind(from_folder(folder))
    elif cluster:
        from fairlead.ops.schemas.from_cluster import from_cluster

        origin, found = "cluster", by_kind(from_cluster(context))
    else:
        origin, found = "release", by_kind(from_releases(mirror, store.pulled(place), quiet=as_json))
    show(store.keep(place, origin, found, datetime.now(UTC)), as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show what was pulled: kinds, versions, where from, and the SHA-256 of what was received.

    Example: fairlead schemas list --json
    """
    kept = store.pulled(here())
    if kept is None:
        raise UserError("no schemas were pulled", hint="fairlead schemas pull --from-cluster, or --from-release")
    show(kept, as_json=as_json)


@app.command()
def forget(as_json: AsJson = False) -> None:
    """Take away what was pulled; `render` then checks by no definitions.

    Example: fairlead schemas forget
    """
    store.clear(here())
    typer.echo(json.dumps({"folder": str(here())}) if as_json else f"{here()} is empty")


def here() -> Path:
    """The folder of this user."""
    return store.place(os.environ, Path.home())


def show(kept: Pulled, *, as_json: bool) -> None:
    """The manifest, as a table or as it is."""
    if as_json:
        typer.echo(json.dumps({"folder": str(kept.folder), **kept.as_json()}, indent=2))
        return
    shown = table(("kind", "group", "served", "version", "from", "SHA-256"))
    for each in kept.kinds:
        served = ", ".join(each.served)
        shown.add_row(each.kind, each.group, served, each.version or "-", each.source, each.received[:12])
    console().print(shown)
    typer.echo(f"{len(kept.kinds)} kinds, pulled {kept.date} from a {kept.origin}, in {kept.folder}")


def from_releases(mirror: str, before: Pulled | None, *, quiet: bool) -> Iterator[Received]:
    """What the releases hold, under a bar that counts their files."""
    from fairlead.ops.schemas.from_release import from_release, wanted

    files = wanted(releases().values(), mirror)
    screen = console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=screen, transient=True, disable=quiet or not screen.is_terminal) as bar:
        task = bar.add_task("", total=len(files))

        def told(done: int, address: str) -> None:
            bar.update(task, completed=done, description=address.rpartition("/")[2])

        yield from from_release(files, before, told)
