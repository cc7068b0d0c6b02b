"""`store`: the database that replicas share; which version its tables are at, and bringing them to this one's."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import typer

from fairlead.cli.keys_commands import DEFAULT_FILE, AsJson, Environment, File, rules
from fairlead.errors import EXIT_FAILED
from fairlead.ops.layout import Layout
from fairlead.ops.place import place_for
from fairlead.store.stores import Place, Version, migrate_store, store_version

app = typer.Typer(help="The database of keys and usage: status, migrate.", no_args_is_help=True)


@app.command()
def status(environment: Environment = None, file: File = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Show the version of the database's tables. Exit code 0 when this version can work on them, else 1.

    Example: fairlead store status --json
    """
    version = store_version(place(file, environment))
    show(version, as_json=as_json)
    if version.pending:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def migrate(environment: Environment = None, file: File = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Bring the tables to this version; the previous version goes on working on them. Doing it twice changes nothing.

    Example: fairlead store migrate
    """
    show(migrate_store(place(file, environment)), as_json=as_json)


def place(file: File, environment: str | None) -> Place:
    """Where the file keeps its keys and its usage."""
    layout = Layout.beside(file)
    found = place_for(rules(file, environment), layout, os.environ)
    layout.make()
    return found


def show(version: Version, *, as_json: bool) -> None:
    """One line, or JSON."""
    if as_json:
        typer.echo(json.dumps(asdict(version) | {"pending": version.pending}))
        return
    typer.echo(f"{version.kind}: tables at {version.database}, this version's are {version.code}")
    if version.pending:
        typer.echo("`fairlead store migrate` brings them there; the previous version goes on working")
